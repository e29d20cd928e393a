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
    exchange = tflow.tflow(req=tutils.treq(method=method.encode(), content=body))
    exchange.request.headers.clear()
    exchange.request.url = url
    exchange.request.headers["host"] = exchange.request.host
    for name, value in headers.items():
        exchange.request.headers[name.replace("_", "-")] = value
    if body:
        exchange.request.headers["content-length"] = str(len(body))
    exchange.server_conn.peername = None  # nothing has been dialled
    exchange.client_conn.sni = exchange.request.host if exchange.request.scheme == "https" else None
    return exchange


def now(hook: Coroutine[Any, Any, None]) -> None:
    """Run a hook that waits for nothing to its end."""
    try:
        hook.send(None)
    except StopIteration:
        return
    hook.close()
    raise AssertionError("the hook waits for something")


def refusal(exchange: http.HTTPFlow) -> dict[str, Any]:
    """What a refused request was answered."""
    assert exchange.response is not None
    body: dict[str, Any] = json.loads(exchange.response.content or b"")
    return body
