"""WebSocket frames (RFC 6455, 5.2) for both sides of the lab, and the server's side of a WebSocket.

The path's fourth part says what the server does: `echo`, `ping`, `pong`, `close` (each with a canary), `fragments`.
A fifth part `deflate` accepts permessage-deflate (RFC 7692). Each frame that comes is written down as it came.
"""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import zlib
from collections.abc import Callable, Iterator
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG, CONTINUED = 1, 2, 8, 9, 10, 0
CANARY = b"canary-of-the-server"


def frame(opcode: int, payload: bytes, *, masked: bool, fin: bool = True, rsv1: bool = False) -> bytes:
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    size, flag = len(payload), 0x80 if masked else 0
    if size < 126:
        head = bytes([first, size | flag])
    elif size < 1 << 16:
        head = bytes([first, 126 | flag]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 127 | flag]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def take(buffer: bytearray) -> Iterator[dict[str, Any]]:
    """The whole frames at the start of a buffer, which are taken out of it."""
    while len(buffer) >= 2:
        size, at = buffer[1] & 0x7F, 2
        wide = {126: 2, 127: 8}.get(size, 0)
        size = int.from_bytes(buffer[at : at + wide], "big") if wide else size
        at += wide
        masked = bool(buffer[1] & 0x80)
        key = bytes(buffer[at : at + 4]) if masked else b"\0\0\0\0"
        at += 4 if masked else 0
        if len(buffer) < at + size:
            return
        payload = bytes(byte ^ key[n % 4] for n, byte in enumerate(buffer[at : at + size]))
        first = buffer[0]
        del buffer[: at + size]
        yield {
            "opcode": first & 15, "fin": bool(first & 0x80), "rsv1": bool(first & 0x40), "masked": masked,
            "payload": payload.decode("latin-1"),
        }  # fmt: skip


def deflate(text: bytes) -> bytes:
    """A message as permessage-deflate has it, without a context before it."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(data: bytes) -> bytes:
    return zlib.decompressobj(wbits=-15).decompress(data + b"\0\0\xff\xff")


def accept(key: str) -> str:
    whole = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(whole.encode()).digest()).decode()


def serve(conn: ssl.SSLSocket, rest: bytes, path: str, headers: dict[str, str], write: Callable[..., None]) -> None:
    """Answer an upgrade and then do what the path says, until the connection ends."""
    parts = path.split("/")
    extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if "deflate" in parts else ""
    conn.sendall(
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{extension}"
        f"Sec-WebSocket-Accept: {accept(headers.get('sec-websocket-key', ''))}\r\n\r\n".encode()
    )
    start = {
        "ping": frame(PING, CANARY, masked=False),
        "pong": frame(PONG, CANARY, masked=False),
        "close": frame(CLOSE, (1000).to_bytes(2, "big") + CANARY, masked=False),
        "fragments": frame(TEXT, b"one ", masked=False, fin=False) + frame(PING, CANARY, masked=False)
        + frame(CONTINUED, b"two ", masked=False, fin=False) + frame(CONTINUED, b"three", masked=False),
        "deflated": frame(TEXT, deflate(b"one two three " * 10), masked=False, rsv1=True),
    }.get(parts[4] if len(parts) > 4 else "", b"")  # fmt: skip
    conn.sendall(start)
    buffer = bytearray(rest)
    try:
        while True:
            for received_frame in take(buffer):
                write(**received_frame)
                payload = received_frame["payload"].encode("latin-1")
                if received_frame["opcode"] == PING:
                    conn.sendall(frame(PONG, payload, masked=False))
                elif received_frame["opcode"] == CLOSE:
                    conn.sendall(frame(CLOSE, payload, masked=False))
                    return
                elif received_frame["opcode"] != PONG and "echo" in parts:
                    same = {"fin": received_frame["fin"], "rsv1": received_frame["rsv1"]}
                    conn.sendall(frame(received_frame["opcode"], payload, masked=False, **same))
            piece = conn.recv(65536)
            if not piece:
                return
            buffer += piece
    except (TimeoutError, OSError):
        return
