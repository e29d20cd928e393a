"""Bounds WebSocket messages, decompressed ones too, and strips the payload of control frames.

mitmproxy forwards the payload of ping and pong (125 bytes each) and the reason of a close past every hook. wsproto
decompresses a frame's whole content at once.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from typing import Any

import wsproto.events
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.websocket import WebsocketConnection
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, Opcode, RsvBits

MAX_MESSAGE = 16 << 20  # bytes: a message is held whole until it is scanned
MOST_HELD = 128 << 20  # bytes of the messages of all sockets of the process
_MAX_FRAMES = 16 << 10  # of one message; an empty one costs memory too
_TOO_BIG, _LATER = 1009, 1013  # RFC 6455, 7.4.1; IANA's registry: try again later
_MAX_PINGS = 16  # outstanding


class Held:
    """The memory that messages of all sockets hold: a few kB on the wire may decompress to MAX_MESSAGE in each."""

    total = 0  # bytes


class Connection(WebsocketConnection):
    """One side of a WebSocket."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pings: deque[bytes] = deque(maxlen=_MAX_PINGS)
        self._frames: list[bytearray] = [bytearray()]  # of an incomplete message
        self._held = 0

    def __del__(self) -> None:
        self._release()

    def _release(self) -> None:
        """Release the memory of the held message."""
        self._frames = [bytearray()]
        Held.total -= self._held
        self._held = 0

    def events(self) -> Iterator[wsproto.events.Event]:
        """The events that this side sends: whole messages, and control frames without payload. RFC 6455, 5.5."""
        for event in super().events():
            if isinstance(event, wsproto.events.Message):
                # Joined here, because mitmproxy copies the whole frame so far for each piece that arrives.
                data = event.data.encode() if isinstance(event.data, str) else event.data
                self._frames[-1] += data
                self._held += len(data)
                Held.total += len(data)
                is_long = self._held > MAX_MESSAGE or len(self._frames) > _MAX_FRAMES
                if is_long or Held.total > MOST_HELD:
                    self._release()
                    yield wsproto.events.CloseConnection(code=_TOO_BIG if is_long else _LATER)
                    return
                if event.message_finished:
                    try:
                        yield from self._message(isinstance(event.data, str))
                    finally:  # it was scanned and sent, or its socket has ended
                        self._release()
                elif event.frame_finished:
                    self._frames.append(bytearray())
            elif isinstance(event, wsproto.events.Ping):
                self._pings.append(bytes(event.payload))
                yield wsproto.events.Ping(payload=b"")
            elif isinstance(event, wsproto.events.Pong):
                yield wsproto.events.Pong(payload=b"")
            elif isinstance(event, wsproto.events.CloseConnection):
                yield wsproto.events.CloseConnection(code=event.code, reason=None)
            else:
                yield event

    def _message(self, is_text: bool) -> Iterator[wsproto.events.Event]:
        frames, self._frames = self._frames, [bytearray()]
        for number, frame in enumerate(frames, 1):
            last = number == len(frames)
            if is_text:
                yield wsproto.events.TextMessage(data=frame.decode(), message_finished=last)
            else:
                yield wsproto.events.BytesMessage(data=bytes(frame), message_finished=last)

    def send2(self, event: wsproto.events.Event) -> commands.SendData:
        """Send to this side. A pong returns the payload of this side's own ping; an unsolicited one is dropped."""
        if isinstance(event, wsproto.events.Pong):
            if not self._pings:
                return commands.SendData(self.conn, b"")
            event = wsproto.events.Pong(payload=self._pings.popleft())
        return super().send2(event)


class BoundedDeflate(PerMessageDeflate):
    """permessage-deflate (RFC 7692) that never decompresses a message to more than MAX_MESSAGE.

    wsproto also mistakes a control frame between two frames of a compressed message for the message's end.
    """

    _made = 0  # bytes decompressed of the current message

    def frame_inbound_header(self, proto: Any, opcode: Opcode, rsv: RsvBits, payload_length: int) -> Any:
        if opcode.iscontrol():
            self._inbound_is_compressible = False
            return CloseReason.PROTOCOL_ERROR if rsv.rsv1 else RsvBits(True, False, False)
        if self._inbound_compressed is None:
            self._made = 0
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> Any:  # noqa: ARG002 - as wsproto calls it
        return self._unpack(data) if self._inbound_compressed and self._inbound_is_compressible else data

    def frame_inbound_complete(self, proto: Any, fin: bool) -> Any:
        if not fin or not self._inbound_is_compressible:
            return None
        is_packed, self._inbound_compressed = self._inbound_compressed, None
        if not is_packed:
            return None
        rest = self._unpack(b"\x00\x00\xff\xff")  # RFC 7692, 7.2.2
        if self.server_no_context_takeover if proto.client else self.client_no_context_takeover:
            self._decompressor = None
        return rest

    def _unpack(self, data: bytes) -> Any:
        assert self._decompressor is not None  # noqa: S101
        try:
            plain = self._decompressor.decompress(bytes(data), MAX_MESSAGE + 1 - self._made)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._made += len(plain)
        return plain if self._made <= MAX_MESSAGE else CloseReason.MESSAGE_TOO_BIG
