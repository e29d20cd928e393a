"""What one event makes for a connection leaves in one write, in its order, and nothing stays behind.

Source: asyncio, StreamWriter (docs.python.org/3/library/asyncio-stream.html): write, drain, write_eof, close.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mitmproxy import options
from mitmproxy.proxy import commands, events, layer, mode_specs
from mitmproxy.proxy.server import ConnectionIO

from addons.http import transports
from addons.http.joined_writes import JoinedWriter


class Transport:
    """Keeps what it is given, in pieces, and the order of the calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.closing, self.size = False, 7

    def write(self, data: bytes) -> None:
        self.calls.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    async def drain(self) -> None:
        self.calls.append("drain")

    def write_eof(self) -> None:
        self.calls.append("eof")

    def close(self) -> None:
        self.calls.append("close")

    @property
    def transport(self) -> Transport:
        return self

    def get_write_buffer_size(self) -> int:
        return self.size


@pytest.fixture(autouse=True)
def _no_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports.Handler, "has_room", staticmethod(lambda *_: True), raising=False)
    monkeypatch.setattr(transports.Handler, "carries_h2", staticmethod(lambda *_: False), raising=False)


@pytest.fixture
def under() -> Transport:
    return Transport()


def joined(under: Transport) -> JoinedWriter:
    return JoinedWriter(under, [])  # type: ignore[arg-type]


def test_pieces_of_any_size_arrive_in_their_order(under: Transport) -> None:
    numbers, writer, sent = random.Random(5), joined(under), b""
    for _ in range(2000):
        piece = numbers.randbytes(numbers.choice((0, 1, 30, 900, 20_000, 40_000)))
        writer.write(piece)
        sent += piece
        if numbers.random() < 0.1:
            writer.flush()
        assert writer.unsent() - 7 <= 32 << 10
    writer.flush()
    assert b"".join(under.calls) == sent
    assert writer.unsent() == 7


def test_short_ones_are_one_write_and_a_long_one_is_not_copied_behind_them(under: Transport) -> None:
    writer, long = joined(under), b"x" * 40_000
    writer.write(b"head")
    writer.write(b"body")
    assert (under.calls, writer.unsent()) == ([], 15)
    writer.write(long)
    assert under.calls == [b"headbody", long]


@pytest.mark.parametrize("last", ["drain", "write_eof", "close"])
def test_nothing_is_overtaken(under: Transport, last: str) -> None:
    writer = joined(under)
    writer.write(b"a")
    done = getattr(writer, last)()
    if done is not None:
        asyncio.run(done)
    assert under.calls == [b"a", last.removeprefix("write_")]


def test_to_a_connection_that_closes_nothing_is_written(under: Transport) -> None:
    writer, under.closing = joined(under), True
    writer.write(b"a")
    writer.flush()
    assert (under.calls, writer.unsent()) == ([], 7)


class Answers(layer.Layer):
    """For each letter that arrives, what it stands for."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            for letter in event.data:
                yield from self.answer(event.connection, letter)

    def answer(self, client: Any, letter: int) -> layer.CommandGenerator[None]:
        if letter == ord("x"):
            raise ValueError("a layer that fails")
        if letter == ord("c"):
            yield commands.CloseConnection(client)
        elif letter == ord("e"):
            yield commands.CloseTcpConnection(client, half_close=True)
        else:
            yield commands.SendData(client, bytes([letter]) * 3)


@asynccontextmanager
async def handled() -> AsyncIterator[transports.Handler]:
    """A handler of a connection that nobody uses."""
    handler: asyncio.Future[transports.Handler] = asyncio.get_running_loop().create_future()

    def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mode = mode_specs.ProxyMode.parse("regular")
        handler.set_result(transports.Handler(None, reader, writer, options.Options(), mode))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    ends = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield await handler
    finally:
        ends[1].close()
        server.close()


@asynccontextmanager
async def served() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mode = mode_specs.ProxyMode.parse("regular")
        handler = transports.Handler(None, reader, writer, options.Options(), mode)
        handler.handle_hook = nothing  # type: ignore[method-assign, assignment]
        handler.layer = Answers(handler.layer.context)
        await handler.handle_client()

    async def nothing(_: Any) -> None: ...

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    ends = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield ends
    finally:
        ends[1].close()
        server.close()


def said(send: bytes, hear: Callable[[asyncio.StreamReader], Coroutine[Any, Any, bytes]]) -> bytes:
    async def talk() -> bytes:
        async with served() as (reader, writer):
            writer.write(send)
            return await asyncio.wait_for(hear(reader), 10)

    return asyncio.run(talk())


def test_a_connection_gets_all_of_an_event_and_then_its_end() -> None:
    assert said(b"abc", lambda reader: reader.read()) == b"aaabbb"
    assert said(b"abe", lambda reader: reader.read()) == b"aaabbb"
    assert said(b"ab", lambda reader: reader.readexactly(6)) == b"aaabbb"


def test_what_a_layer_sent_before_it_failed_is_sent() -> None:
    """mitmproxy writes at once; the connection stays open after a failed event (proxy/server.py, server_event)."""
    assert said(b"abx", lambda reader: reader.readexactly(6)) == b"aaabbb"


def test_one_event_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    write = asyncio.StreamWriter.write
    monkeypatch.setattr(asyncio.StreamWriter, "write", lambda self, data: (writes.append(data), write(self, data)))
    said(b"abdf", lambda reader: reader.readexactly(12))
    assert writes == [b"abdf", b"aaabbbdddfff"]


def test_a_wait_ends_though_asking_runs_the_event_that_ends_it() -> None:
    """A task that starts at once (asyncio.eager_task_factory, which mitmproxy sets) may set what is waited for."""

    async def wait() -> None:
        async with handled() as handler:
            asked: list[bool] = []

            def holds() -> bool:
                if not asked:
                    handler._moved.set()  # the event of a connection that takes data again
                asked.append(True)
                return len(asked) > 1

            await asyncio.wait_for(handler._until(holds), 5)

    asyncio.run(wait())


@pytest.mark.parametrize("taken", [True, False])
def test_a_connection_is_full_if_its_socket_takes_no_more(under: Transport, taken: bool) -> None:
    """Pieces that wait for the end of an event are no reason to wait for the other side."""

    async def ask() -> bool:
        async with handled() as handler:
            writer = joined(under)
            handler.transports[handler.client] = ConnectionIO(writer=writer)  # type: ignore[arg-type]
            under.size = transports.FULL if taken else transports.FULL + 1
            writer.write(b"x" * 100)
            assert handler._waits_for(handler.client) > transports.FULL
            full = handler.is_full(handler.client)
            assert under.calls[0] == b"x" * 100
            return full

    assert asyncio.run(ask()) is not taken


def test_bytes_after_the_end_of_a_half_are_logged_and_nothing_else_fails(under: Transport) -> None:
    def write(_: bytes) -> None:
        raise RuntimeError("Cannot call write() after write_eof()")

    writer, under.write = joined(under), write  # type: ignore[method-assign]
    writer.write(b"a")
    writer.flush()
    assert writer.unsent() == 7
