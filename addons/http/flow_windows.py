"""Flow control across a proxy: one side gets window, or is read, only as fast as the other side takes the data.

mitmproxy acknowledges HTTP/2 data at once and buffers without limit what the other side does not take, so one slow
reader could use up all memory. Here the data that a stream buffers is bounded: by the stream's window (RFC 9113, 5.2)
if it arrives over HTTP/2, by not reading the connection if it arrives over HTTP/1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from h2.events import Event, StreamEnded, StreamReset
from h2.exceptions import H2Error
from h2.stream import StreamState
from mitmproxy import version
from mitmproxy.connection import Client, Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _http2
from mitmproxy.proxy.layers.http._events import RequestData, ResponseData
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection, SendH2Data

from addons.http.transports import is_full, layers_of

# The headers of mitmproxy's own error responses, after the status (proxy/layers/http/_http2.py).
_OF_AN_ERROR = [(b"server", version.MITMPROXY.encode()), (b"content-type", b"text/html")]
WINDOW = 65_535  # bytes, the initial window of a stream by the protocol
_LARGEST = 4 << 20  # bytes: the largest growth of a stream's window while the other side keeps up
_AHEAD = 256 << 10  # bytes of a stream that may wait for a side before no more is read for it
JOINED = 4 << 10  # bytes: waiting pieces are joined up to this size, because each costs some 200 bytes more
_PIECES = 4  # reads of a connection that may wait while a WebSocket's messages are inspected
_RECEIVING = (StreamState.OPEN, StreamState.HALF_CLOSED_LOCAL)


class Growth:
    """The growth of all streams' windows in the process, beyond their initial size."""

    most = 64 << 20  # bytes

    def __init__(self) -> None:
        self.given = 0

    def take(self, size: int) -> int:
        """Take at most `size` bytes of the growth that is left; returns the number."""
        taken = min(size, self.most - self.given)
        self.given += taken
        return taken


growth = Growth()


class WindowedH2(BufferedH2Connection):
    """An HTTP/2 connection that gives window on request, and not when data arrives."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.local_settings.initial_window_size = WINDOW
        self.local_settings.acknowledge()
        self.owed: dict[int, int] = {}  # stream to its bytes that arrived and were not acknowledged
        self._grown: dict[int, int] = {}

    def __del__(self) -> None:
        growth.given -= sum(self._grown.values())

    def acknowledge_received_data(self, acknowledged_size: int, stream_id: int) -> None:
        """Note bytes as owed. mitmproxy calls this for all data that arrives."""
        self.owed[stream_id] = self.owed.get(stream_id, 0) + acknowledged_size

    def send_headers(self, stream_id: int, headers: Any, *args: Any, **more: Any) -> None:
        """Send headers. mitmproxy declares its own error responses as HTML, but they are JSON
        (addons/frame/error_page.py)."""
        if [(name, value) for name, value in headers][1:] == _OF_AN_ERROR:
            headers = [headers[0], (b"content-type", b"application/json")]
        super().send_headers(stream_id, headers, *args, **more)

    def give(self, stream_id: int) -> None:
        """Acknowledge the data of a stream, and let its window grow, because the other side takes the data."""
        size = self.owed.pop(stream_id, 0)
        super().acknowledge_received_data(size, stream_id)
        stream = self.streams.get(stream_id)
        if stream is None or stream.state_machine.state not in _RECEIVING:
            return
        grown = self._grown.get(stream_id, 0)
        more = growth.take(min(size, _LARGEST - grown))
        if more > 0:
            self._grown[stream_id] = grown + more
            with contextlib.suppress(H2Error):  # the peer has closed it
                self.increment_flow_control_window(more, stream_id)

    def receive_data(self, data: bytes) -> list[Event]:
        """Parse data. When the peer has ended a stream, release its share of the growth."""
        received: list[Event] = super().receive_data(data)
        for event in received:
            if isinstance(event, StreamEnded | StreamReset):
                growth.given -= self._grown.pop(event.stream_id, 0)
        return received

    def reset_stream(self, stream_id: int, error_code: int = 0) -> None:
        growth.given -= self._grown.pop(stream_id, 0)
        super().reset_stream(stream_id, error_code)

    def send_data(self, stream_id: int, data: bytes, end_stream: bool = False, pad_length: None = None) -> None:
        """Send, or append to the data that waits for window."""
        waiting = self.stream_buffers.get(stream_id)
        if waiting and not waiting[-1].end_stream and len(waiting[-1].data) + len(data) <= JOINED:
            waiting[-1] = SendH2Data(waiting[-1].data + data, end_stream)
        else:
            super().send_data(stream_id, data, end_stream, pad_length)

    def waiting(self, stream_id: int) -> int:
        """Bytes that wait for the peer's window."""
        return sum(len(piece.data) for piece in self.stream_buffers.get(stream_id, ()))


@dataclass
class Grant(events.Event):
    """Tells an HTTP/2 connection the streams whose data was all taken."""

    streams: list[int]


class _Granting(_http2.Http2Connection):
    h2_conn: WindowedH2

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if not isinstance(event, Grant):
            yield from super()._handle_event(event)
            return
        for stream_id in event.streams:
            self.h2_conn.give(stream_id)
        if data := self.h2_conn.data_to_send():
            yield commands.SendData(self.conn, data)

    def close_connection(self, msg: str) -> CommandGenerator[None]:
        self.h2_conn.owed.clear()
        yield from super().close_connection(msg)


class GrantingServer(_Granting, _http2.Http2Server):
    """The client's side."""


class GrantingClient(_Granting, _http2.Http2Client):
    """The upstream's side."""


def register(layer: layers.HttpLayer) -> None:
    """Let `has_room` consider a layer's streams. Call it once for each layer."""
    layers_of(layer.context.client).append(layer)


def grants(layer: layers.HttpLayer) -> CommandGenerator[None]:
    """Give window for all data that the other sides of a layer's streams have taken."""
    for connection, side in list(layer.connections.items()):
        if connection.alpn != b"h2" or not isinstance(spoken := _spoken(side), _Granting) or not spoken.h2_conn.owed:
            continue
        names = spoken.their_stream_id if isinstance(spoken, GrantingClient) else {}
        taken = []
        for number in spoken.h2_conn.owed:
            stream = layer.streams.get(names.get(number, number))
            if stream is None or _is_taken(layer, stream, from_client=connection is layer.context.client):
                taken.append(number)
        if taken:
            yield from layer.event_to_child(side, Grant(taken))


def may_go_on(stream: layers.HttpStream) -> bool:
    """Whether a stream may send more of a body: its data so far was taken, or other events wait for it."""
    if stream._paused_event_queue:
        return True
    client = stream.context.client
    layer = next((one for one in layers_of(client) if one.streams.get(stream.stream_id) is stream), None)
    return layer is None or _is_taken(layer, stream, from_client=True)


def has_room(client: Client, transport: Connection) -> bool:
    """Whether the data read from an HTTP/1 connection has been passed on, so that more may be read."""
    for layer in layers_of(client):
        for stream in list(layer.streams.values()):
            from_client = transport is client
            if not from_client and transport_of(layer, stream.context.server) is not transport:
                continue
            if not _is_taken(layer, stream, from_client=from_client):
                return False
    return True


def carries_h2(client: Client, transport: Connection) -> bool:
    """Whether a connection carries HTTP/2, which has windows of its own."""
    if transport is client:
        return client.alpn == b"h2"
    return any(
        connection.alpn == b"h2" and transport_of(layer, connection) is transport
        for layer in layers_of(client)
        for connection in list(layer.connections)
    )


def buffered(client: Client) -> int:
    """Bytes of all streams that wait for their peers' windows."""
    sides = (_spoken(side) for layer in layers_of(client) for side in set(layer.connections.values()))
    spoken = [side.h2_conn for side in sides if isinstance(side, _Granting)]
    return sum(one.waiting(number) for one in spoken for number in list(one.stream_buffers))


def transport_of(layer: layers.HttpLayer, connection: Connection) -> Connection:
    """The connection with a socket: for one through the next proxy, the connection to that proxy."""
    return cast("Connection", getattr(layer.connections.get(connection), "tunnel_connection", connection))


def _is_taken(layer: layers.HttpLayer, stream: layers.HttpStream, *, from_client: bool) -> bool:
    if stream.child_layer is not None:  # a tunnel, whose own layers handle it, or a WebSocket
        return len(stream.child_layer._paused_event_queue) < _PIECES
    to = stream.context.server if from_client else stream.context.client
    waiting = _data(stream._paused_event_queue)
    spoken = _spoken(layer.connections.get(to))
    if isinstance(spoken, _Granting):
        number: int | None = stream.stream_id
        if isinstance(spoken, GrantingClient):
            waiting += _data(spoken.stream_queue.get(stream.stream_id, ()))
            number = spoken.our_stream_id.get(stream.stream_id)
        waiting += spoken.h2_conn.waiting(number) if number is not None else 0
    return waiting <= _AHEAD and not is_full(layer.context.client, transport_of(layer, to))


def _data(queue: Iterable[events.Event]) -> int:
    return sum(len(event.data) for event in queue if isinstance(event, RequestData | ResponseData))


def _spoken(side: Layer | None) -> Layer | None:
    """The layer that speaks HTTP, below those of TLS and of another proxy."""
    while (below := getattr(side, "child_layer", None)) is not None and not isinstance(side, layers.HttpStream):
        side = below
    return side
