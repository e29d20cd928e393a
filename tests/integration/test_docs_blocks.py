"""The pages as a newcomer follows them: each line of a block is typed in a fresh checkout, with real bottles.

A line that cannot be run here has a reason, and tests/unit/test_doc_blocks.py looks its words up. A line that is neither
run nor has a reason fails.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import world
from doc_blocks import Block, blocks
from installed import checkout
from test_own_command import ASKED

pytestmark = pytest.mark.docker

# Of whole blocks.
NOT_RUN = {
    "README.md:bottle up my-bottle": "three turns of owner and agent: tests/unit/test_round_trip.py takes them",
    "docs/fleet.md:pulumi config set": "needs another machine: tests/integration/test_far_engine.py has a second engine",
    "docs/fleet.md:S=my-bottle": "tests/integration/test_far_engine.py runs this block, line by line",
    "docs/mcp.md:bottle callback": "needs a log-in that waits: tests/integration/test_command.py has one",
    "CONTRIBUTING.md:C=": "asks a package index for newer versions",
}
# Of lines, by their beginning.
LEFT_OUT = {
    "make test": "runs this test",
}
TOKEN = "sk-ant-oat01-" + secrets.token_urlsafe(40)


@dataclass
class Reader:
    """Types what a page says. names: the page's name of a bottle to the one that it has here."""

    folder: Path
    env: dict[str, str]
    names: dict[str, str]
    typed: set[str] = field(default_factory=set)

    def run(self, script: str, stdin: str = "") -> str:
        """Standard output and error of lines that all succeed."""
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{script}\n{said[-3000:]}"
        return said

    def block(self, page: str, start: str) -> list[str]:
        """The lines of a block, each of which is now run by the test that asks for it."""
        shell_block = next(block for block in SHELL if block.page == page and block.text.startswith(start))
        self.typed |= {f"{shell_block} {line}" for line in shell_block.typed}
        return [line for line in shell_block.typed if not line.startswith(tuple(LEFT_OUT))]


SHELL = [block for block in blocks() if block.language == "sh"]


def not_activated() -> str:
    """PATH as it was before the test's own shell had the environment and Pulumi."""
    venv = world.ROOT / ".venv/bin"
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != venv]
    return os.pathsep.join(folder for folder in folders if not Path(folder, "pulumi").exists())


def reason(block: Block) -> str:
    return next((why for key, why in NOT_RUN.items() if f"{block.page}:{block.text}".startswith(key)), "")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    if not (world.ROOT / ".venv").exists():
        pytest.skip("no environment of the checkout")
    folder = tmp_path_factory.mktemp("reader")
    checkout(folder / "claude-bottle")
    first, second = (f"t{secrets.token_hex(4)}" for _ in range(2))
    kept = {key: value for key, value in os.environ.items() if key.startswith("DOCKER_")}
    env = {
        "HOME": os.environ["HOME"],
        "PATH": not_activated(),
        "XDG_STATE_HOME": f"{folder}/state",
        "XDG_CONFIG_HOME": f"{folder}/config",
        # For `pulumi up` as it is printed, which asks where there is somebody to answer.
        "PULUMI_SKIP_CONFIRMATIONS": "true",
        **kept,
    }
    reader = Reader(folder / "claude-bottle", env, {"demo": first, "claude": second})
    examples = reader.folder / "stacks/examples"
    (reader.folder / f"stacks/Pulumi.{first}.yaml").write_text((examples / "Pulumi.demo.yaml").read_text())
    try:
        yield reader
    finally:
        for name in (first, second):
            command = [str(reader.folder / "bottle"), "down", name, "--force"]
            subprocess.run(command, cwd=reader.folder, env=env, capture_output=True, timeout=300, check=False)
            world.leftovers(name, remove=True)


def test_what_is_typed_first(reader: Reader) -> None:
    name = reader.names["demo"]
    lines = reader.block("README.md", "make up")
    assert [line.split("  ")[0] for line in lines] == ["make up", "./bottle --help"]
    said = reader.run(lines[0].replace("make up", f"make up STACK={name}"))
    assert f"The bottle {name} is up" in said
    tried = [line.split("  ")[1] for line in said.partition("Try next:\n")[2].partition("\n\n")[0].splitlines()]
    assert len(tried) == 5
    assert "Exit codes" in reader.run(lines[1])
    # What it says to try next, as it is printed; the last two are tried further below, with other bottles.
    assert "Claude Code" in reader.run(tried[1])
    assert "api.github.com" in reader.run(tried[2])
    assert "Exit codes" in reader.run(tried[4])


def proposal(reader: Reader, name: str, host: str) -> str:
    """The agent asks for a host; the id of its proposal."""
    arguments = {"justification": "to build", "host": host, "path": ["/api"]}
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "egress-block", "arguments": arguments},
    }
    kinds = ["-H", "Accept: application/json, text/event-stream", "-H", "Content-Type: application/json"]
    curl = ["curl", "-s", "-m", "8", "--noproxy", "*", *kinds, "-d", json.dumps(call), "http://supervise:9100/"]
    world.docker("exec", "-u", "node", f"claude-bottle-agent-{name}", *curl, check=False)
    for _ in range(200):
        for one in json.loads(reader.run(f"./bottle ask list {name} --json")):
            if one["verdict"] == "pending" and host in json.dumps(one):
                return str(one["id"])
        time.sleep(0.2)
    raise AssertionError("no proposal")


def test_what_the_agent_asks_is_answered(reader: Reader) -> None:
    name = reader.names["demo"]
    yes, no = proposal(reader, name, "one.example.com"), proposal(reader, name, "two.example.com")
    here = "source ./activate; "
    for line in reader.block("docs/dashboard.md", "bottle ask list"):
        if line.startswith(("bottle ask approve", "bottle ask reject")):
            continue  # below, as README has them
        line = re.split(r"\[| #", line)[0].replace("my-bottle", name).replace("p-0123456789", no)
        line = line.replace(name, f"{name} --print") if "resume" in line else line
        for one in ("collect", "verify", "show") if "show|verify|collect" in line else ("",):
            said = reader.run(here + line.replace("show|verify|collect", one))
            assert said.strip(), line
    said = []
    for line in reader.block("README.md", "bottle ask list"):
        line = line.replace("my-bottle", name).replace("p-0123456789", no if "reject" in line else yes)
        said.append(reader.run(here + (line.replace(name, f"{name} --print") if "resume" in line else line)))
    listed, shown, approved, rejected, resumed = said
    assert yes in listed
    assert "reach one.example.com" in shown
    assert f"{yes} approved; the agent was notified" in approved
    assert "until" in (reader.folder / f"stacks/Pulumi.{name}.yaml").read_text()
    assert f"{no} rejected; the agent was notified" in rejected
    assert resumed.startswith(f"docker exec -it -u node claude-bottle-agent-{name} claude")


# Commands that messages tell, by their words without names, in an order in which each can be done; the bottle is up.
SAID = ("--help", "check", "fleet", "init other", "secret", "repair", "ask show", "forget", "down")
SAID_ELSEWHERE = {
    "ask approve": "is run above, as README says it",
    "attach": "needs a terminal; exec, which is run above, starts the same program",
    "exec": "is run above, as make up says it",
    "plan": "is run above, as make up says it",
    "up": "is run above by make up, and by an approval",
    "pull": "is run below, by make",
    "doctor": "asks outside hosts; tests/unit/test_toolchain.py runs it",
    "prune": "deletes images of others on this engine; tests/unit/test_old_images.py runs it",
    "update": "asks outside hosts, and pins anew; tests/unit/test_upkeep.py runs it",
}


def test_what_messages_say_is_run(reader: Reader) -> None:
    """Each kind of command that a message tells, as it is printed, on the bottle that is up."""
    name = reader.names["demo"]
    commands = {words for param in ASKED for words in param.values}
    kinds = {re.match(r"(?:ask )?[a-z-]+", str(words))[0] for words in commands}  # type: ignore[index]
    assert kinds == {kind.removesuffix(" other") for kind in SAID} | set(SAID_ELSEWHERE)
    asked = json.loads(reader.run(f"./bottle ask list {name} --json"))[0]["id"]
    more = {
        "ask show": f"{name} {asked} --page 1", "secret": f"{name} MY_TOKEN", "--help": "", "fleet": "",
        "init other": "--no-model",
    }  # fmt: skip
    for kind in SAID:
        reader.run(
            f"./bottle {kind.replace('other', f'{name}x')} {more.get(kind, name)}", stdin="a-token-of-some-length"
        )
    assert world.leftovers(name) == []


def test_a_day_with_pulumis_own_verbs(reader: Reader) -> None:
    name = reader.names["claude"]
    project = reader.folder.parent / "project"
    project.mkdir()
    (project / "code.py").write_text("one\n")
    lines = [line.replace("…", TOKEN) for line in reader.block("README.md", "source ./activate")]
    script = []
    for line in lines:
        if "cp stacks/examples/Pulumi.claude.yaml" in line:
            line = (
                f"cp stacks/examples/Pulumi.claude.yaml stacks/Pulumi.{name}.yaml;"
                f" echo '    workspace: {{path: {project}}}' >> stacks/Pulumi.{name}.yaml"
            )
        elif line.startswith("$("):
            # It is for a terminal; the same in its place without one.
            line = line.partition(" #")[0].strip()
            line = f'echo "attach: {line}"; $(pulumi stack output attach | sed "s/ -it / /") --version'
        else:
            line = line.replace("--create claude", f"--create {name}").replace("=claude ", f"={name} ")
        script.append(f'echo "--- {len(script)}"; {line}')
    said = reader.run("\n".join(script))
    parts = [part.partition("\n")[2] for part in said.split("--- ")[1:]]
    by_line = dict(zip((line.split("  ")[0] for line in lines), parts, strict=True))
    up, preview, destroyed = (by_line[f"pulumi {verb}"] for verb in ("up", "preview", "destroy"))
    assert "created" in up
    assert "Outputs:" not in up, "the whole plan"
    assert f"attach: docker exec -it -u node claude-bottle-agent-{name} claude" in said
    assert "(Claude Code)" in said
    assert "unchanged" in preview
    assert "would change nothing" in by_line[next(key for key in by_line if key.startswith("make plan"))]
    assert by_line[next(key for key in by_line if key.startswith("make pull"))].strip()
    assert "deleted" in destroyed
    assert "Outputs:" not in destroyed
    assert TOKEN not in said
    assert world.leftovers(name) == []
    # What the block says may be typed instead of the variable.
    (instead,) = next(block for block in SHELL if block.text.startswith("source ./activate")).instead
    reader.run(f"source ./activate; {instead.replace('claude ', f'{name} ')}", stdin=TOKEN)
    text = (reader.folder / f"stacks/Pulumi.{name}.yaml").read_text()
    assert "claude-bottle:CLAUDE_CODE_OAUTH_TOKEN:" in text
    assert TOKEN not in text


def test_no_line_is_left(reader: Reader) -> None:
    left = [f"{block} {line}" for block in SHELL if not reason(block) for line in block.typed]
    assert [line for line in left if line not in reader.typed] == []
    unused = [key for key in NOT_RUN if not any(f"{block.page}:{block.text}".startswith(key) for block in SHELL)]
    assert unused == []
