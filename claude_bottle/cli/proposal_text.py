"""A proposal as text for the owner's terminal, with the content that it would let through."""

from __future__ import annotations

import shutil
import time

from rich.cells import chop_cells

from claude_bottle.approvals.approval import Approval
from claude_bottle.approvals.asking import TOOL
from claude_bottle.approvals.held import HeldContent
from claude_bottle.policy.errors import BottleError, printable
from claude_bottle.policy.own_command import own_command
from claude_bottle.policy.proposals import PENDING, Proposal

_QUOTE = "  | "


def quoted(text: str) -> str:
    """An agent's words, each row prefixed, because they could imitate the lines of this program."""
    width = max(20, shutil.get_terminal_size().columns - len(_QUOTE))
    rows = (row for line in printable(text).split("\n") for row in chop_cells(line, width) or [""])
    return "\n".join(_QUOTE + row for row in rows)


def line(approval: Approval, proposal: Proposal) -> str:
    """One proposal as a line of a list."""
    when = time.strftime("%Y-%m-%d %H:%M%z", time.localtime(proposal.created))
    return f"{proposal.id}  {when}  {proposal.verdict:<8}  {approval.gain(proposal)}"


def show(approval: Approval, proposal: Proposal, page: int = 1) -> str:
    """Everything about one proposal, with one page of the content that it would let through."""
    parts = [
        line(approval, proposal),
        "a request waits:" if proposal.tool == TOOL else f"asked with {printable(proposal.tool)}; the agent says:",
        quoted(proposal.words),
        "",
    ]
    if proposal.request:
        request = ", ".join(f"{key} {value}" for key, value in proposal.request.items())
        parts += ["the refused request, as the agent reports it:", quoted(request), ""]
    if proposal.verdict == PENDING:
        change = approval.change(proposal)
        if change.grants:
            parts.append(
                content(HeldContent(approval.inbox, approval.stack, change), page, approval.stack, proposal.id)
            )
        try:
            parts += [f"note: {printable(note)}" for note in approval.notes(proposal, change)]
            parts.append(printable(approval.diff(change)))
        except BottleError as error:
            parts.append(printable(str(error)))
    elif proposal.reply:
        parts.append(f"you said: {proposal.reply}")
    if proposal.note:
        parts.append(printable(proposal.note))
    started = approval.journal.in_progress()
    if started is not None and started.id == proposal.id:
        parts.append("approval interrupted or still running: `approve` resumes it, `reject` rolls it back")
    return "\n".join(parts)


def content(held: HeldContent, page: int, stack: str, identity: str) -> str:
    """A page of the content that a sidecar holds for a verdict, and how much has not been shown."""
    try:
        view = held.show(page)
    except BottleError as error:
        return str(error)
    own, theirs = ("what", "why"), ("headers", "text")
    parts = [str(view[key]) for key in own if key in view] + [quoted(str(view[key])) for key in theirs if key in view]
    if view["pages"] > 1:
        parts.append(
            f"-- page {page} of {view['pages']}; another one: {own_command(f'ask show {stack} {identity} --page N')}"
        )
    if view["unseen"]["count"]:
        parts.append(f"-- {view['unseen']['text']} have not been shown to you")
    return "\n".join(parts)
