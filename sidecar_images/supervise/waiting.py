"""Limits the calls that wait for the owner, and the memory for requests.

A call beyond the limit gets a JSON-RPC error at once, a connection beyond its limit a 503, a body longer than any
proposal a 413. Waiting calls are not affected. The agent can use up the limits with calls of its own; the owner's
commands do not come this way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

CALLS, CONNECTIONS = 64, 256  # a waiting call takes 0.15 MB, a connection some kB
BODY = 64 << 10  # bytes: justification and change are 4,000 characters each at most
_PATIENCE = 30.0  # seconds in which a body must arrive
_BUSY, _TOO_LONG = -32000, -32600  # JSON-RPC 2.0, 5.1: server error, invalid request
_MANY = f"supervise has {CALLS} open calls, its limit. End some that wait, or call again later."

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Waiting:
    """An ASGI application around another one, which gets at most CALLS requests at a time, each with its whole body."""

    def __init__(self, app: App) -> None:
        self._app, self.open = app, 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await _whole(receive)
        except (TimeoutError, ConnectionError):
            return None  # the connection ends without a response
        if body is None:
            return await _answer(send, 413, None, _TOO_LONG, f"the request is longer than {BODY} bytes")
        if self.open >= CALLS:
            identity = _identity(body)
            return await _answer(send, 503 if identity is None else 200, identity, _BUSY, _MANY)
        self.open += 1
        try:
            return await self._app(scope, _again(body, receive), send)
        finally:
            self.open -= 1


class Connection(H11Protocol):
    """A connection of uvicorn. At most CONNECTIONS are served at a time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            body = _error(None, _BUSY, f"supervise has {CONNECTIONS} open connections, its limit")
            head = (
                f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            )
            transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
            transport.close()


async def _whole(receive: Receive) -> bytes | None:
    """The body, or None if it is too long. Raises ConnectionError if the client has gone."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError
        body += message.get("body", b"")
        if len(body) > BODY:
            return None
        if not message.get("more_body"):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def give() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give


def _identity(body: bytes) -> str | int | None:
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        return None
    identity = call.get("id") if isinstance(call, dict) else None
    return identity if isinstance(identity, str | int) else None


def _error(identity: str | int | None, code: int, words: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": words}}).encode()


async def _answer(send: Send, status: int, identity: str | int | None, code: int, words: str) -> None:
    body = _error(identity, code, words)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
