"""The tool's answer to the agent about its proposal. Pure."""

from __future__ import annotations

from claude_bottle.policy.proposals import APPROVED, PENDING, STILL_REFUSED, Proposal


def answer(proposal: Proposal) -> str:
    """The text for the agent: the proposal's verdict, its note and the owner's reply."""
    reply = f" {proposal.note}" if proposal.note else ""
    reply += f" The owner says: {proposal.reply}" if proposal.reply else ""
    if proposal.verdict == PENDING:
        return f"pending: {proposal.id}. Call this tool again with proposal_id={proposal.id} to keep waiting.{reply}"
    if proposal.verdict == APPROVED and proposal.note.startswith(STILL_REFUSED):
        return f"approved: {proposal.id}, and the change is made.{reply}"
    if proposal.verdict == APPROVED:
        return f"approved: {proposal.id}. It is in force; try again.{reply}"
    return f"rejected: {proposal.id}. Do not ask for the same again.{reply}"
