"""Refusals that a model's clients show to their user: in the API's own form, with a status that prevents retries. Pure.

Clients show any other body as noise, treat 403 as a failed sign-in, and retry a 5xx for minutes before they show it.
Sources: Anthropic, "Errors" (type, error.type, error.message; 400 is invalid_request_error); OpenAI, "Error codes"; the
retries of both vendors' SDKs (408, 409, 429 and from 500 on).
"""

from __future__ import annotations

import re
from typing import Any

STATUS = 400
# By path, because a gateway may have any name (Claude Code, "LLM gateway configuration").
_PATH = re.compile(r"(?:/v1/messages(?:/count_tokens)?|/chat/completions|/v1/responses)\Z")
# Over within seconds, so a retry is right (addons/egress/next_hop.py decides when that no longer holds).
BRIEF = frozenset(["starting", "busy", "next_hop"])
_AGAIN = (
    " This text is sent again with every turn: rewind to before it (Esc Esc in Claude Code), or start a new"
    " conversation."
    " The bottle's owner can have it masked instead (pipelock.dlp.hosts, on_match: redact)."
)


def is_model_call(path: str) -> bool:
    """Whether a path is one of a model's API. path: with or without its query."""
    return _PATH.search(path.partition("?")[0]) is not None


def status_of(path: str, status: int, reason: str = "") -> int:
    """The status of a refusal. A model's call gets the API's own for an invalid request, unless the cause is brief."""
    if not is_model_call(path) or (status == 503 and reason in BRIEF):
        return status
    return STATUS if status == 403 or status >= 500 else status


def in_its_form(path: str, refusal: dict[str, Any]) -> dict[str, Any]:
    """The fields of a refusal; for a model's call, with those that the API's clients show."""
    if not is_model_call(path):
        return refusal
    who = f"Refused by {refusal['refused_by']}" if "refused_by" in refusal else f"Failed at {refusal['failed_at']}"
    words = f"{who} of this sandbox ({refusal['reason']}): {refusal['message']}"
    words += _AGAIN if refusal["reason"] == "dlp_match" else ""
    # Claude Code shows the outer message if there is one.
    return {**refusal, "message": words, "type": "error", "error": {"type": "invalid_request_error", "message": words}}
