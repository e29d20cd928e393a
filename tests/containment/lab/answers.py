"""What the HTTP/1.1 server answers, by the third part of the path: the whole table of well-formed and broken answers.

A list of pieces, each sent on its own (a number is a pause in seconds), and whether the connection goes on after them.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

from lab import wire

Pieces = list[bytes | float]
POISON = "poison"  # marks what no client may ever get as the answer to its request


def mode(path: str) -> str:
    """Which answer a path asks for."""
    parts = path.partition("?")[0].split("/")
    return parts[3] if len(parts) > 3 else "length"


def answer(method: str, path: str, body: bytes) -> tuple[Pieces, bool]:
    kind = mode(path)
    pieces = ANSWERS.get(kind, ANSWERS["length"])(method, path, body)
    # The answer to a HEAD is whole without an end: one that closes then without a word meets the next request or not.
    return pieces, kind not in CLOSING or (kind, method) == ("unframed", "HEAD")


def _head(path: str, *fields: str, status: str = "200 OK", version: str = "HTTP/1.1", method: str = "") -> bytes:
    marked = f"X-Answer-To: {method + ' ' if method else ''}{path}"
    return "\r\n".join([f"{version} {status}", marked, *fields, "", ""]).encode("latin-1")


def _length(size: int) -> str:
    return f"Content-Length: {size}"


_CHUNKED, _CLOSE = "Transfer-Encoding: chunked", "Connection: close"
_POISON = f"HTTP/1.1 200 OK\r\nX-Answer-To: {POISON}\r\nContent-Length: {len(POISON)}\r\n\r\n{POISON}".encode()


def _fixed(*fields: str, status: str = "200 OK", extra: bytes = b"", cut: int = 0, version: str = "HTTP/1.1"):  # type: ignore[no-untyped-def]
    """An answer with its length; cut: bytes that are missing at its end."""

    def responder(method: str, path: str, body: bytes) -> Pieces:
        text = wire.content(method, path)
        size = len(wire.content("GET", path)) if method == "HEAD" else len(text)
        return [_head(path, _length(size), *fields, status=status, version=version) + text[: len(text) - cut] + extra]

    return responder


def _chunks(tail: bytes, *fields: str, size: int = 7, coding: str = _CHUNKED, status: str = "200 OK"):  # type: ignore[no-untyped-def]
    """An answer in chunks that ends with `tail`."""

    def responder(method: str, path: str, body: bytes) -> Pieces:
        head, text = _head(path, coding, *fields, status=status), wire.content(method, path)
        if method == "HEAD":
            return [head]
        return [head, wire.chunked(text, size)[: -len(b"0\r\n\r\n")] + tail]

    return responder


def _bare(*fields: str, status: str = "200 OK", text: bytes | None = None, version: str = "HTTP/1.1"):  # type: ignore[no-untyped-def]
    """An answer whose head tells no more than `fields`."""

    def responder(method: str, path: str, body: bytes) -> Pieces:
        return [
            _head(path, *fields, status=status, version=version)
            + (wire.content(method, path) if text is None else text)
        ]

    return responder


def _gzip(pieces: int, cut: int = 0, extra: bytes = b"", chunked: bool = False):  # type: ignore[no-untyped-def]
    """A compressed answer, head and content in pieces of their own."""

    def responder(method: str, path: str, body: bytes) -> Pieces:
        packed = gzip.compress(wire.content("GET" if method == "HEAD" else method, path))
        framing = _CHUNKED if chunked else _length(len(packed) + len(extra))
        head = _head(path, "Content-Encoding: gzip", framing)
        if method == "HEAD":
            return [head]
        packed = packed[: len(packed) - cut] + extra
        size = -(-len(packed) // pieces)
        parts = [packed[at : at + size] for at in range(0, len(packed), size)]
        if chunked:
            parts = [*(b"%x\r\n%b\r\n" % (len(p), p) for p in parts), b"0\r\n\r\n"]
        return [head, 0.05, *[x for part in parts for x in (part, 0.02)]]

    return responder


def _after(*first: bytes):  # type: ignore[no-untyped-def]
    """What comes before an ordinary answer, each as a piece of its own."""

    def responder(method: str, path: str, body: bytes) -> Pieces:
        return [*[x for piece in first for x in (piece, 0.02)], *_fixed()(method, path, body)]

    return responder


def _echo(method: str, path: str, body: bytes) -> Pieces:
    return [_head(path, _length(len(body))) + (b"" if method == "HEAD" else body)]


def _split(method: str, path: str, body: bytes) -> Pieces:
    """The body comes back in pieces of the lengths that the path tells."""
    pieces: Pieces = [_head(path, _length(len(body)))]
    sizes, at = [int(size) for size in path.partition("/split/")[2].split("?")[0].split("/") if size], 0
    for size in [*sizes, len(body)]:
        pieces += [body[at : at + size], 0.02]
        at += size
    return pieces


_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
_102, _100 = b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"

ANSWERS: dict[str, Callable[[str, str, bytes], Pieces]] = {
    # Well-formed: the client gets exactly these contents.
    "length": _fixed(),
    "echo": _echo,
    "split": _split,
    "chunked": _chunks(b"0\r\n\r\n"),
    "bytes": _chunks(b"0\r\n\r\n", size=1),
    "extended": _chunks(b"0;last=1\r\n\r\n"),
    "trailers": _chunks(b"0\r\nX-End: done\r\n\r\n"),
    "close": _bare(_CLOSE),
    "unframed": _bare(),
    "old": _bare(version="HTTP/1.0"),
    "oldlength": _fixed(version="HTTP/1.0"),
    "oldkeep": _fixed("Connection: keep-alive", version="HTTP/1.0"),
    "empty": _bare(_length(0), text=b""),
    "emptychunked": _bare(_CHUNKED, text=b"0\r\n\r\n"),
    "s204": _bare(status="204 No Content", text=b""),
    "s304": _bare(status="304 Not Modified", text=b""),
    "s304length": _bare(_length(500), status="304 Not Modified", text=b""),
    "s304chunked": _bare(_CHUNKED, status="304 Not Modified", text=b""),
    "s205": _bare(_length(0), status="205 Reset Content", text=b""),
    "s404": _fixed(status="404 Not Found"),
    "s500chunked": _chunks(b"0\r\n\r\n", status="500 Internal Server Error"),
    "hints": _after(_HINTS),
    "informational": _after(_100, _102, _HINTS, _HINTS),
    "together": lambda m, p, b: [_HINTS + _102 + b"".join(x for x in _fixed()(m, p, b) if isinstance(x, bytes))],
    "gzip": _gzip(1),
    "gzippieces": _gzip(9),
    "gzipchunked": _gzip(5, chunked=True),
    "slow": lambda m, p, b: [x for c in _fixed()(m, p, b)[0].splitlines(True) for x in (c, 0.01)],  # type: ignore[union-attr]
    # Broken or misleading: never a shorter answer that looks whole, never an answer of another request.
    "short": _fixed(cut=20),
    "shortchunked": _chunks(b""),
    "chunkcut": _chunks(b"ff\r\nabc"),
    "noterminator": _chunks(b"0\r\n"),
    "shortgzip": _gzip(2, cut=12),
    "long": _fixed(extra=b"and more than was told"),
    "two": _fixed(extra=_POISON),
    "twochunked": _chunks(b"0\r\n\r\n" + _POISON),
    "twolater": lambda m, p, b: [*_fixed()(m, p, b), 0.1, _POISON],
    "twogzip": _gzip(2, extra=b"hello"),
    "emptytwo": _bare(_length(0), text=_POISON),
    "s204two": _bare(status="204 No Content", text=_POISON),
    "s204length": _bare(_length(len(_POISON)), status="204 No Content", text=_POISON),
    "s304two": _bare(_length(len(_POISON)), status="304 Not Modified", text=_POISON),
    "s100only": lambda m, p, b: [_100],
    "s100many": lambda m, p, b: [_HINTS * 40],
    "s101": _bare("Upgrade: websocket", "Connection: Upgrade", status="101 Switching Protocols", text=_POISON),
    "s101bare": _bare(status="101 Switching Protocols", text=_POISON),
    "hintslength": _after(b"HTTP/1.1 103 Early Hints\r\nContent-Length: %d\r\n\r\n" % len(_POISON)),
    "coding": _chunks(b"0\r\n\r\n", coding="Transfer-Encoding: gzip, chunked"),
    "codingalone": _bare("Transfer-Encoding: gzip"),
    "codingidentity": _bare("Transfer-Encoding: identity", _length(5)),
    "codingtwice": _chunks(b"0\r\n\r\n", coding="Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "both": _chunks(b"0\r\n\r\n", _length(5)),
    "lengths": _bare(_length(5), _length(50)),
    "lengthlist": _bare("Content-Length: 5, 5"),
    "lengthplus": _bare("Content-Length: +5"),
    "lengthhuge": _bare("Content-Length: 99999999999999999999"),
    "badchunk": _chunks(b"5;\nX\r\nhello\r\n0\r\n\r\n"),
    "hexchunk": _chunks(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "folded": _bare("X-Folded: a\r\n  Content-Length: 5", _length(5), text=b"hello"),
    "spacedname": _bare("Content-Length : 5", text=b"hello"),
    "barecr": _bare("X-A: b\rContent-Length: 5", _length(5), text=b"hello"),
    "nul": _bare("X-A: b\0c", _length(5), text=b"hello"),
    "nocolon": _bare("Content-Length 5", text=b"hello"),
    "version": _fixed(version="HTTP/1.2"),
    "http2": _bare(version="HTTP/2.0"),
    "garbage": lambda m, p, b: [b"\x15\x03\x01\x00\x02\x02\x28 not HTTP at all\r\n\r\n"],
    "status99": _fixed(status="99 Low"),
    "status1000": _fixed(status="1000 High"),
    "statusword": _fixed(status="OK"),
    "endless": lambda m, p, b: [b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * (300 << 10)],
    "nothing": lambda m, p, b: [],
    "within": lambda m, p, b: [_head(p, _length(500))[:-2]],
    "trailerlength": _chunks(b"0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
}  # fmt: skip
# After these the server closes.
CLOSING = frozenset(
    [
        "close",
        "unframed",
        "old",
        "oldlength",
        "short",
        "shortchunked",
        "chunkcut",
        "noterminator",
        "shortgzip",
        "s100only",
        "coding",
        "codingalone",
        "codingidentity",
        "lengthlist",
        "lengthplus",
        "lengthhuge",
        "endless",
        "nothing",
        "within",
        "garbage",
        "status99",
        "statusword",
    ]
)
BEFORE = frozenset(["early", "earlychunked", "earlyclose", "earlystop"])  # answered before the body is read


def early(method: str, path: str) -> Pieces:
    if mode(path) == "earlychunked":
        return _chunks(b"0\r\n\r\n")(method, path, b"")  # type: ignore[no-any-return]
    return _fixed()(method, path, b"")  # type: ignore[no-any-return]


def send(sendall: Callable[[bytes], object], pieces: Pieces) -> None:
    for piece in pieces:
        if isinstance(piece, bytes):
            sendall(piece)
        else:
            time.sleep(piece)
