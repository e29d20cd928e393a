"""What people get wrong, and what each is answered: the data of docs/messages.md, which `make docs` writes from it.

python3 -m tests.unit.mistakes > docs/messages.md
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from claude_bottle.checks.preflight import machine_findings
from claude_bottle.cli.ask import edited
from claude_bottle.cli.stack_check import findings
from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.engine import Engine, Part
from claude_bottle.engines.docker.facts import facts_of, gather
from claude_bottle.engines.facts import Facts
from claude_bottle.host.stack_names import look_up, must_be_known, must_be_remembered
from claude_bottle.manifest.change import Change, ChangeError
from claude_bottle.manifest.model import Manifest
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.own_command import CALLED
from sidecar_images.supervise.arguments import wrong_arguments
from sidecar_images.supervise.wishes import WishError, capability_wish, host_wish, route_wish
from toolchain.shell import SetupError
from toolchain.stack_file import provide

ROOT = Path(__file__).resolve().parents[2]
TEXT, TEXTS = {"type": "string"}, {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
WHY = {"type": "string", "description": "Why you need it, for the owner: what you are doing and what was refused."}
REFUSED = {"anyOf": [{"type": "object"}, {"type": "null"}]}
# As the SDK tells clients of sidecar_images/supervise/server.py; an integration test compares them.
TOOLS: dict[str, dict[str, Any]] = {
    "egress-block": {
        "justification": WHY, "refused": REFUSED, "host": TEXT, "path": TEXTS, "methods": TEXTS, "forge": TEXTS, "proposal_id": TEXT,
    },
    "pipelock-block": {"justification": WHY, "refused": REFUSED, "host": TEXT, "content": TEXT, "proposal_id": TEXT},
    "capability-block": {"justification": WHY, "capability": TEXT, "value": TEXT, "proposal_id": TEXT},
    "list-egress-routes": {},
}  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """written: what a person or an agent has written or typed. answer: what they get. lines: of the answer."""

    written: str
    answer: Callable[[], str]
    lines: int = 1


# --- the stack file


def file(text: str, lines: int = 1) -> Mistake:
    """A whole stack file, of the stack `demo`."""
    return Mistake(text.rstrip("\n"), lambda: "\n".join(findings(text, ROOT / "stacks", stack="demo")), lines)


def bottle(written: str, lines: int = 1) -> Mistake:
    """The bottle of such a file, in one line of YAML."""
    inner = file(f"config:\n  claude-bottle:bottle: {{{written}}}\n", lines)
    return Mistake(written, inner.answer, lines)


def route(written: str, lines: int = 1) -> Mistake:
    """One route of such a bottle."""
    inner = bottle(f"egress: {{routes: [{{{written}}}]}}", lines)
    return Mistake(written, inner.answer, lines)


# --- the machine

GOOD = {
    "ServerVersion": "20.10.24",
    "OSType": "linux",
    "MemoryLimit": True,
    "MemTotal": 8 << 30,
    "Runtimes": {"runc": {}},
}


def gone(images: Sequence[str]) -> Facts:
    """An engine that does not answer."""

    class Gone(Engine):
        def docker(self, *argv: str, timeout: float = 30) -> str:
            raise EngineError("Cannot connect to the Docker daemon at unix:///var/run/docker.sock")

    return gather(Gone(), "demo", images)


def facts(free: int = 4000, parts: tuple[Part, ...] = (), **info: Any) -> Callable[[Sequence[str]], Facts]:
    """An engine with nothing on it but what is given, and no image."""

    def asked(images: Sequence[str]) -> Facts:
        missing = dict.fromkeys(images, "no such manifest: example.com/none:1")
        known = facts_of({**GOOD, **info}, lambda: False)
        networks = ("bridge", "corp-net", "none")
        return replace(known, free_mb=free, parts=parts, networks=networks, missing_images=missing)

    return asked


def machine(
    written: str,
    raw: str = "",
    free: int = 4000,
    ask: Callable[[Sequence[str]], Facts] | None = None,
    parts: tuple[Part, ...] = (),
    **info: Any,
) -> Mistake:
    """A bottle on a machine. written: the bottle, or what is so about the machine."""

    def answer() -> str:
        manifest = Manifest.model_validate(yaml.safe_load(f"{{{raw or ''}}}"))
        problems = machine_findings("demo", manifest, ask or facts(free, parts, **info), set)
        return "\n".join(str(one) for one in problems)

    return Mistake(written, answer)


# --- the agent's tools


def tool(name: str, **given: Any) -> Mistake:
    """A call of a tool."""
    call = f"{name} {{{', '.join(f'{key}: {value!r}' for key, value in given.items())}}}"
    return Mistake(call.replace("'", '"'), partial(asked, name, given))


def schema(name: str) -> dict[str, Any]:
    """What a tool's input is."""
    return {"properties": TOOLS[name], "required": ["justification"] if "justification" in TOOLS[name] else []}


def asked(name: str, given: dict[str, Any]) -> str:
    """What the tool answers before the owner is asked anything."""
    if wrong := wrong_arguments(name, given, schema(name)):
        return wrong
    request, host = given.get("refused", {}), given.get("host", "")
    try:
        if name == "egress-block":
            wish = route_wish(request, host, given.get("path"), given.get("methods"), given.get("forge"))
        elif name == "pipelock-block":
            wish = host_wish(request, host, given.get("content", ""), has_egress=False)
        else:
            wish = capability_wish(given.get("capability", ""), given.get("value", ""))
        Change.read(wish)
    except (ChangeError, WishError) as error:
        return str(error)
    return ""


# --- commands


@contextlib.contextmanager
def project() -> Iterator[Path]:
    """A project with one bottle, `demo`, which was never up, and the examples."""
    before, kept = Path.cwd(), dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "stacks/examples", f"{folder}/stacks/examples")
        Path(folder, "stacks/Pulumi.demo.yaml").write_text("config:\n  claude-bottle:bottle: {}\n")
        os.environ |= {
            "XDG_STATE_HOME": f"{folder}/state",
            "PULUMI_BACKEND_URL": f"file://{folder}",
            CALLED: "./bottle",
        }
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ |= kept


def command(typed: str, run: Callable[[], object]) -> Mistake:
    """A command, and what does its work."""

    def answer() -> str:
        said = io.StringIO()
        with project(), contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                run()
            except SetupError as error:
                return f"set-up stopped: {error}"
            except BottleError as error:
                return str(error)
        return said.getvalue().strip()

    return Mistake(typed, answer)


def without_terminal() -> object:
    """What `approve --edit` does where its input is no terminal."""
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        return edited(Change("agent.memory", "8g"))
    finally:
        sys.stdin = before


A = "host: a.example.com"
SECTIONS: dict[str, list[Mistake]] = {
    "The stack file": [
        file("config:\n\tclaude-bottle:bottle: {}\n"),
        file("config:\n  claude-bottle:bottle: {agent: {memory: 2g}\n"),
        file("encryptionsalt: v1:abc=\n"),
        file("config:\n"),
        file("config:\n  claude-bottle:bottle:\n"),
        file("config:\n  claude-bottle:bottle: [agent]\n"),
        file("config:\n  claude-bottle:botle: {}\n"),
        file("config:\n  claude-bottle:agent.memory: 2g\n  claude-bottle:bottle: {}\n"),
        file("config:\n  claude-bottle:ACME_TOKEN: the-token\n  claude-bottle:bottle: {}\n"),
        file("config:\n  claude-bottle:verbose: \"true\"\n  claude-bottle:bottle: {}\n"),
        file("config:\n  docker:host: myhost\n  claude-bottle:bottle: {}\n"),
    ],
    "Keys of the bottle": [
        bottle("agent: {memroy: 2g}"), bottle("egres: {routes: []}"), bottle("apt: [jq]"), bottle("colour: red"),
        bottle("workspace: {pth: ~/src}"), bottle("tokens: {GH: x}"),
        bottle("network: {outside: a, external: b}"), bottle("pipelock: {trusted: git.corp.example.com}"),
    ],
    "Values of the wrong kind": [
        bottle("agent: python3"), bottle("agent: {apt: python3}"), bottle("agent: {apt: [3]}"), bottle("agent:"),
        bottle("agent: {cpus: two}"), bottle("agent: {cpus: 0}"), bottle("agent: {memory: 4}"), bottle("agent: {command: sleep}"),
        bottle("env: [TZ]"), bottle("env: {PORT: 8080}"), bottle("prompt: [hello]"), bottle("prompt: {}"),
        bottle("skills: review"), bottle("workspace: ~/src"), bottle("workspace: {path: ~, mode: copy}"), bottle("supervise: ask"),
        bottle("egress: []"), bottle("egress: {routes: {host: a.example.com}}"), bottle("egress: {routes: [a.example.com]}"),
        bottle("git: {name: project}"), bottle("pipelock: {dlp: {max_body_mb: 1000}}"), bottle("pipelock: {engine: bultin}"),
        bottle("pipelock: {dlp: {packs: [crypo]}}"), route(f"{A}, until: 2026-01-31T12:00:00Z"), route(f"{A}, methods: GET"),
    ],
    "Values that are not accepted": [
        bottle("agent: {memory: lots}"), bottle("agent: {apt: ['jq -y']}"), bottle("agent: {npm: ['@scope']}"),
        bottle("agent: {image: a, dockerfile: b}"), bottle("agent: {dockerfile: none/Dockerfile}"), bottle("agent: {runtime: 'gVisor 1'}"),
        bottle("env: {PATH: /opt/bin}"), bottle("env: {HTTPS_PROXY: x}"), bottle("env: {MY-VAR: x}"),
        bottle("network: {external: 'my net'}"), bottle("workspace: {path: /x/y, mode: mount, copy_git: true}", lines=2),
        bottle("pipelock: {dlp: {disabled_rules: [generic-api-kye]}}"), bottle("pipelock: {dlp: {patterns: [{name: t, regex: '((tkt'}]}}"),
        bottle("pipelock: {dlp: {disabled_rules: [no-such], patterns: [{name: t, regex: '((tkt'}]}}", lines=2),
        bottle("pipelock: {passthrough: [b.example.com]}"), bottle("pipelock: {image: 'example.com/p:1'}"), bottle("pipelock: {engine: upstream}"),
        bottle("agent: {apt: 3, memory: lots}, network: {external: 7}", lines=3),
    ],
    "Routes": [
        route("host: api.github.com:443"), route("host: 'https://api.github.com/repos/acme'"), route("host: 'http://x'"),
        route("host: api.github.com/repos"), route("host: me@api.github.com"), route("host: api.github.com."), route("host: 192.0.2.1"),
        route("host: '*'"), route("host: localhost"), route("hosts: api.github.com"), route("path: [/repos]"),
        route(f"{A}, path: [/is-*]"), route(f"{A}, path: ['/repos/*/issues']"), route(f"{A}, path: [repos]"), route(f"{A}, path: [/a/../b]"),
        route(f"{A}, methods: [FETCH]"), route(f"{A}, methods: [CONNECT]"), route(f"{A}, methods: []"),
        route(f"{A}, token_ref: ACME_TOKEN"), route("host: '*.example.com', token_ref: ACME_TOKEN"), route(f"{A}, auth_scheme: bearer"),
        route(f"{A}, token_ref: ACME_TOKEN, auth_scheme: digest", lines=1), route(f"{A}, forge: [merges]"), route(f"{A}, until: tomorrow"),
        route(f"{A}, allow_headers: [Host]"),
    ],
    "git": [
        bottle("git: [{name: project}]"), bottle("git: [{name: My Project, upstream: 'https://git.example.com/a/b.git', token_ref: ACME_TOKEN}]"),
        bottle("git: [{name: b, upstream: git.example.com/a/b}]"), bottle("git: [{name: b, upstream: 'https://git.example.com/a/b.git'}]"),
        bottle("git: [{name: b, upstream: 'https://git.example.com/a/b.git', token_ref: ACME_TOKEN}]"),
        bottle("git: [{name: b, upstream: 'git@git.example.com:a/b.git', identity_file: ./no-such-key}]", lines=2),
    ],
    "The machine": [
        machine("no engine runs", ask=gone), machine("an old engine", ServerVersion="19.03.1"),
        machine("200 MB of memory are free", free=200), machine("agent: {memory: 64g}", "agent: {memory: 64g}"),
        machine("agent: {runtime: runsc}", "agent: {runtime: runsc}"), machine("network: {external: corpnet}", "network: {external: corpnet}"),
        machine("agent: {image: 'example.com/none:1'}", "agent: {image: 'example.com/none:1'}"),
        machine("a volume of a killed run", parts=(Part("volume", "v", "claude-bottle-home-demo"),)),
    ],
    "What the agent's tools answer": [
        tool("egress-block", host="api.github.com"), tool("egress-block", justification="…"),
        tool("egress-block", justification="…", hots="api.github.com"), tool("egress-block", justification="…", host="api.github.com", methods="GET"),
        tool("egress-block", justification="…", host="https://api.github.com/x"), tool("egress-block", justification="…", host="api.github.com:443"),
        tool("egress-block", justification="…", host="a.example.com", path=["/is-*"]), tool("egress-block", justification="…", host="a.example.com", methods=["FETCH"]),
        tool("pipelock-block", justification="…", host="10.0.0.1"), tool("capability-block", justification="…", capability="disk", value="8g"),
        tool("capability-block", justification="…", capability="memory", value="lots"), tool("capability-block", justification="…", capability="apt"),
        tool("list-egress-routes", verbose=True),
    ],
    "Commands": [
        command("make up STACK=dmo", lambda: provide("dmo", Path("stacks"))),
        command("bottle plan dmo", lambda: look_up("dmo", {"demo"})),
        command("bottle ask list dmo", lambda: must_be_known("dmo")),
        command("bottle audit verify dmo", lambda: must_be_remembered("dmo")),
        command("bottle ask approve demo p-0123456789 --edit < /dev/null", without_terminal),
    ],
}  # fmt: skip

_HEAD = """# Messages

What the project answers to a mistake, word for word: where the mistake is, what is wrong, and what to write. All
mistakes are reported at once, one a line. `make docs` writes this page from `tests/unit/mistakes.py`, and
`tests/unit/test_messages.py` compares it with the code; do not edit.
"""


def page() -> str:
    """docs/messages.md."""
    parts = [_HEAD]
    for title, mistakes in SECTIONS.items():
        rows = [f"| {_code(one.written)} | {_code(_shown(one.answer()))} |" for one in mistakes]
        parts.append("\n".join([f"## {title}", "| written | answered |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def _shown(text: str) -> str:
    return text.replace(str(ROOT), "/home/me/claude-bottle")


def _code(text: str) -> str:
    """Each line as code; a tab is shown as an arrow."""
    lines = [line.replace("|", "\\|").replace("\t", "→ ") for line in text.split("\n")]
    return "<br>".join(f"`` {line} ``" if "`" in line else f"`{line}`" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(page())
