"""supervise keeps so many waiting calls, connections and bytes, and answers what is beyond.

Sources: JSON-RPC 2.0, 5 (an error has the id of its request, null where there is none to be had) and 5.1 (codes); MCP
2025-06-18, Streamable HTTP: a POST is answered by one JSON object or by a stream; RFC 9110, 15.5.14 (413), 15.6.4 (503).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from sidecar_images.supervise import waiting
from sidecar_images.supervise.waiting import BODY, CALLS, Connection, Message, Receive, Send, Waiting


class Owner:
    """An application whose calls wait until the owner answers."""

    def __init__(self) -> None:
        self.answer, self.seen, self.most, self.now = asyncio.Event(), list[bytes](), 0, 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        self.seen.append((await receive())["body"])
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.answer.wait()
        finally:
            self.now -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"verdict"})


async def call(app: Waiting, *bodies: bytes, kind: str = "http.request") -> tuple[int, Any]:
    """Status and body of the answer; (0, None) where there is none."""
    parts = [{"type": kind, "body": part, "more_body": at < len(bodies) - 1} for at, part in enumerate(bodies)]
    sent: list[Message] = []

    async def receive() -> Message:
        if not parts:
            await asyncio.sleep(3600)
        return parts.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(10):  # what should have been refused would wait for the owner
        await app({"type": "http"}, receive, send)
    if not sent:
        return 0, None
    body = sent[1]["body"]
    return sent[0]["status"], json.loads(body) if body.startswith(b"{") else body


def asked(identity: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": identity, "method": "tools/call"}).encode()


async def full(app: Waiting, owner: Owner) -> list[asyncio.Task[tuple[int, Any]]]:
    tasks = [asyncio.create_task(call(app, asked(number))) for number in range(CALLS)]
    while len(owner.seen) < CALLS:
        await asyncio.sleep(0)
    return tasks


def test_calls_beyond_the_limit_get_an_error_and_the_others_go_on_waiting() -> None:
    async def go() -> None:
        owner = Owner()
        app = Waiting(owner)
        tasks = await full(app, owner)
        for identity in (7, "seven"):
            status, answer = await call(app, asked(identity))
            assert (status, answer["jsonrpc"], answer["id"], answer["error"]["code"]) == (200, "2.0", identity, -32000)
            assert str(CALLS) in answer["error"]["message"]
        for body in (b"", b"{", b"[1]", asked({"a": 1}), b"[" * 60_000):
            status, answer = await call(app, body)
            assert (status, answer["id"]) == (503, None)
        assert not any(task.done() for task in tasks)
        tasks[0].cancel()  # a client that goes away makes room
        await asyncio.sleep(0)
        again = asyncio.create_task(call(app, asked(8)))
        await asyncio.sleep(0)
        owner.answer.set()
        assert await again == (200, b"verdict")
        assert await asyncio.gather(*tasks[1:]) == [(200, b"verdict")] * (CALLS - 1)
        assert owner.most == CALLS
        assert app.open == 0

    asyncio.run(go())


def test_a_body_is_passed_on_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE", 0.01)

    async def go() -> None:
        owner = Owner()
        owner.answer.set()
        app = Waiting(owner)
        assert await call(app, b"one ", b"two", b"") == (200, b"verdict")
        assert await call(app, b"x" * BODY) == (200, b"verdict")
        assert (await call(app, b"x" * BODY, b"x"))[0] == 413
        assert await call(app, b"", kind="http.disconnect") == (0, None)
        assert await call(app) == (0, None)  # what never comes is not waited for
        assert owner.seen == [b"one two", b"x" * BODY]

    asyncio.run(go())


@asynccontextmanager
async def served(app: Waiting) -> AsyncIterator[int]:
    with socket.socket() as listen:
        listen.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http=Connection, log_level="error"))
        serving = asyncio.create_task(server.serve([listen]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield listen.getsockname()[1]
        server.should_exit = True
        await serving


def test_connections_beyond_the_limit_are_told_so_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "CONNECTIONS", 3)

    async def go() -> None:
        owner = Owner()
        owner.answer.set()
        async with served(Waiting(owner)) as port:
            kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            for _, writer in kept:
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")  # and not a word more for now
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert json.loads(body)["error"]["code"] == -32000
            writer.close()
            for reader, writer in kept:
                writer.write(b"Connection: close\r\n\r\n")
                assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
                writer.close()

    asyncio.run(go())
