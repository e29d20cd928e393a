"""Records a request that may change something outside, before any of it leaves (claude_bottle/policy/record.py).

That is a request with an unsafe method (RFC 9110, 9.2.1), with a body, or with an upgrade, such as to WebSocket. Other
requests are only logged.
"""

from __future__ import annotations

from mitmproxy import http

from addons.frame.decision_log import where
from addons.frame.request import Decision
from addons.frame.request_target import has_content
from claude_bottle.policy.record import Record, RecordFullError
from claude_bottle.policy.refusal import Refusal

_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))


def is_write(request: http.Request) -> bool:
    """Whether a request may change something outside."""
    return request.method not in _SAFE or has_content(request) or "upgrade" in request.headers


def put_on_record(record: Record, flow: http.HTTPFlow, decision: Decision, about: dict[str, object]) -> Refusal | None:
    """Record an allowed write and set the decision's number, once. Returns a refusal if it cannot be recorded."""
    if decision.number or not is_write(flow.request):
        return None
    try:
        event = {"part": "egress", "decision": "allowed", **about, **where(flow, longest=None)}
        decision.number = record.append(event)
    except RecordFullError as error:
        message = f"A request that writes needs a record, but {error}. The bottle's owner collects it: "
        return Refusal("egress", "record_full", message + "bottle audit collect NAME", 503)
    return None
