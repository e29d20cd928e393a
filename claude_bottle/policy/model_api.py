"""Refusals that a model's clients show to their user: in the API's own form, with a status that prevents retries. Pure.

Clients show any other body as noise, treat 403 as a failed sign-in, and retry a 5xx for minutes before they show it.
Sources: Anthropic, "Errors" (type, error.type, error.message; 400 is invalid_request_error); OpenAI, "Error codes"; the
retries of both vendors' SDKs (408, 409, 429 and from 500 on); Amazon Bedrock API Reference, InvokeModel and Converse,
and the AWS restJson1 protocol (`__type`, `message`); Google Cloud, API design guide, "Errors" (error.code, .message,
.status), which Vertex AI and Gemini follow.
"""

from __future__ import annotations

import re
from typing import Any

STATUS = 400
# By path, because a gateway may have any name (Claude Code, "LLM gateway configuration").
_PATH = re.compile(r"(?:/v1/messages(?:/count_tokens)?|/chat/completions|/v1/responses)\Z")
# docs.aws.amazon.com/bedrock/latest/APIReference: POST /model/modelId/invoke and so on; modelId is one segment.
_BEDROCK = re.compile(r"/model/[^/]+/(?:invoke|invoke-with-response-stream|converse|converse-stream|count-tokens)\Z")
# cloud.google.com/vertex-ai/docs/reference/rest: …/models/MODEL:streamRawPredict; ai.google.dev/api/generate-content.
_GOOGLE = re.compile(r":(?:rawPredict|streamRawPredict|generateContent|streamGenerateContent|countTokens)\Z")
# Over within seconds, so a retry is right (addons/egress/next_hop.py decides when that no longer holds).
BRIEF = frozenset(["starting", "busy", "next_hop"])
_AGAIN = (
    " This text is sent again with every turn: rewind to before it (Esc Esc in Claude Code), or start a new"
    " conversation."
    " The bottle's owner can have it masked instead (pipelock.dlp.hosts, on_match: redact)."
)


def is_model_call(path: str) -> bool:
    """Whether a path is one of a model's API. path: with or without its query."""
    bare = path.partition("?")[0]
    return any(api.search(bare) for api in (_PATH, _BEDROCK, _GOOGLE))


def status_of(path: str, status: int, reason: str = "") -> int:
    """The status of a refusal. A model's call gets the API's own for an invalid request, unless the cause is brief."""
    if not is_model_call(path) or (status == 503 and reason in BRIEF):
        return status
    return STATUS if status == 403 or status >= 500 else status


def in_its_form(path: str, refusal: dict[str, Any], status: int) -> dict[str, Any]:
    """The fields of a refusal; for a model's call, with those that the API's clients show. status: see `status_of`."""
    if not is_model_call(path):
        return refusal
    who = f"Refused by {refusal['refused_by']}" if "refused_by" in refusal else f"Failed at {refusal['failed_at']}"
    words = f"{who} of this sandbox ({refusal['reason']}): {refusal['message']}"
    words += _AGAIN if refusal["reason"] == "dlp_match" else ""
    error: dict[str, Any] = {"type": "invalid_request_error", "message": words}
    bare = path.partition("?")[0]
    code = status_of(path, status, refusal["reason"])
    if _GOOGLE.search(bare):
        error |= {"code": code, "status": "UNAVAILABLE" if code == 503 else "INVALID_ARGUMENT"}
    again = "ServiceUnavailableException" if code == 503 else "ValidationException"
    kind = {"__type": again} if _BEDROCK.search(bare) else {}
    # Claude Code and AWS' SDKs show the outer message.
    return {**refusal, **kind, "message": words, "type": "error", "error": error}
