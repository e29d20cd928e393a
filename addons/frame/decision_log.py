"""The decisions of both proxies as lines of JSON on standard output, which is the container's log.

Each line has the number that it has in this run of the process, so that a reader notices lines that are gone. What a
log must not lose is in a record of its own as well (claude_bottle/policy/record.py).
"""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from itertools import count

from mitmproxy import http

from claude_bottle.policy.refusal import Refusal

PRIVATE = "private"  # key of a flow's metadata: what a log is no place for, "path", "host" or ""
_RUN, _LINES = uuid.uuid4().hex[:8], count(1)
_METHOD = re.compile(r"[A-Z][A-Z-]{0,30}\Z")
_IN_THE_PATH = ("dlp_match", "token_in_request")  # what was refused may be in the path


def log_decision(part: str, **fields: object) -> None:
    """One JSON object on standard output. The caller leaves secrets out."""
    record = {"time": round(time.time(), 3), "part": part, **fields, "run": _RUN, "line": next(_LINES)}
    sys.stdout.write(json.dumps(record, default=str) + "\n")
    sys.stdout.flush()


def log_refusal(flow: http.HTTPFlow, refusal: Refusal, **more: object) -> None:
    """Log what was refused, by whom and why."""
    fields = where(flow)
    if refusal.reason in _IN_THE_PATH:
        fields.pop("path", None)
    log_decision(refusal.by, decision="refused", reason=refusal.reason, status=refusal.status, **fields, **more)


def log_unfinished(flow: http.HTTPFlow, part: str, **more: object) -> None:
    """Log a request of which a part has left, and which its client has not ended."""
    log_decision(part, decision="unfinished", **more, **where(flow))


def log_failed(flow: http.HTTPFlow, part: str, reason: str, *, refused: bool) -> None:
    """Log an allowed request that got no answer. refused: because this part does not trust the other side."""
    log_decision(part, decision="refused" if refused else "failed", reason=reason, **where(flow))


def log_allowed(flow: http.HTTPFlow, part: str, **more: object) -> None:
    """Log what `part` let through."""
    log_decision(part, decision="allowed", **more, **where(flow))


def where(flow: http.HTTPFlow, longest: int | None = 300) -> dict[str, object]:
    """The target of a request, without what a log is no place for. longest: letters of the path."""
    request = flow.request
    private = flow.metadata.get(PRIVATE)
    method = request.method if _METHOD.match(request.method) else "other"
    if private == "host":
        return {"method": method, "withheld": "host and path"}
    if private:
        return {"method": method, "host": request.host, "withheld": "path"}
    # Without the query, which may hold what was refused.
    path = request.path.partition("?")[0].partition("#")[0][:longest]
    return {"method": method, "host": request.host, "path": path}
