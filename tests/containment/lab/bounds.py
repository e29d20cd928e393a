"""Drives the corrected layers of the image's mitmproxy without sockets, and tells what became of each case as JSON.

Nothing here is a proxy of its own: an addon is played by `hooks`, the upstream by what a case puts in.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

sys.path.insert(0, "/app")

from lab import wsframes
from mitmproxy import connection, http, options
from mitmproxy.proxy import commands, context, events, layers
from mitmproxy.proxy.layers.http import HTTPMode

from addons.http import http1_readers
from addons.http import layers as http_layers
from addons.http.flow_end import HOLD

http_layers.install("egress")

Hook = Callable[[Any], object]


_OPTIONS: tuple[tuple[str, Any, Any], ...] = (
    *((name, bool, True) for name in ("websocket", "validate_inbound_headers", "normalize_outbound_headers")),
    *((name, bool, False) for name in ("rawtcp", "keep_host_header", "store_streamed_bodies")),
    ("http_connect_send_host_header", bool, True),
    ("connection_strategy", str, "lazy"),
    ("http2_ping_keepalive", int, 0),
)


class Side:
    """One client connection and its upstream."""

    def __init__(self, **hooks: Hook) -> None:
        opts = options.Options()
        for name, kind, default in _OPTIONS:
            if name not in opts:
                opts.add_option(name, kind, default, "")
        self.client = connection.Client(
            peername=("127.0.0.1", 1),
            sockname=("127.0.0.1", 2),
            timestamp_start=0.0,
            state=connection.ConnectionState.OPEN,
        )
        client_context = context.Context(self.client, opts)
        self.layer = layers.HttpLayer(client_context, HTTPMode.regular)
        self.server: Any = None
        self.hooks, self.names = hooks, [""]
        self.flow: Any = None
        self.to_client, self.to_server = bytearray(), bytearray()
        self.closed: list[str] = []
        self.feed(events.Start())

    def feed(self, event: events.Event) -> None:
        queue = [event]
        while queue:
            for command in self.layer.handle_event(queue.pop(0)):
                reply = self._reply(command)
                if reply is not None:
                    queue.append(reply)

    def _reply(self, command: commands.Command) -> events.Event | None:
        if isinstance(command, commands.SendData):
            (self.to_client if command.connection is self.client else self.to_server).extend(command.data)
        elif isinstance(command, commands.OpenConnection):
            self.server = command.connection
            self.server.state = connection.ConnectionState.OPEN
            return events.OpenConnectionCompleted(command, None)
        elif isinstance(command, commands.CloseConnection):
            self.closed.append("client" if command.connection is self.client else "server")
            command.connection.state = connection.ConnectionState.CLOSED
        elif isinstance(command, commands.StartHook):
            self.names.append(command.name)
            self.flow = getattr(command, "flow", self.flow)
            self.hooks.get(command.name, lambda _: None)(self.flow)
            return events.HookCompleted(command, None) if command.blocking else None
        return None

    def client_sends(self, data: bytes, step: int = 65536) -> None:
        self._send(self.client, data, step)

    def server_sends(self, data: bytes, step: int = 65536) -> None:
        self._send(self.server, data, step)

    def _send(self, conn: Any, data: bytes, step: int) -> None:
        for at in range(0, len(data), step):
            if not conn.state & connection.ConnectionState.CAN_READ:
                return
            self.feed(events.DataReceived(conn, data[at : at + step]))

    @property
    def streams(self) -> int:
        return len(self.layer.streams)

    @property
    def waiting(self) -> int:
        return len(self.layer.connections[self.client].buf)


POST = b"POST http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n"
CHUNK = b"10000\r\n" + b"a" * 65536 + b"\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


def summary(side: Side, **more: object) -> dict[str, object]:
    """What became of it: who was cut, what was asked of addons, how much left."""
    return {"closed": side.closed, "hooks": side.names[1:], "to_server": len(side.to_server), **more}


def raises(_: bytes) -> list[bytes]:
    raise RuntimeError("a stream function that fails")


def request_stream_raises() -> dict[str, object]:
    side = Side(requestheaders=lambda flow: setattr(flow.request, "stream", raises))
    side.client_sends(POST + CHUNK)
    sent = len(side.to_server)
    side.client_sends(CHUNK + b"0\r\n\r\n")
    return summary(side, sent_after=len(side.to_server) - sent, whole=side.to_server.endswith(b"0\r\n\r\n"))


def response_stream_raises() -> dict[str, object]:
    side = Side(responseheaders=lambda flow: setattr(flow.response, "stream", raises))
    side.client_sends(GET)
    side.server_sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK)
    side.server_sends(CHUNK + b"0\r\n\r\n")
    return summary(side, whole=side.to_client.endswith(b"0\r\n\r\n"), shown=b"aaaa" in side.to_client)


def stream_raises_at_the_end() -> dict[str, object]:
    def stream(chunk: bytes) -> list[bytes]:
        return [chunk] if chunk else raises(chunk)

    side = Side(requestheaders=lambda flow: setattr(flow.request, "stream", stream))
    side.client_sends(POST + CHUNK + b"0\r\n\r\n")
    return summary(side, whole=side.to_server.endswith(b"0\r\n\r\n"))


def refused_body_without_an_end() -> dict[str, object]:
    side = Side(requestheaders=lambda flow: flow.metadata.__setitem__(HOLD, 64 << 10))
    side.client_sends(POST)
    most = 0
    for _ in range(40):
        side.client_sends(CHUNK)
        most = max([most, *(len(stream.request_body_buf) for stream in side.layer.streams.values())])
    return summary(side, most=most)


def answered_body_without_an_end() -> dict[str, object]:
    side = Side(requestheaders=lambda flow: setattr(flow, "response", http.Response.make(403, b"no")))
    side.client_sends(POST)
    for _ in range(40):
        side.client_sends(CHUNK)
    return summary(side)


def held_body_passes() -> dict[str, object]:
    side = Side(
        requestheaders=lambda flow: flow.metadata.__setitem__(HOLD, 64 << 10),
        request_overflow=lambda flow: setattr(flow.request, "stream", True),
    )
    side.client_sends(POST + CHUNK * 5 + b"0\r\n\r\n")
    side.server_sends(ANSWER)
    return summary(side, whole=side.to_server.endswith(b"0\r\n\r\n"), answered=side.to_client.endswith(b"abc"))


def pipelined_behind_a_request() -> dict[str, object]:
    side = Side()
    side.client_sends(GET)
    most = 0
    for _ in range(100):
        side.client_sends(GET * 600)
        most = max(most, side.waiting)
    return summary(side, most=most)


def few_pipelined_requests() -> dict[str, object]:
    side = Side()
    side.client_sends(GET * 20)
    for _ in range(20):
        side.server_sends(ANSWER)
    return summary(side, answers=side.to_client.count(b"abc"))


def empty_lines_without_an_end() -> dict[str, object]:
    side = Side()
    most = 0
    for _ in range(20):
        side.client_sends(b"\r\n" * 30_000)
        most = max(most, side.waiting)
    side.client_sends(GET)
    return summary(side, most=most, asked=side.names.count("request"))


def heads_that_drip() -> dict[str, object]:
    """How many bytes are searched for the end of a head that comes byte by byte."""
    searched = 0

    class Counted:
        def search(self, data: bytes, start: int = 0, *rest: int) -> object:
            nonlocal searched
            searched += len(data) - start
            return blank.search(data, start, *rest)

    blank = http1_readers._BLANK_LINE
    http1_readers._BLANK_LINE = Counted()  # type: ignore[assignment]
    long = b"X-Long: " + b"a" * 8000 + b"\r\n\r\n"
    side = Side()
    side.client_sends(GET[:-2] + long, step=1)
    side.server_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + long + b"abc", step=1)
    side.client_sends(POST + b"1\r\na\r\n0\r\n")
    side.client_sends(long, step=1)
    http1_readers._BLANK_LINE = blank
    return summary(side, searched=searched, requests=side.names.count("request"))


def connection_raises() -> dict[str, object]:
    side = Side()
    side.client_sends(GET)
    side.layer.connections[side.client].send = lambda _: raises(b"")
    side.server_sends(ANSWER)
    return summary(side, shown=len(side.to_client))


UPGRADE = (
    b"GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


def upgraded(**hooks: Hook) -> Side:
    side = Side(**hooks)
    side.client_sends(UPGRADE)
    side.server_sends(UPGRADED)
    return side


def packed(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def framed(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """RFC 6455, 5.2, masked with zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + size.to_bytes(2) if size < 65536 else b"\xff" + size.to_bytes(8)
    return bytes([(0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode]) + length + bytes(4) + payload


def packed_message_without_measure() -> dict[str, object]:
    side = upgraded()
    bomb = framed(wsframes.BINARY, packed(bytes(60 << 20)), rsv1=True)
    tracemalloc.start()
    side.client_sends(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return summary(side, peak=peak, sent=len(bomb))


def packed_messages_within_measure() -> dict[str, object]:
    seen: list[int] = []
    side = upgraded(websocket_message=lambda flow: seen.append(len(flow.websocket.messages[-1].content)))
    side.client_sends(framed(wsframes.BINARY, packed(bytes(15 << 20)), rsv1=True))
    side.client_sends(framed(wsframes.TEXT, packed(b"words " * 9), rsv1=True))
    return summary(side, seen=seen)


def ping_within_a_packed_message() -> dict[str, object]:
    seen: list[str] = []
    side = upgraded(websocket_message=lambda flow: seen.append(flow.websocket.messages[-1].text))
    whole = packed(b"one two three " * 9)
    side.client_sends(framed(wsframes.TEXT, whole[:5], fin=False, rsv1=True))
    side.client_sends(framed(wsframes.PING, b"x"))
    side.client_sends(framed(wsframes.CONTINUED, whole[5:]))
    return summary(side, seen=seen)


def long_session() -> dict[str, object]:
    kept: list[int] = []
    side = upgraded(websocket_message=lambda flow: kept.append(len(flow.websocket.messages)))
    for _ in range(50):
        side.client_sends(framed(wsframes.TEXT, b"hello") * 20)
    return summary(side, most=max(kept), messages=len(kept), kept=len(side.flow.websocket.messages))


def message_in_many_pieces() -> dict[str, object]:
    seen: list[int] = []
    side = upgraded(websocket_message=lambda flow: seen.append(len(flow.websocket.messages[-1].content)))
    parts = [framed(wsframes.TEXT if n == 0 else wsframes.CONTINUED, "é".encode() * 500, fin=n == 9) for n in range(10)]
    side.client_sends(b"".join(parts), step=7)
    return summary(side, seen=seen)


def frames_without_an_end() -> dict[str, object]:
    side = upgraded()
    side.client_sends(framed(wsframes.BINARY, b"", fin=False) + framed(wsframes.CONTINUED, b"", fin=False) * 40_000)
    return summary(side)


CASES = (
    request_stream_raises, response_stream_raises, stream_raises_at_the_end, refused_body_without_an_end,
    answered_body_without_an_end, held_body_passes, pipelined_behind_a_request, few_pipelined_requests,
    empty_lines_without_an_end, heads_that_drip, connection_raises, packed_message_without_measure, packed_messages_within_measure,
    ping_within_a_packed_message, long_session, message_in_many_pieces, frames_without_an_end,
)  # fmt: skip


def main() -> None:
    """One line for each case, behind one that says that they come."""
    sys.stdin.readline()
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    print("ready", flush=True)
    for case in CASES:
        logged.clear()
        try:
            outcome: dict[str, object] = case()
        except Exception as error:
            outcome = {"error": repr(error), "where": traceback.format_exc()[-1500:]}
        print(json.dumps({"case": case.__name__, **outcome, "logged": logged}), flush=True)
    print("{}", flush=True)


if __name__ == "__main__":
    main()
