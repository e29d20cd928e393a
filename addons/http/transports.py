"""Reads connections no faster than the other side takes the data, and in turns.

mitmproxy waits after each read until all connections of a client have been written, so one slow connection delays the
others. And it reads whichever has data, so twenty uploads would make everybody else wait for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from mitmproxy.connection import Client, Connection
from mitmproxy.proxy import commands, events, mode_servers

from addons.http.flow_end import FlowEnd
from addons.http.joined_writes import JoinedWriter
from claude_bottle.policy.idle import IDLE_SECONDS

FULL = 64 << 10  # bytes that wait for a connection before no more is written to it; asyncio's own mark
_CONTROL = 8 << 20  # bytes that wait for an HTTP/2 connection before its reading stops too: it takes no data
_BULK = 16 << 10  # bytes of one read: a connection with more data lets others go first


@dataclass
class Drained(FlowEnd):
    """Tells the layers of a client connection that one of its connections takes data again."""


@dataclass
class RoomHook(commands.StartHook):
    """A stream with a long body waits here until its receiver has taken the pending data."""

    has_room: Callable[[], bool]


class Turns:
    """Lets one waiter proceed in each round of the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._busy = False

    async def take(self) -> None:
        """Wait for a turn."""
        loop = asyncio.get_running_loop()
        if self._busy:
            turn = loop.create_future()
            self._waiting.append(turn)
            await turn
        else:
            self._busy = True
            loop.call_soon(self._next)

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)
                return
        self._busy = False


_turns = Turns()
_handlers: WeakValueDictionary[str, Handler] = WeakValueDictionary()  # by the client's id


def is_full(client: Client, transport: Connection) -> bool:
    """Whether a connection has not taken the data written to it. If so, the layers are notified when it has."""
    handler = _handlers.get(client.id)
    return handler is not None and handler.is_full(transport)


def layers_of(client: Client) -> list[Any]:
    """The layers of a client's connection that have streams; a list that may be appended to."""
    handler = _handlers.get(client.id)
    return handler.http_layers if handler is not None else []


def unsent(client: Client) -> int:
    """Bytes that wait to be sent to a client or to its upstreams."""
    handler = _handlers.get(client.id)
    return handler.unsent() if handler is not None else 0


class _Reader:
    """Reads a connection when it is its turn and the data read before has been passed on."""

    def __init__(self, handler: Handler, connection: Connection, reader: asyncio.StreamReader) -> None:
        self._handler, self._connection, self._reader = handler, connection, reader

    async def read(self, most: int) -> bytes:
        await self._handler.until_taken(self._connection)
        data = await self._reader.read(most)
        if len(data) >= _BULK:
            await _turns.take()
        return data


def _keep_alive(writer: Any) -> None:
    """Enable TCP keepalive: a dead peer is detected within minutes, and a NAT keeps its state."""
    taken = writer.get_extra_info("socket") if isinstance(writer, asyncio.StreamWriter) else None
    if taken is None:
        return
    with contextlib.suppress(OSError):  # it may be closed already
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 30), (socket.TCP_KEEPCNT, 6)):
            taken.setsockopt(socket.IPPROTO_TCP, option, value)


class Handler(mode_servers.ProxyConnectionHandler):
    """One client's connection, and its upstream connections."""

    has_room: Callable[[Client, Connection], bool]
    carries_h2: Callable[[Client, Connection], bool]
    buffered: Callable[[Client], int]
    idle_seconds: Callable[[], float] = staticmethod(lambda: IDLE_SECONDS)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)  # type: ignore[no-untyped-call]
        # mitmproxy's own ten minutes (proxy/server.py, TCP_TIMEOUT) end a long response or an idle WebSocket.
        self.timeout_watchdog.timeout = type(self).idle_seconds()  # type: ignore[assignment]
        self._moved = asyncio.Event()
        self._draining: set[Connection] = set()
        _handlers[self.client.id] = self
        self.http_layers: list[Any] = []  # those with streams, for addons/http/flow_windows.py
        self._unflushed: list[JoinedWriter] = []

    async def server_event(self, event: events.Event) -> None:
        await super().server_event(event)
        for writer in self._unflushed:  # in the order of their first writes: an upstream's reset before the client's
            writer.flush()
        self._unflushed.clear()
        self._moved.set()

    async def handle_hook(self, hook: commands.StartHook) -> None:
        if isinstance(hook, RoomHook):
            await self._until(hook.has_room)
        else:
            await super().handle_hook(hook)

    async def handle_connection(self, connection: Connection) -> None:
        io = self.transports[connection]
        _keep_alive(io.writer)
        if isinstance(io.reader, asyncio.StreamReader):
            io.reader = _Reader(self, connection, io.reader)  # type: ignore[assignment]
        if isinstance(io.writer, asyncio.StreamWriter):
            io.writer = JoinedWriter(io.writer, self._unflushed)  # type: ignore[assignment]
        await super().handle_connection(connection)

    async def drain_writers(self) -> None:
        """Do nothing: each reader waits only for the connections that its data goes to."""

    async def until_taken(self, connection: Connection) -> None:
        """Wait until a connection may be read again."""
        if type(self).carries_h2(self.client, connection):
            if self._waits_for(connection) > _CONTROL:
                await self._drain(connection)
            return
        others = [one for one in list(self.transports) if one is not connection]
        for other in others if connection is self.client else [self.client]:
            await self._drain(other)
        await self._until(lambda: type(self).has_room(self.client, connection))

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds that only the layers' events change."""
        while True:
            self._moved.clear()  # first, because asking may itself run an event
            if holds():
                return
            await self._moved.wait()

    def unsent(self) -> int:
        """Bytes that wait for one of its connections."""
        return sum(map(self._waits_for, list(self.transports))) + type(self).buffered(self.client)

    def is_full(self, transport: Connection) -> bool:
        """Whether a connection takes no data now. The layers are notified when it does again."""
        if self._waits_for(transport) <= FULL:
            return False
        io = self.transports[transport]
        if isinstance(io.writer, JoinedWriter):
            io.writer.flush()  # the socket may take it: full is a connection whose writer has to wait
            if self._waits_for(transport) <= FULL:
                return False
        if transport not in self._draining:
            self._draining.add(transport)
            asyncio.get_running_loop().create_task(self._tell_when_drained(transport))
        return True

    async def _tell_when_drained(self, transport: Connection) -> None:
        await self._drain(transport)
        self._draining.discard(transport)
        await self.server_event(Drained(None, None))  # type: ignore[arg-type]

    async def _drain(self, transport: Connection) -> None:
        io = self.transports.get(transport)
        if io is None or io.writer is None:
            return
        try:
            await io.writer.drain()
        except OSError as error:
            if io.handler is not None:
                io.handler.cancel(f"Error sending data: {error}")

    def _waits_for(self, transport: Connection) -> int:
        writer = io.writer if (io := self.transports.get(transport)) else None
        if isinstance(writer, JoinedWriter):
            return writer.unsent()
        return writer.transport.get_write_buffer_size() if isinstance(writer, asyncio.StreamWriter) else 0
