"""The `bottle` command: words, names, exit codes and JSON; Docker and Pulumi are programs on PATH that write down."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from test_plan_table import ONE, make, step
from typer.testing import CliRunner, Result

from claude_bottle.approvals.approval import Approval
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.cli import agent, common, lifecycle, part_logs
from claude_bottle.cli.app import app
from claude_bottle.cli.callback import checked
from claude_bottle.cli.template import TOOLS
from claude_bottle.manifest.change import Change
from claude_bottle.policy.errors import BottleError
from claude_bottle.presets.files import preset
from toolchain import __main__ as toolchain
from toolchain.step import Report

ROOT = Path(__file__).resolve().parents[2]
# As the project's issue on the command lists them.
VERBS = (
    "init secret up plan attach exec callback pull ask resume logs audit repair convert doctor dashboard fleet check down forget"
    " update prune"
)
STACK = """
config:
  claude-bottle:bottle:
    egress:
      routes: []
"""
FAKE = """#!/bin/sh
printf '%s\\n' "$(basename "$0") $*" >> "$CALLS"
case "$(basename "$0") $*" in
{cases}
esac
"""


@dataclass
class Place:
    """A project with one bottle, `demo`, and fakes of the two programs."""

    folder: Path

    def fake(self, program: str, cases: dict[str, str]) -> None:
        """cases: pattern of the command line to shell."""
        file = self.folder / "bin" / program
        lines = [f"{pattern}) {script} ;;" for pattern, script in cases.items()]
        file.write_text(FAKE.format(cases="\n".join(lines)))
        file.chmod(0o755)

    def output(self, program: str, pattern: str, value: Any) -> None:
        """Answer such a command line with this as JSON."""
        (self.folder / f"{program}.json").write_text(json.dumps(value))
        self.fake(program, {pattern: f"cat '{self.folder}/{program}.json'"})

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def state(self, stack: str, *resources: dict[str, Any]) -> None:
        file = self.folder / f"state/.pulumi/stacks/claude-bottle/{stack}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"checkpoint": {"latest": {"resources": list(resources)}}}))

    def run(self, *argv: str, text: str | None = None) -> Result:
        return CliRunner().invoke(app, list(argv), input=text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    project = Place(tmp_path)
    (tmp_path / "stacks/examples").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "stacks/Pulumi.demo.yaml").write_text(STACK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/state")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    monkeypatch.setenv("CLAUDE_BOTTLE_COMMAND", "bottle")
    # The fakes are known to no child_env, which passes on names of its own only.
    monkeypatch.setattr("claude_bottle.host.child_env._KEPT", frozenset({*os.environ}))
    monkeypatch.setattr(lifecycle, "use_shell", lambda: None)
    monkeypatch.setattr(toolchain, "setup_missing", lambda: None)
    for program in ("docker", "pulumi"):
        project.fake(program, {})
    yield project


def leaves(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    command = command or typer.main.get_command(app)
    for name, sub in getattr(command, "commands", {}).items():
        yield from leaves(sub, (*path, name))
    if path and not getattr(command, "commands", {}):
        yield path


LEAVES = list(leaves())
WITH_NAME = [
    path
    for path in LEAVES
    if path not in {("init",), ("convert",), ("doctor",), ("dashboard",), ("fleet",), ("update",), ("prune",)}
]
MORE = {("exec",): ["--", "true"], **{("ask", verb): ["p-1"] for verb in ("show", "preview", "approve", "reject")}}


def test_the_verbs_are_those_that_were_asked_for(place: Place) -> None:
    assert {path[0] for path in LEAVES} == set(VERBS.split())
    assert {path[1] for path in LEAVES if path[0] == "ask"} >= {"list", "show", "approve", "reject"}
    assert place.run("--help").exit_code == 0


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_verb_says_what_it_does_with_an_example(place: Place, path: tuple[str, ...]) -> None:
    done = place.run(*path, "--help")
    assert done.exit_code == 0
    said = " ".join(done.output.split())
    assert f"Example: bottle {' '.join(path)}" in said
    assert place.calls == []


@pytest.mark.parametrize("path", WITH_NAME, ids=" ".join)
def test_an_unknown_name_is_one_error_and_makes_nothing(place: Place, path: tuple[str, ...]) -> None:
    before = sorted(place.folder.rglob("*"))
    for name, message in (
        ("dmo", "no bottle `dmo`; did you mean `demo`? bottle init dmo makes one"),
        ("zzzzz", "no bottle `zzzzz` (there are: demo); bottle init zzzzz makes one"),
        ("../x", "'../x' is not a name of a bottle: letters, digits, `_`, `.`, `-`"),
    ):
        done = place.run(*path, name, *MORE.get(path, []))
        assert (done.exit_code, done.stderr.strip(), done.stdout) == (2, message, "")
    assert place.calls == []
    assert [file for file in sorted(place.folder.rglob("*")) if file not in before and "xdg" not in file.parts] == []


def test_a_bottle_without_a_file_is_known_by_its_state(place: Place) -> None:
    place.state("gone")
    assert place.run("down", "gone").exit_code == 3
    assert place.run("plan", "gone").exit_code == 2, "what would be is in the file"
    (place.folder / "state/.pulumi/backups/claude-bottle/past").mkdir(parents=True)
    assert place.run("forget", "past").exit_code == 3
    assert place.run("down", "past").exit_code == 2


def test_make_up_of_a_mistyped_name_makes_nothing() -> None:
    before = set((ROOT / "stacks").iterdir())
    done = subprocess.run(["make", "-C", str(ROOT), "up", "STACK=dmeo"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no bottle `dmeo`; did you mean `demo`? ./bottle init dmeo makes one" in done.stderr
    assert "set-up:" not in done.stderr, "nothing was set up for it"
    assert set((ROOT / "stacks").iterdir()) == before


def test_it_works_from_any_folder_without_activate(tmp_path: Path) -> None:
    if not (ROOT / ".venv").exists():
        pytest.skip("no environment of the checkout")
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    (tmp_path / "link").symlink_to(ROOT / "bottle")
    for command in (str(ROOT / "bottle"), str(tmp_path / "link")):
        done = subprocess.run(
            [command, "check", "no-such"], cwd=ROOT / "docs", env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr[:9]) == (2, "no bottle")
    words = {"_BOTTLE_COMPLETE": "complete_bash", "COMP_WORDS": "bottle up dem", "COMP_CWORD": "2"}
    done = subprocess.run([str(ROOT / "bottle")], env={**env, **words}, capture_output=True, text=True, check=False)
    assert "demo" in done.stdout.split()


def test_nothing_below_knows_the_command_and_it_starts_without_what_it_calls() -> None:
    below = [
        file
        for room in ("addons", "components", "dashboard", "sidecar_images", "toolchain", "claude_bottle")
        for file in (ROOT / room).rglob("*.py")
        if "cli" not in file.relative_to(ROOT).parts and file.name != "__main__.py"
    ]
    assert below
    assert [file for file in below if re.search(r"^\s*(from|import) claude_bottle\.cli", file.read_text(), re.M)] == []
    program = "import sys, claude_bottle.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pulumi", "pydantic", "starlette", "ruamel.yaml"} & set(done.stdout.split())


def test_activate_gives_the_command_and_no_folder(tmp_path: Path) -> None:
    script = 'cd /; . "$0/activate"; type -t bottle; case ":$PATH:" in *":$0:"*) echo on the path ;; esac; bottle check no-such'
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", script, str(ROOT)], env=env, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr[:9]) == (["function"], "no bottle")


def test_ctrl_c_lets_pulumi_come_to_its_end(place: Place) -> None:
    """Killed, it would leave its lock and what it had begun: `subprocess.run` kills a quarter of a second after it."""
    place.fake(
        "pulumi",
        {"*": 'trap "sleep 1; echo ended >> $CALLS; exit 1" INT; echo ready >> $CALLS; while :; do sleep 0.1; done'},
    )
    program = "from claude_bottle.runs.terminal import run_pulumi; run_pulumi('demo', 'up')"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    # A background job, as which the tests may run, has it ignored, and so would have what it starts.
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-c", program],
        env=env,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        until = time.monotonic() + 300
        while "ready" not in place.calls and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=300)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert place.calls[-1] == "ended"


def commands_of_readme() -> list[list[str]]:
    text = (ROOT / "README.md").read_text()
    spans = re.findall(r"(?m)(?:^|`)(bottle [a-z][^`\n#]*)", text)
    return [shlex.split(span) for span in spans]


def test_what_the_readme_says_is_there() -> None:
    commands = commands_of_readme()
    assert {argv[1] for argv in commands} == set(VERBS.split()) - {"repair", "forget"}, (
        "those two are beside `down` there"
    )
    for argv in commands:
        command, rest = typer.main.get_command(app), argv[1:]
        while rest and rest[0] in getattr(command, "commands", {}):
            command, rest = command.commands[rest[0]], rest[1:]
        assert command.name == (argv[2] if argv[1] in ("ask", "audit") else argv[1])
        options = {opt for param in command.params for opt in param.opts}
        own = rest[: rest.index("--")] if "--" in rest else rest
        assert {word for word in own if word.startswith("-")} <= options, argv


# --- listings


def test_ask_list_for_programs(place: Place) -> None:
    change = {"path": "egress.routes", "value": {"host": "a.example.com"}}
    record = {
        "id": "p-1",
        "created": 1.0,
        "tool": "egress-block",
        "change": change,
        "words": "why\x1b[2J",
        "request": {},
    }
    place.output("docker", "*supervise.decide\\ list", [record])
    done = place.run("ask", "list", "demo", "--json")
    [proposal] = json.loads(done.stdout)
    assert (proposal["id"], proposal["verdict"], proposal["words"]) == ("p-1", "pending", "why�[2J")
    assert "\x1b" not in place.run("ask", "list", "demo").output
    place.fake("docker", {"*": "echo 'No such container' >&2; exit 1"})
    done = place.run("ask", "list", "demo", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "No such container" in done.stderr


def test_audit_for_programs(place: Place) -> None:
    assert json.loads(place.run("audit", "show", "demo", "--json").stdout) == []
    Audit("demo").append({"event": "rejected", "id": "p-1"}, {"event": "approved", "id": "p-2"})
    records = json.loads(place.run("audit", "show", "demo", "--json").stdout)
    assert [record["id"] for record in records] == ["p-1", "p-2"]
    assert "2 records, the chain is intact" in place.run("audit", "verify", "demo").stdout
    log = Audit("demo").file
    log.write_text(log.read_text().replace("p-1", "p-9"))
    assert place.run("audit", "verify", "demo").exit_code == 1


def test_fleet_for_programs(place: Place) -> None:
    place.fake("docker", {"ps*": "", "*ps\\ -a*": "printf 'other\\tagent\\tid\\tUp 2 minutes (healthy)\\n'"})
    fleet = json.loads(place.run("fleet", "--json").stdout)
    assert [(b["stack"], b["declared"], [p["health"] for p in b["parts"]]) for b in fleet["bottles"]] == [
        ("demo", True, []),
        ("other", False, ["healthy"]),
    ]
    assert "other (no stack file here)" in place.run("fleet").stdout
    place.fake("docker", {"*": "echo 'is the docker daemon running?' >&2; exit 1"})
    done = place.run("fleet", "--json")
    assert done.exit_code == 1
    assert "is the docker daemon running?" in json.loads(done.stdout)["problems"][0]


def test_doctor_for_programs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "steps", lambda dev: [])
    monkeypatch.setattr("toolchain.step.examine", lambda _: [Report("Docker", None, "install it")])
    done = place.run("doctor", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "parts": [{"name": "Docker", "found": None, "how": "install it"}],
        "missing": 1,
        "old": [],
    }
    monkeypatch.setattr("toolchain.step.examine", lambda _: [Report("Docker", "29", "")])
    monkeypatch.setattr(toolchain, "upkeep", lambda: print("asked") or ["Claude Code: 1, newer is 2"])
    done = place.run("doctor", "--json")
    assert (done.exit_code, json.loads(done.stdout)["old"]) == (0, ["Claude Code: 1, newer is 2"])


@pytest.mark.parametrize("name", ["python", "node", "go", "rust", "java"])
def test_the_example_of_an_ecosystem_can_be_copied(place: Place, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-not-a-real-one")
    shutil.copy(ROOT / f"stacks/examples/Pulumi.{name}.yaml", place.folder / "stacks")
    done = place.run("check", name)
    assert done.exit_code == 0, done.stdout
    bottle = yaml.safe_load((place.folder / f"stacks/Pulumi.{name}.yaml").read_text())["config"]["claude-bottle:bottle"]
    hosts = {route["host"] for route in bottle["egress"]["routes"]}
    assert {host for host in hosts if not host.endswith(".example.com")} == {"api.anthropic.com"}
    assert set(bottle["agent"]["apt"]) >= set(preset(name).apt), "as the preset has them"
    assert f"`{name}`" in (ROOT / "README.md").read_text()


def test_plan_for_programs(place: Place) -> None:
    place.output("pulumi", "*preview*", {"steps": [step("create", newState={"inputs": {"plan": make(ONE)}})]})
    output = json.loads(place.run("plan", "demo", "--json").stdout)
    assert output["plan"]["egress"]["routes"][1]["host"] == "api.github.com"
    assert any("the bottle is new" in line for line in output["changes"])
    assert "pulumi up would change" in place.run("plan", "demo").stdout
    assert {call.split()[1] for call in place.calls} == {"stack", "preview"}, "nothing is brought up"
    place.output("pulumi", "*preview*", {"steps": [], "diagnostics": [{"message": "2 problems found"}]})
    done = place.run("plan", "demo", "--json")
    assert done.exit_code == 1
    place.fake("pulumi", {"*preview*": 'echo \'{"diagnostics": [{"message": "2 problems found"}]}\'; exit 1'})
    done = place.run("plan", "demo", "--json")
    assert (done.exit_code, done.stdout, done.stderr.strip()) == (1, "", "2 problems found")


def test_check_for_programs(place: Place) -> None:
    assert json.loads(place.run("check", "--json").stdout) == [{"stack": "demo", "findings": [], "hints": []}]
    assert place.run("check", "demo").stdout == "demo: in order\n"
    bad = place.folder / "stacks/Pulumi.bad.yaml"
    for text, words in (
        ("config: {claude-bottle:bottle: {egres: {}}}", "egres"),
        (
            "config: {claude-bottle:bottle: {egress: {routes: [{host: a.example.com, token_ref: A_TOKEN}]}}}",
            "no such secret",
        ),
        ("config:\n\t- x", "line 2: a tab"),
        ("config: {docker:host: nowhere, claude-bottle:bottle: {}}", "not an engine's address"),
        ("", "config: is missing"),
    ):
        bad.write_text(text)
        done = place.run("check", "--json")
        assert done.exit_code == 1
        [wrong] = [entry["findings"] for entry in json.loads(done.stdout) if entry["stack"] == "bad"]
        assert words in wrong[0]
    bad.write_text(
        "config: {claude-bottle:A_TOKEN: {secure: v1:x}, claude-bottle:bottle: {egress: {routes: [{host: a.example.com, token_ref: A_TOKEN}]}}}"
    )
    assert place.run("check", "bad").exit_code == 0, "an encrypted secret is there"
    assert place.calls == []


# --- life


def test_up_makes_the_stack_once_and_says_how_to_go_in(place: Place) -> None:
    done = place.run("up", "demo")
    assert done.exit_code == 0, done.output
    assert [call.split()[1:3] for call in place.calls] == [["stack", "select"], ["up", "--yes"]]
    assert "demo is up: bottle attach demo" in done.stderr
    place.fake("pulumi", {"*up*": "exit 255"})
    done = place.run("up", "demo")
    assert done.exit_code == 1
    assert "pulumi up of demo failed; full output: " in done.stderr


def test_up_takes_an_example_as_make_does(place: Place) -> None:
    shutil.copytree(ROOT / "stacks/examples", place.folder / "stacks/examples", dirs_exist_ok=True)
    assert place.run("up", "offline").exit_code == 0
    assert (place.folder / "stacks/Pulumi.offline.yaml").is_file()


def test_down_stops_where_something_would_be_lost(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.run("down", "demo").exit_code == 3, "it was never up"
    place.state("demo", {"type": "x", "id": "1"})
    monkeypatch.setattr("claude_bottle.workspace.unpulled.warning", lambda stack: f"work of {stack}")
    done = place.run("down", "demo")
    assert (done.exit_code, done.stderr) == (1, "work of demo\n")
    assert not [call for call in place.calls if call.startswith("pulumi destroy")]
    assert place.run("down", "demo", "--force").exit_code == 0
    assert [call for call in place.calls if call.startswith("pulumi destroy")]


def test_forget(place: Place) -> None:
    assert place.run("forget", "demo").exit_code == 3
    kept = place.folder / "state/.pulumi/backups/claude-bottle/demo/1.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    assert place.run("forget", "demo").exit_code == 0
    assert not kept.exists()


# --- inside


def test_exec_becomes_the_command(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(agent, "become", lambda argv, env: became.append(argv))
    done = place.run("exec", "demo", "--", "git", "log", "--json")
    assert (done.exit_code, done.stderr.strip()) == (1, "demo is not up; bottle up demo")
    place.fake("docker", {"*inspect*": "echo true"})
    assert place.run("exec", "demo", "--", "git", "log", "--json").exit_code == 0
    assert place.run("attach", "demo").exit_code == 0
    inside = ["-u", "node", "claude-bottle-agent-demo"]
    assert became == [
        ["docker", "exec", "-i", *inside, "git", "log", "--json"],
        ["docker", "exec", "-it", *inside, "claude"],
    ]


@pytest.mark.parametrize(
    "url",
    ["https://localhost:54545/callback", "http://example.com:80/", "http://localhost/callback", "localhost:1/x", "",
     "http://me@localhost:54545/", 'http://localhost:54545/"\nurl = "http://example.com/', "http://localhost:x/"],
)  # fmt: skip
def test_a_callback_goes_to_a_port_of_the_agents_own(url: str) -> None:
    with pytest.raises(BottleError, match="http://localhost:PORT"):
        checked(url)


def test_a_callback_is_in_no_list_of_processes(place: Place) -> None:
    url = "http://localhost:54545/callback?code=abc&state=def"
    place.fake("docker", {"*inspect*": "echo true", "*curl*": "cat >> $CALLS; printf 200"})
    done = place.run("callback", "demo", url)
    assert (done.exit_code, done.stderr.strip()) == (0, "demo answered 200")
    calls = (
        (place.folder / "calls").read_text()
        if (place.folder / "calls").exists()
        else Path(os.environ["CALLS"]).read_text()
    )
    assert f'url = "{url}"' in calls
    assert "code=abc" not in next(line for line in calls.splitlines() if line.startswith("docker exec"))
    for wild in ("head -c 9000000 /dev/zero", "printf '\\377\\377\\377'", "printf '200 <b>'"):
        place.fake("docker", {"*inspect*": "echo true", "*curl*": wild})
        done = place.run("callback", "demo", url)
        assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    place.fake("docker", {"*inspect*": "echo true", "*curl*": "echo 'Connection refused' >&2; exit 7"})
    done = place.run("callback", "demo", url)
    assert (done.exit_code, "nothing in demo answered at port 54545" in done.stderr) == (1, True)


def test_exec_ends_with_the_code_of_its_command() -> None:
    code = "from claude_bottle.cli.agent import become; become(['sh', '-c', 'exit 7'], {'PATH': '/usr/bin:/bin'})"
    assert subprocess.run([shutil.which("python3") or "python3", "-c", code], cwd=ROOT, check=False).returncode == 7


def test_pull_reads_folders_as_they_were_typed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(common, "_called_from", Path("/somewhere"))
    monkeypatch.setattr(
        "claude_bottle.workspace.pull.pull", lambda stack, **options: given.update(options) or ["new   a"]
    )
    done = place.run("pull", "demo", "--to", "out", "--no-run-files", "--dry-run")
    assert (done.exit_code, done.stdout) == (0, "new   a\n")
    assert given == {"to": Path("/somewhere/out"), "force": False, "dry_run": True, "run_files": False}


def test_logs_are_in_order_and_draw_nothing() -> None:
    one = "2026-01-01T10:00:02.5Z second\x1b[2J\n"
    two = "2026-01-01T10:00:01.5Z first\n2026-01-01T10:00:03.5Z third\n"
    lines = part_logs.merged([("egress", one), ("pipelock", two)])
    assert [line.split()[1:] for line in lines] == [
        ["pipelock", "first"],
        ["egress", "second�[2J"],
        ["pipelock", "third"],
    ]


def test_an_answer_goes_through_as_it_was_typed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    change = Change.read({"path": "agent.memory", "value": "8g"})

    class Answered(Approval):
        def change(self, *_: Any) -> Change:
            return change

        def approve(self, *words: Any, **options: Any) -> str:
            given.append((*words, options))
            return ""

        def reject(self, *words: Any) -> None:
            given.append(words)

    monkeypatch.setattr("claude_bottle.approvals.approval.Approval", Answered)
    monkeypatch.setattr("claude_bottle.approvals.inbox.Inbox.get", lambda *_: None)
    monkeypatch.setattr(common, "_called_from", place.folder)
    (place.folder / "edit").write_text("{path: agent.memory, value: 9g}")
    assert place.run("ask", "approve", "demo", "p-1", "-m", "--others", "--for", "2h").exit_code == 0
    assert place.run("ask", "approve", "demo", "p-1", "--change", "edit", "--others").exit_code == 0
    assert place.run("ask", "reject", "demo", "p-1").exit_code == 0
    assert given == [
        ("p-1", "--others", None, 7200, {"others": False}),
        ("p-1", "", {"path": "agent.memory", "value": "9g"}, 0, {"others": True}),
        ("p-1", ""),
    ]
    done = place.run("ask", "approve", "demo", "p-1", "--edit")
    assert done.exit_code == 2, "an editor would wait for ever"
    (place.folder / "edit").write_text("")
    done = place.run("ask", "approve", "demo", "p-1", "--change", "edit")
    assert (done.exit_code, done.stderr) == (1, "the edited change is empty; write path and value\n")
    assert len(given) == 3


def test_wrong_usage_is_told_apart_from_a_refusal(place: Place) -> None:
    for argv in (
        ["nonsense"],
        ["up"],
        ["ask", "show", "demo"],
        ["fleet", "--nonsense"],
        ["logs", "demo", "--tail", "x"],
    ):
        assert place.run(*argv).exit_code == 2, argv


# --- init

REPOSITORIES = (
    "",
    "https://git.example.com/acme/project.git",
    "git@git.example.com:acme/My_Project.git",
    "ssh://git@git.example.com:2222/a/b",
)


@pytest.mark.parametrize("use", ["", *TOOLS])
@pytest.mark.parametrize("repository", REPOSITORIES)
@pytest.mark.parametrize("model", [True, False])
def test_what_init_writes_is_a_bottle_without_a_secret(place: Place, use: str, repository: str, model: bool) -> None:
    from claude_bottle.manifest.model import Manifest

    flags = [*(["--use", use] if use else []), *(["--repo", repository] if repository else [])]
    done = place.run("init", "mine", *flags, "--model" if model else "--no-model")
    assert done.exit_code == 0, done.output
    text = (place.folder / "stacks/Pulumi.mine.yaml").read_text()
    config = yaml.safe_load(text)["config"]
    manifest = Manifest.model_validate(config["claude-bottle:bottle"])
    assert list(config) == ["claude-bottle:bottle"]
    assert [route.host for route in manifest.egress.routes] == (["api.anthropic.com"] if model else [])
    assert [one.name for one in manifest.use] == ([use] if use else []) and not manifest.agent.apt
    assert manifest.routed, "an edit of its routes keeps its kind"
    assert [remote.branches for remote in manifest.git] == ([["agent/*"]] if repository.startswith("https") else [])
    # No other host is named, in comments neither: it has no preset for a registry.
    hosts = {word.strip('",') for line in text.splitlines() for word in line.split() if "host:" in line and "." in word}
    assert all(host == "api.anthropic.com" or host.endswith(".example.com") for host in hosts)


def test_the_comments_of_init_are_a_bottle_too(place: Place) -> None:
    """What a person takes in by taking the `#` away is valid."""
    from claude_bottle.manifest.model import Manifest

    place.run("init", "mine", "--use", "python", "--repo", REPOSITORIES[2])
    lines = (place.folder / "stacks/Pulumi.mine.yaml").read_text().splitlines()
    words = ("# git:", "#   - name:", "#     ", "# - host:", "#   methods:")
    text = "\n".join(line.replace("# ", "", 1) if line.strip().startswith(words) else line for line in lines)
    manifest = Manifest.model_validate(yaml.safe_load(text)["config"]["claude-bottle:bottle"])
    assert [remote.name for remote in manifest.git] == ["my-project"] or [r.name for r in manifest.git] == [
        "my_project"
    ]
    assert manifest.egress.routes[-1].host == "packages.example.com"


def test_init_writes_over_nothing(place: Place) -> None:
    done = place.run("init", "demo", "--use", "go")
    assert done.exit_code == 1
    assert (place.folder / "stacks/Pulumi.demo.yaml").read_text() == STACK
    (place.folder / "stacks/Pulumi.link.yaml").symlink_to(place.folder / "elsewhere")
    assert place.run("init", "link", "--use", "go").exit_code == 1
    assert not (place.folder / "elsewhere").exists()


def test_init_refuses_what_it_cannot_write(place: Place) -> None:
    for flags, code in (
        (["--repo", "https://me:secret@git.example.com/a/b"], 1),
        (["--repo", "nonsense"], 1),
        (["--workspace", "/nowhere/at/all"], 1),
        (["--use", "cobol"], 2),
    ):
        done = place.run("init", "mine", *flags)
        assert done.exit_code == code, done.output
        assert "secret@" not in done.output
    assert place.run("init", "../mine", "--use", "go").exit_code == 2
    assert not (place.folder / "stacks/Pulumi.mine.yaml").exists()


def test_init_takes_a_folder(place: Place) -> None:
    folder = place.folder / "a b: #c"
    folder.mkdir()
    (folder / "file").write_text("x")
    done = place.run("init", "mine", "--workspace", str(folder))
    assert done.exit_code == 0, done.output
    stack = yaml.safe_load((place.folder / "stacks/Pulumi.mine.yaml").read_text())
    assert stack["config"]["claude-bottle:bottle"]["workspace"] == {"path": str(folder)}


def test_init_asks_where_somebody_can_answer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_bottle.cli.files._can_ask", lambda: True)
    done = place.run("init", "one", text="python\nhttps://git.example.com/acme/project.git\n\nn\n")
    assert done.exit_code == 0, done.output
    bottle = yaml.safe_load((place.folder / "stacks/Pulumi.one.yaml").read_text())["config"]["claude-bottle:bottle"]
    assert (bottle["use"][0], bottle["git"][0]["name"], bottle["egress"]["routes"]) == ("python", "project", [])
    assert place.run("init", "two", text="cobol\n").exit_code == 2
    assert not (place.folder / "stacks/Pulumi.two.yaml").exists()
    assert place.run("init", "two", "--model").exit_code == 0, "a flag, and nothing is asked"
