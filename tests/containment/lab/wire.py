"""Bytes that both sides of the lab agree on: fillers, HTTP/2 frames (RFC 9113), header blocks without compression."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence

# The names of the lab. The first two end at the HTTP/1.1 server, the others at the HTTP/2 server; pipelock splices the
# second and the fourth, so that egress itself talks to the server.
HOST, SPLICED, HOST2, SPLICED2 = (f"{name}.example.com" for name in ("strict", "spliced", "strict2", "spliced2"))
ID = re.compile(r"/(q[0-9]{5})(?=[/?#\s]|$)")  # stands in the path of every request of its case

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 0x1, 0x4, 0x8, 0x1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WORDS = b"the rain falls on the roof and the river carries it to the sea where boats lie still. "

Fields = Sequence[Sequence[str]]


def filler(size: int) -> bytes:
    """Plain prose of this many bytes."""
    return (_WORDS * (size // len(_WORDS) + 1))[:size]


def digest(body: bytes) -> dict[str, object]:
    """What a result tells of a body."""
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "head": body[:300].decode("latin-1")}


def content(method: str, path: str) -> bytes:
    """The content of an answer: it names its request, so that no other's can be taken for it."""
    return b"" if method == "HEAD" else (f"answer to {method} {path}\n" * 3).encode("latin-1")


def understood(fields: Fields, body: bytes) -> tuple[bytes, bool]:
    """The content as a client reads it, and whether it can: what is packed must be one whole member of gzip."""
    if not any(name == "content-encoding" for name, _ in fields) or not body:
        return body, True
    reader = zlib.decompressobj(31)
    try:
        plain = reader.decompress(body)
    except zlib.error:
        return body, False
    return plain, reader.eof and not reader.unused_data


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def hpack(fields: Fields) -> bytes:
    """A header block of literals that touch no table (RFC 7541, 6.2.2)."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def _string(text: str) -> bytes:
    data, size = text.encode("latin-1"), len(text)
    if size < 127:
        return bytes([size]) + data
    size, out = size - 127, bytearray([127])
    while size >= 128:
        out.append(size % 128 + 128)
        size //= 128
    return bytes(out) + bytes([size]) + data


def unpack(block: bytes) -> list[tuple[str, str]]:
    """The fields of such a block, as far as it goes."""
    fields, at = [], 0
    try:
        while at < len(block):
            words = []
            at += 1
            for _ in range(2):
                size, at = block[at], at + 1
                if size == 127:
                    shift = 0
                    while True:
                        byte, at = block[at], at + 1
                        size += (byte & 127) << shift
                        shift += 7
                        if byte < 128:
                            break
                words.append(block[at : at + size].decode("latin-1"))
                at += size
            fields.append((words[0], words[1]))
    except IndexError:
        pass
    return fields


def headers(stream: int, fields: Fields, end: bool = False) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, hpack(fields))


def data(stream: int, body: bytes, end: bool = False, size: int = 16384) -> bytes:
    """DATA frames of at most `size` bytes."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    return b"".join(
        frame(DATA, END_STREAM if end and at == len(pieces) - 1 else 0, stream, piece)
        for at, piece in enumerate(pieces)
    )


def chunked(body: bytes, size: int, trailers: Fields = ()) -> bytes:
    """A body in the chunked coding (RFC 9112, 7.1)."""
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    fields = "".join(f"{name}: {value}\r\n" for name, value in trailers).encode("latin-1")
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + fields + b"\r\n"


def frames(buffer: bytearray) -> Iterator[tuple[int, int, int, bytes]]:
    """The whole frames at the start of a buffer, which are taken out of it."""
    while len(buffer) >= 9 and len(buffer) >= 9 + (size := int.from_bytes(buffer[:3], "big")):
        kind, flags, stream = buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big") & 0x7FFFFFFF
        payload = bytes(buffer[9 : 9 + size])
        del buffer[: 9 + size]
        yield kind, flags, stream, payload
