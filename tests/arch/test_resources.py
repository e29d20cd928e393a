"""What is registered for a bottle, by type, name and parent: a resource of another URN is a new one to Pulumi, which then
deletes the old one, and with it the agent's home, the mirrors or the proposals.

`resources.txt` is what is registered today. `urns_before.txt` is what stacks of before have: each of it must be a URN of
today or an alias of one (Pulumi: Resource option aliases). A resource that goes for good is taken out of both by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mocked import Recorder, Registered, compose, urn

from claude_bottle.host.git_remotes import GateRemote
from claude_bottle.manifest.model import GitRemote
from claude_bottle.policy.names.git_upstream import Upstream
from claude_bottle.workspace.copies import Copies, SkillCopy, Workspace

HERE = Path(__file__).parent
UPSTREAM = "https://git.example.com/a/p.git"
# Every kind of resource that a manifest can ask for; what is built or given in place of the own image is in `OTHER`.
FULL = {
    "agent": {"apt": ["jq"]},
    "egress": {"routes": [{"host": "api.example.com", "token_ref": "A_TOKEN"}]},
    "git": [{"name": "p", "upstream": UPSTREAM, "token_ref": "A_TOKEN"}],
}
OTHER = {"agent": {"image": "registry.example.com/agent:1"}, "supervise": False}


def registered(raw: dict[str, object], stack: str) -> Recorder:
    copies, remotes = Copies(), []
    if "git" in raw:
        workspace = Workspace("/src", "copy")
        copies = Copies("a prompt", [SkillCopy("skill", "/skill", "d")], workspace)
        remotes = [
            GateRemote(GitRemote.model_validate(raw["git"][0]), Upstream.parse(UPSTREAM), "a-long-enough-token", "")
        ]  # type: ignore[index]
    return compose(raw, {"A_TOKEN": "a-long-enough-token"}, stack, copies, remotes)[0]


@pytest.fixture(scope="module")
def recorders() -> list[Recorder]:
    return [registered(FULL, "full"), registered({}, "small"), registered(OTHER, "other")]


def apart(text: str) -> str:
    """Without the hash of an image's content, and the names of stack and project."""
    return re.sub(r"-[0-9a-f]{16}\b", "-HASH", text.partition("::claude-bottle::")[2] or text)


def described(resource: Registered) -> str:
    parent = resource.parent.rpartition("::")[2]
    return apart(f"{resource.typ} {resource.name} of {'the stack' if parent.startswith('claude-bottle-') else parent}")


def lines(file: str) -> set[str]:
    return {line for line in (HERE / file).read_text().splitlines() if line and not line.startswith("#")}


def test_what_is_registered_is_what_is_written_down(recorders: list[Recorder]) -> None:
    now = {described(r) for recorder in recorders for r in recorder.resources if r.parent}
    assert now == lines("resources.txt")


def urns(recorder: Recorder) -> set[str]:
    """Each URN of today, and each that is an alias of one: of its own, and those that the engine gives it for its
    parent's (Pulumi: Resource option aliases, inheritance).
    """
    of: dict[str, list[str]] = {}
    for r in recorder.resources:
        of[r.urn] = list(
            dict.fromkeys(
                urn(parent, typ, inherited(name, r.parent, parent))
                for parent in of.get(r.parent, [r.parent])
                for typ, name in [(r.typ, r.name), *r.formerly]
            )
        )
    return {each for every in of.values() for each in every}


def inherited(name: str, parent: str, alias: str) -> str:
    """The name of a child below an alias of its parent: where it begins with the parent's, it did so then."""
    now, then = (one.rpartition("::")[2] for one in (parent, alias))
    return then + name.removeprefix(now) if name.startswith(now) else name


def test_nothing_of_a_stack_of_before_is_deleted(recorders: list[Recorder]) -> None:
    now = {apart(each) for recorder in recorders for each in urns(recorder)}
    assert not sorted(lines("urns_before.txt") - now)
