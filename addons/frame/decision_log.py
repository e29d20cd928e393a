"""The decisions of both proxies as JSON lines on standard output, which is the container's log.

Each line carries its number within this run of the process, so a reader notices missing lines. Decisions that must not
be lost are also in a record of their own (claude_bottle/policy/record.py).
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

PRIVATE = "private"  # key of a flow's metadata: the part to withhold from the log, "path", "host" or ""
_RUN, _LINES = uuid.uuid4().hex[:8], count(1)
_METHOD = re.compile(r"[A-Z][A-Z-]{0,30}\Z")
_IN_THE_PATH = ("dlp_match", "token_in_request")  # reasons whose cause may be in the path


def log_decision(part: str, **fields: object) -> None:
    """Write one JSON object to standard output. The caller leaves out secrets."""
    record = {"time": round(time.time(), 3), "part": part, **fields, "run": _RUN, "line": next(_LINES)}
    sys.stdout.write(json.dumps(record, default=str) + "\n")
    sys.stdout.flush()


def log_refusal(flow: http.HTTPFlow, refusal: Refusal, **more: object) -> None:
    """Log a refused request: the target, who refused it and why."""
    fields = where(flow)
    if refusal.reason in _IN_THE_PATH:
        fields.pop("path", None)
    log_decision(refusal.by, decision="refused", reason=refusal.reason, status=refusal.status, **fields, **more)


def log_unfinished(flow: http.HTTPFlow, part: str, **more: object) -> None:
    """Log a request of which a part has been sent, and which its client has not completed."""
    log_decision(part, decision="unfinished", **more, **where(flow))


def log_failed(flow: http.HTTPFlow, part: str, reason: str, *, refused: bool) -> None:
    """Log an allowed request that got no response. refused: this part does not trust the other side."""
    log_decision(part, decision="refused" if refused else "failed", reason=reason, **where(flow))


def log_allowed(flow: http.HTTPFlow, part: str, **more: object) -> None:
    """Log a request that `part` allowed."""
    log_decision(part, decision="allowed", **more, **where(flow))


def where(flow: http.HTTPFlow, longest: int | None = 300) -> dict[str, object]:
    """The target of a request without its private parts. longest: characters of the path."""
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
