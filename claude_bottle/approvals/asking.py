"""Turns requests that pipelock holds for the owner's verdict (`on_match: ask`) into proposals."""

from __future__ import annotations

import logging
from pathlib import Path

from claude_bottle.approvals.audit.decisions import Line
from claude_bottle.approvals.inbox import Inbox
from claude_bottle.policy.errors import BottleError

TOOL = "on_match: ask"  # shown where an agent's proposal names its tool
WORDS = (
    "(pipelock asks, not the agent: DLP has a finding in a request to this host, and holds the request for two minutes)"
)


def file_question(stack: str, project: Path, line: Line) -> None:
    """File the request that a line of pipelock's log asks about as a proposal. A failure is logged and not raised."""
    change = {"path": "pipelock.once", "value": line.asks}
    question = {"tool": TOOL, "change": change, "words": WORDS, "request": {}}
    try:
        Inbox(stack, project).file(question)
    except BottleError as error:  # such as too many pending proposals: the request is refused when its time is over
        logging.warning("%s: %s", stack, error)
