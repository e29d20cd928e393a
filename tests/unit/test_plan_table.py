"""The plan for people: what the agent can reach, and what an `up` would change."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from components.copies import Copies, SkillCopy, WorkspaceCopy
from components.egress_plan import EgressPlan
from components.manifest import Manifest
from components.plan import plan
from components.plan_table import changes, plans, show


def make(raw: dict[str, Any], copies: Copies | None = None) -> dict[str, Any]:
    manifest = Manifest.model_validate(raw)
    images = {"agent": "agent:1", "egress": "egress:1", "pipelock": "pipelock:1", "supervise": "supervise:1"}
    return plan("s", manifest, EgressPlan.of(manifest.egress), copies or Copies(), [], images)


ONE = {
    "egress": {
        "routes": [
            {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
            {"host": "api.github.com", "path": ["/repos/a"], "methods": ["GET"], "token_ref": "GH"},
        ]
    },
    "agent": {"apt": ["make"]},
    "env": {"TZ": "x"},
}


def shown(preview: dict[str, Any]) -> str:
    out = io.StringIO()
    assert show(preview, Console(file=out, width=120, highlight=False))
    return out.getvalue()


def step(op: str, **states: Any) -> dict[str, Any]:
    return {"op": op, "urn": "urn:pulumi:s::claude-bottle::claude-bottle:bottle:Bottle::s", **states}


def test_a_person_reads_what_the_agent_can_do() -> None:
    copies = Copies("hi", [SkillCopy("review", "/h/review", "d")], WorkspaceCopy("/h/p", "copy", True, 3, "d"))
    text = shown({"steps": [step("create", newState={"inputs": {"plan": make(ONE, copies)}})]})
    for words in (
        "api.github.com: GET on /repos/a, with bearer EGRESS_TOKEN_1",
        "GH at api.github.com; the agent never has it",
        "placeholder for Claude Code",
        "api.anthropic.com: what is said there is not looked at",
        "the prompt",
        "skill review from /h/review",
        "3 files of /h/p, with its .git",
        "apt packages: make",
        "env: TZ",
        "the bottle is new",
    ):
        assert words in text, words


def test_git_is_told() -> None:
    remote = {"name": "p", "upstream": "ssh://git@git.example.com/a/p.git", "branches": ["agent/*"], "force": "allow"}
    with_git = {**make({}), "git_remotes": [{**remote, "deletes": "never"}]}
    text = shown(
        {"steps": [step("update", oldState={"inputs": {"plan": make({})}}, newState={"inputs": {"plan": with_git}})]}
    )
    assert "ssh://git@git.example.com/a/p.git: fetch; push to agent/*, force allowed; every commit scanned" in text
    assert "+ the agent gains git ssh://git@git.example.com/a/p.git" in text


def test_changes_are_told_in_plain_words() -> None:
    two = {**ONE, "egress": {"routes": [ONE["egress"]["routes"][0], {"host": "new.example.com"}]}, "prompt": "x"}  # type: ignore[index]
    told = list(changes(make(ONE), make(two, Copies("x\n"))))
    assert told[0].startswith("- the agent loses api.github.com: GET on /repos/a")
    assert told[1].startswith("+ the agent gains new.example.com: every method on every path")
    assert "- api.github.com: not let through by pipelock any more" in told
    assert any(line.startswith("~ prompt_sha256: null → ") for line in told)
    assert list(changes(make(ONE), make(ONE))) == []


def test_an_unchanged_bottle_is_read_from_its_outputs() -> None:
    root = {"op": "same", "urn": "urn:pulumi:s::claude-bottle::pulumi:pulumi:Stack::claude-bottle-s"}
    preview = {"steps": [{**root, "oldState": {"outputs": {"plan": make({})}}, "newState": {}}]}
    assert "would change nothing" in shown(preview)
    assert "nothing outside" in shown(preview)
    assert plans({"steps": []}) == (None, None)


def test_what_stops_a_preview_is_shown() -> None:
    out = io.StringIO()
    told = {"steps": [], "diagnostics": [{"message": "2 errors in the way"}]}
    assert not show(told, Console(file=out, width=100))
    assert "2 errors" in out.getvalue()
