"""Requests that wait at pipelock for the owner's word (`on_match: ask`), put among the proposals that a page shows."""

from __future__ import annotations

import logging
from pathlib import Path

from claude_bottle.approvals.audit.decisions import Line
from claude_bottle.approvals.inbox import Inbox
from claude_bottle.policy.errors import BottleError

TOOL = "on_match: ask"  # in the place of the tool of an agent that asks
WORDS = (
    "(pipelock asks, not the agent: DLP has a finding in a request to this host, and holds the request for two minutes)"
)


def file_question(stack: str, project: Path, line: Line) -> None:
    """One more proposal, if this line of pipelock's log is such a question and nobody has put it there yet."""
    change = {"path": "pipelock.once", "value": line.asks}
    question = {"tool": TOOL, "change": change, "words": WORDS, "request": {}}
    try:
        Inbox(stack, project).file(question)
    except BottleError as error:  # too many wait: the request is refused when its time is over
        logging.warning("%s: %s", stack, error)
