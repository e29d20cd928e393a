"""Requests as mitmproxy hands them to an addon."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Any

from mitmproxy import http
from mitmproxy.test import tflow, tutils


def flow(
    url: str = "https://open.example.org/x", method: str = "GET", body: bytes = b"", **headers: str
) -> http.HTTPFlow:
    """A request over TLS (for https) whose names all agree; keywords are headers, _ for -."""
    made = tflow.tflow(req=tutils.treq(method=method.encode(), content=body))
    made.request.headers.clear()
    made.request.url = url
    made.request.headers["host"] = made.request.host
    for name, value in headers.items():
        made.request.headers[name.replace("_", "-")] = value
    if body:
        made.request.headers["content-length"] = str(len(body))
    made.server_conn.peername = None  # nothing has been dialled
    made.client_conn.sni = made.request.host if made.request.scheme == "https" else None
    return made


def now(hook: Coroutine[Any, Any, None]) -> None:
    """Run a hook that waits for nothing to its end."""
    try:
        hook.send(None)
    except StopIteration:
        return
    hook.close()
    raise AssertionError("the hook waits for something")


def refusal(made: http.HTTPFlow) -> dict[str, Any]:
    """What a refused request was answered."""
    assert made.response is not None
    told: dict[str, Any] = json.loads(made.response.content or b"")
    return told
