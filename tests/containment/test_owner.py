"""What an agent prepares in its files and words, against every command of its owner's that touches what came from it.

The commands run in an account of their own (owner.py). Of each, these are compared before and after: every file of the
account, its processes, and what payloads leave; and every byte of the terminal is looked at, with the time and memory.
`git log` writes a commit's words as they are, on any terminal: nothing is promised of that, so only that no program runs.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import owner as module
import pytest
import world
import yaml

pytestmark = pytest.mark.docker

ROWS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("owner_attacks.yaml").read_text())
TOGETHER = [row for row in ROWS if not row.get("alone")]
ALONE = [row for row in ROWS if row.get("alone")]
SECONDS, KILOBYTES = 170, 512 << 10
URL = "http://supervise:9100/"
# Git's own look at what was pulled, as an owner does it; in every folder that came, too.
GIT = (
    "git status; git diff; git diff --stat; git log --oneline -3; git st;"
    " for d in $(find . -name .git -prune -o -type d -print0 | tr '\\0\\n ' '\\n??'); do [ -d \"$d\" ] || continue;"
    ' (cd "$d" && git status --short && git diff --stat && git log -1 --format=%h) || true; done'
)
WORDS = [
    "AGENT \033[2J\033]0;title\007 \r0 files changed \u202e \u009b31m",
    "LEAD AGENT\n\n--- now\n+++ approved\n@@ -1 +1 @@ IMITATION\n-      - host: IMITATION.example.com\n\nnote: IMITATION",
    "LEAD AGENT " + " " * 109 + "note: IMITATION " + "x" * 3000,
]
_SGR = re.compile(r"\x1b\[[0-9;]*m")
_TOLD = re.compile(r"(?:new |edit|gone)  (.+?)(?:  \([^()]+\))?")
# What pulumi and the docker command keep in a home for themselves.
OWN = (".pulumi/", ".docker/")


@dataclass
class Scene:
    """A bottle, its owner, and what both began with. done: what the commands have given, by name."""

    owner: module.Owner
    bottle: world.BottleUnderTest
    kept: Path
    done: dict[str, module.Ran] = field(default_factory=dict)
    proposals: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.bottle.folder / "state"

    def keep(self) -> None:
        """Remember both sides, for `again`."""
        shutil.copytree(self.owner.project, self.kept / "project", symlinks=True)
        shutil.copytree(self.state / "claude-bottle/workspaces", self.kept / "workspaces")
        assert "KEPT" in self.bottle.agent("cp -a /home/node/. /tmp/kept/ && echo KEPT")

    def again(self) -> None:
        """Put both sides back."""
        # What payloads make is wanted on the owner's side alone, but they do not fail on the agent's.
        self.bottle.agent(f"mkdir -p {self.owner.canary}")
        self.bottle.agent(
            "cd /usr/local/bin; rm -f git tar timeout; rm -rf /tmp/o /tmp/p /tmp/q* /tmp/pack.pl /tmp/bundle", user="0"
        )
        said = self.bottle.agent(
            "cd ~; find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +; cp -a /tmp/kept/. . && echo BACK"
        )
        assert "BACK" in said, said
        for kept, place in (("project", self.owner.project), ("workspaces", self.state / "claude-bottle/workspaces")):
            shutil.rmtree(place)
            shutil.copytree(self.kept / kept, place, symlinks=True)
            self.owner.take(place)

    def make(self, row: dict[str, Any]) -> None:
        """Let the agent prepare one attack, and the owner what belongs to it."""
        words = {
            "@RAN@": f"{self.owner.canary}/{row['id']}",
            "@PROJECT@": str(self.owner.project),
            "@HOME@": str(self.owner.home),
        }
        for key, user, place in (("make", "node", "/home/node/workspace"), ("root", "0", "/")):
            script = row.get(key, "")
            for mark, word in words.items():
                script = script.replace(mark, word)
            said = self.bottle.agent(f"(set -e; cd {place}\n{script}\necho MADE)", user=user)
            assert said.endswith("MADE\n"), said
        if "owner" in row:
            self.owner.plain(row["owner"], self.owner.project)

    def run(self, *argv: str, name: str = "", **options: Any) -> module.Ran:
        """A command of the owner's, in the project's folder."""
        options.setdefault("cwd", self.bottle.folder)
        ran = self.owner.run(*argv, **options)
        if name:
            self.done[name] = ran
        return ran

    def pull(self, *options: str, name: str = "") -> module.Ran:
        return self.run(*world.BOTTLE, "pull", self.bottle.name, *options, name=name)

    def answer(self, verb: str, *words: str, name: str = "") -> module.Ran:
        return self.run(*world.BOTTLE, "ask", verb, self.bottle.name, *words, name=name)

    def ask(self) -> None:
        """Proposals whose every word is the agent's, and requests and log lines with codes in them."""
        asked: list[tuple[str, dict[str, Any]]] = []
        for number, words in enumerate(WORDS):
            refused = {"method": "GET", "host": f"asked{number}.example.com", "path": "/AGENT", "reason": "AGENT"}
            arguments = {"justification": words, "refused": refused, "path": ["/AGENT"]}
            asked.append(("egress-block", arguments))
        asked.append(("egress-block", {"justification": "AGENT" * 20_000, "host": "long.example.com"}))
        odd = {"justification": "x", "capability": "apt", "value": "AGENT\033[2J\nIMITATION"}
        with ThreadPoolExecutor(5) as calls:
            list(calls.map(lambda one: self._call(*one), [*asked, ("capability-block", odd)]))
        self.bottle.agent(
            "curl -s -m 5 -X POST -d x $'https://plain.example.com/AGENT%1b%5b2J\\xe2\\x80\\xae' ;"
            " curl -s -m 5 -X POST -d x -H $'X: AGENT\\x9b2J' https://plain.example.com/LEAD-AGENT%0aIMITATION;"
            " curl -s -m 5 $'https://AGENT\\e[2J.example.com/'; curl -s -m 5 https://xn--agent.example.com/;"
            " printf 'GET http://AGENT\\033[2J.example.com/ HTTP/1.1\\r\\nHost: AGENT\\033[2J\\r\\n\\r\\n' >"
            " /dev/tcp/egress/8080; printf 'LEAD AGENT\\033[2J\\nIMITATION\\n' > /dev/tcp/supervise/9100"
        )

    def _call(self, tool: str, arguments: dict[str, Any]) -> None:
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        accept = "-H 'Accept: application/json, text/event-stream' -H 'Content-Type: application/json'"
        self.bottle.agent(f"curl -s -m 8 {accept} -d @- {URL}", stdin=json.dumps(call).encode())


@pytest.fixture(scope="module")
def scene(sidecar_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    kept = tmp_path_factory.mktemp("kept")
    with world.fake_internet(sidecar_image) as internet, module.account(kept) as account:
        account.project.mkdir()
        account.take(account.project)
        account.plain(
            "git init -q -b main .; echo read > README; echo one > code.py; mkdir sub; echo x > sub/file; echo .env > .gitignore;"
            " git add -A; git commit -q -m first; echo SECRET > .env",
            account.project,
        )
        manifest = {
            "agent": {"memory": "1g"},
            "workspace": {"path": str(account.project), "copy_git": True},
            "egress": {"routes": [{"host": "plain.example.com"}]},
            "pipelock": {"ca_files": ["root.pem"]},
            "supervise": True,
            "network": {"external": internet.network},
        }
        with world.bottle(account.home / "bottle", manifest, files={"root.pem": internet.ca}) as bottle:
            account.env = {key: value for key, value in bottle.env.items() if key != "PATH"}
            account.take(bottle.folder)
            scene = Scene(account, bottle, kept)
            up = scene.run("pulumi", "up", "--yes", "--skip-preview", "--stack", bottle.name, name="up", seconds=900)
            assert up.status == 0, up.text.partition("Diagnostics:")[2].partition("Outputs:")[0]
            bottle.agent("git config --global user.name AGENT; git config --global user.email agent@example.com")
            scene.keep()
            yield scene


@pytest.fixture(scope="module")
def together(scene: Scene) -> Iterator[Scene]:
    """Every attack at once, and every command of the owner's once or more."""
    scene.again()
    scene.done = {"up": scene.done["up"]}
    for row in TOGETHER:
        scene.make(row)
    scene.ask()
    stack, copies = scene.bottle.name, scene.owner.home / "copies"
    scene.run(*world.unpulled(stack), name="unpulled")
    scene.pull("--dry-run", name="pull dry")
    scene.pull("--to", str(copies), "--no-run-files", name="pull to")
    scene.pull(name="pull")
    scene.run("bash", "-c", GIT, name="git", cwd=scene.owner.project)
    scene.run("bash", "-c", GIT, name="git in the copy", cwd=copies)
    scene.pull(name="pull again")
    scene.run(*world.BOTTLE, "plan", stack, name="plan table")
    listed = scene.answer("list", name="list")
    scene.proposals = re.findall(r"^(p-[0-9a-f]+)", listed.text, re.MULTILINE)
    for number, identity in enumerate(scene.proposals):
        scene.answer("show", identity, name=f"show {number}")
    scene.answer("preview", scene.proposals[0], name="preview")
    scene.answer("reject", scene.proposals[0], "-m", "no", name="reject")
    page = [*world.BOTTLE, "dashboard", "--port", "0"]
    scene.run(*page, name="serve", keys=b"\x03", after=b"Ctrl-C ends it")
    for verb in ("collect", "show", "verify"):
        scene.run(*world.BOTTLE, "audit", verb, stack, name=f"audit {verb}")
    yield scene


COMMANDS = [
    "unpulled", "pull dry", "pull to", "pull", "git", "git in the copy", "pull again", "plan table", "list", "show 0", "show 1",
    "show 2", "preview", "reject", "serve", "audit collect", "audit show", "audit verify",
]  # fmt: skip
FAILS = {"unpulled": 1}


def changed_names(ran: module.Ran) -> set[str]:
    """The names that a pull says it has changed."""
    return {match[1] for line in ran.text.splitlines() if (match := _TOLD.fullmatch(line))}


def as_told(name: str) -> str:
    """A name as the tool prints it."""
    return "".join(c if c.isprintable() else "�" for c in name)


def harm(scene: Scene, ran: module.Ran, name: str) -> list[str]:
    """What a command has done to the account that it does not promise."""
    wrong = [f"did not end within {ran.seconds:.0f} s"] if not ran.ended or ran.seconds > SECONDS else []
    wrong += [f"{ran.kilobytes >> 10} MB of memory"] if ran.kilobytes > KILOBYTES else []
    wrong += [f"a process is left: {process}" for process in ran.left]
    wrong += [f"was run: {payload}" for payload in scene.owner.ran()]
    wrong += [f"was changed: {path}" for path in ran.changed if not _promised(scene, ran, name, path)]
    return wrong


def _promised(scene: Scene, ran: module.Ran, name: str, path: str) -> bool:
    owner, project = scene.owner, f"{scene.owner.project}/"
    if path.startswith((f"{scene.state}/", *(f"{owner.home}/{own}" for own in OWN))) or f"{path}/" in (
        f"{scene.state}/", *(f"{owner.home}/{own}" for own in OWN)):  # fmt: skip
        return True
    if name.startswith("pull to"):
        return path == f"{owner.home}/copies" or path.startswith(f"{owner.home}/copies/")
    if name.startswith("pull"):
        git = rf"\.git/(objects|refs/remotes/bottle-{scene.bottle.name}|logs/refs/remotes/bottle-{scene.bottle.name})(/.*)?"
        here = path.removeprefix(project)
        more = re.fullmatch(rf"{git}|\.git/refs/remotes|\.git/logs/refs/remotes|\.git/logs/refs|\.git/logs", here)
        names = changed_names(ran)
        folder = any(one.startswith(f"{as_told(here)}/") for one in names)
        return path.startswith(project) and (bool(more) or folder or as_told(here) in names)
    if name == "approve":
        return path == str(scene.bottle.file)
    return path == f"{project}.git/index" and name.startswith("git")


def drawn(ran: module.Ran, *, wrapped: bool = False, colours: bool = False) -> list[str]:
    """Lines of the terminal that the agent's words have drawn, or that are taken for the tool's own.

    wrapped: judged as they are on the screen, a row at a time. colours: the tool gives the agent's words a colour.
    """
    lines = ran.terminal.decode(errors="surrogateescape").replace("\r\n", "\n").split("\n")
    wrong = [line for line in lines if not _SGR.sub("", line).replace("\t", " ").isprintable()]
    wrong += [line for line in lines if not colours and "\x1b" in line and ("AGENT" in line or "IMITATION" in line)]
    if wrapped:
        width = module.COLUMNS
        lines = [row for line in (_SGR.sub("", one) for one in lines) for row in
                 ([line[at : at + width] for at in range(0, len(line), width)] or [""])]  # fmt: skip
    for line in lines:
        before, marker, _ = line.partition("IMITATION")
        # Behind the first words of the same text, behind whose words they are, or in a quotation.
        if marker and not re.search(r"LEAD|claude-bottle-agent-\w+: |^  \| ", before):
            wrong.append(line)
    return [ascii(line[:200]) for line in wrong]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_does_what_it_promises_and_no_more(together: Scene, name: str) -> None:
    ran = together.done[name]
    assert ran.status == FAILS.get(name, 0), ran.text[-3000:]
    assert harm(together, ran, name) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_agents_words_draw_nothing(together: Scene, name: str) -> None:
    assert drawn(together.done[name], wrapped=name.startswith("show"), colours=name.startswith("git")) == []


@pytest.mark.parametrize("row", TOGETHER, ids=[row["id"] for row in TOGETHER])
def test_attack(together: Scene, row: dict[str, Any]) -> None:
    judge(together, row, together.done["pull"])


def judge(scene: Scene, row: dict[str, Any], ran: module.Ran) -> None:
    """What came of one row, by the pull's words and by what is there."""
    project, lines = scene.owner.project, ran.text.splitlines()
    ordinary, _, apart = ran.text.partition("read these before")
    assert ran.status == row.get("status", 0), ran.text[-3000:]
    for name in row.get("come", []):
        assert as_told(name) in changed_names(ran), name
        assert (project / name).is_symlink() or (project / name).exists(), name
    for name in row.get("left", []):
        assert [line for line in lines if line.startswith(f"left  {name}: ")], name
        assert not (project / name).is_symlink() and not (project / name).exists(), name
    for name in row.get("absent", []):
        assert not (project / name).is_symlink() and not (project / name).exists(), name
    for name in row.get("run", []):
        assert f"  {name}  (" in apart, name
        assert f"  {name}\n" not in ordinary, name
        assert not (scene.owner.home / "copies" / name).exists(), name
    if "says" in row:
        assert re.search(row["says"], ran.text), ran.text[-2000:]


def test_nothing_that_came_is_more_than_a_file_of_the_owners(together: Scene) -> None:
    for path in [*together.owner.project.rglob("*"), *(together.owner.home / "copies").rglob("*")]:
        kept = path.lstat()
        assert (kept.st_uid, kept.st_gid) == (together.owner.uid, together.owner.gid), path
        assert path.is_symlink() or path.is_file() or path.is_dir(), path
        assert path.is_symlink() or not kept.st_mode & 0o6000, path
        if path.is_symlink():
            assert not path.readlink().is_absolute(), path
            assert "LOOP" in str(path).upper() or path.resolve().is_relative_to(together.owner.home), path


def test_what_a_command_does_to_the_account_is_seen(scene: Scene) -> None:
    """So that the tests above can fail; and the account is no more than an owner's."""
    owner = scene.owner
    script = f"echo x >> ~/.bashrc; touch {owner.canary}/seen; setsid sleep 300 & sleep 0.2; printf '\\033[2JAGENT'"
    try:
        ran = owner.run("bash", "-c", script)
        problems = harm(scene, ran, "audit show")
    finally:
        owner.end()
        (owner.canary / "seen").unlink()
        owner.plain("sed -i '$d' ~/.bashrc")
    assert any("sleep 300" in word for word in problems)
    assert {"was run: seen", f"was changed: {owner.home}/.bashrc"} <= set(problems)
    assert drawn(ran)
    assert not owner.run("sleep", "30", seconds=1).ended
    if owner.separate:
        assert owner.run("id", "-u").text.strip() == str(owner.uid)
        assert owner.run("cat", "/etc/shadow").status == 1
    assert owner.run("docker", "version").status == 0


def alone(scene: Scene, row: dict[str, Any], *, every: bool) -> None:
    """One attack by itself: a pull and the look before down, and with `every` all that reads files."""
    scene.again()
    scene.make(row)
    name = scene.bottle.name
    ran = {}
    if every:
        ran["pull dry"] = scene.pull("--dry-run")
        shutil.rmtree(scene.owner.home / "copies", ignore_errors=True)
        ran["pull to"] = scene.pull("--to", str(scene.owner.home / "copies"), "--no-run-files")
    ran["unpulled"] = scene.run(*world.unpulled(name))
    ran["pull"] = scene.pull()
    ran["git"] = scene.run("bash", "-c", GIT, cwd=scene.owner.project)
    for what, one in ran.items():
        assert harm(scene, one, what) == [], what
        assert what == "git" or drawn(one) == [], what
    judge(scene, row, ran["pull"])


@pytest.mark.slow
def test_an_up_an_approval_a_repair_and_the_last_look(together: Scene) -> None:
    """What was pulled goes back, and the program runs again, with all of it there."""
    stack = together.bottle.name
    ran = {
        "preview": together.run("pulumi", "preview", "--stack", stack),
        "up": together.run("pulumi", "up", "--yes", "--skip-preview", "--stack", stack),
        "approve": together.answer("approve", together.proposals[1], "-m", "yes", "--others"),
        "repair": together.run(*world.BOTTLE, "repair", stack),
        "audit last": together.run(
            "python3", "-c", f"from claude_bottle.cli.audit import collect_last; collect_last({stack!r})"
        ),
    }
    world.docker("start", f"claude-bottle-agent-{stack}")
    for name, one in ran.items():
        assert one.status == 0, (name, one.text[-3000:])
        assert harm(together, one, name) == [], name
        # Pulumi draws its own tree, with nothing of the agent's in it.
        assert "IMITATION" not in one.text and "AGENT" not in one.text, name
    assert drawn(ran["audit last"]) == []


@pytest.mark.slow  # each takes seconds to a minute
@pytest.mark.parametrize("row", [row for row in ALONE if not row.get("slow")], ids=lambda row: str(row["id"]))
def test_attack_alone(scene: Scene, row: dict[str, Any]) -> None:
    alone(scene, row, every=False)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_every_command_against_every_attack(scene: Scene, row: dict[str, Any]) -> None:
    alone(scene, row, every=True)
