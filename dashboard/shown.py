"""Bottles and proposals as JSON, for the page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from claude_bottle.approvals.approval import Approval
from claude_bottle.approvals.journal import ApprovalJournal
from claude_bottle.engines.chosen import open_client
from claude_bottle.engines.client import WorkloadStatus
from claude_bottle.manifest.change import Change, ChangeError
from claude_bottle.policy.errors import BottleError, printable
from claude_bottle.policy.names.roles import ROLES
from claude_bottle.policy.proposals import Proposal


def by_stack(running: Iterable[WorkloadStatus], declared: set[str], project: Path) -> dict[str, dict[str, Any]]:
    """Every bottle that is declared or on an engine, with its parts."""
    bottles: dict[str, dict[str, Any]] = {}
    for stack in sorted(declared | {part.stack for part in running}):
        parts = {part.role: part for part in running if part.stack == stack and part.role in ROLES}
        shown = [{"role": role, "health": parts[role].health, "status": _words(parts[role].status)} for role in ROLES
                 if role in parts]  # fmt: skip
        bottles[stack] = {
            "stack": stack,
            "declared": stack in declared,
            "parts": shown,
            "attach": _attach_line(stack, project),
        }
    return bottles


def _attach_line(stack: str, project: Path) -> str:
    try:
        client = open_client(stack, project)
    except BottleError:  # about the engine's address, which `running_bottles` reports
        client = open_client(stack, variables={})
    return client.attach_line("claude")


def _words(status: str) -> str:
    # Without the time, which differs at every poll.
    return status.partition(" (")[0].split(" ")[0]


def has_supervise(bottle: dict[str, Any]) -> bool:
    """Whether its supervise is healthy, so that it answers."""
    return any(p["role"] == "supervise" and p["health"] == "healthy" for p in bottle.get("parts", []))


def proposals(stack: str, project: Path) -> list[dict[str, Any]]:
    """The proposals of a stack. Raises BottleError if supervise does not answer."""
    started = ApprovalJournal(stack).in_progress()
    approval = Approval.of(stack, project)
    listed = approval.inbox.all()
    return [_shown(approval, p, at_work=started is not None and started.id == p.id) for p in listed]


def _shown(approval: Approval, proposal: Proposal, *, at_work: bool) -> dict[str, Any]:
    try:
        content = Change.read(proposal.change, owner=True).grants
    except ChangeError:
        content = None
    return {
        "id": proposal.id,
        "created": proposal.created,
        "tool": printable(proposal.tool),
        "words": printable(proposal.words),
        "request": {key: printable(str(value)) for key, value in proposal.request.items()},
        "gain": approval.gain(proposal),
        "verdict": proposal.verdict,
        "reply": proposal.reply,
        "note": printable(proposal.note),
        "decided": proposal.decided,
        "content": bool(content),
        "at_work": at_work,
    }
