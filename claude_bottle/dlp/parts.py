"""The parts of a multipart body, by the boundary that is declared and by those that are there. Linear. Pure.

A boundary that a reader would take for one cuts: a line of two dashes and a name, with a header or an empty line behind
it (RFC 2046, 5.1.1), and the one that the content type names, wherever it begins a line. What stands before the first
and behind the last is looked at as parts are.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from functools import cache

from claude_bottle.dlp.fields import REACH, ends
from claude_bottle.dlp.rules.allow import compile_bytes
from claude_bottle.dlp.rules.find import finder
from claude_bottle.dlp.verdict import Unscannable

View = tuple[str, bytes]

MOST = 10_000  # parts of one body
_DECLARED = re.compile(r"""boundary\*?\d*\*?\s*=\s*(?:"([^"]{1,200})"|([^\s;,"]{1,200}))""", re.IGNORECASE)
_HEADERS = re.compile(  # of a request too (application/http)
    rb"(?:[A-Z]{3,20} [^\r\n]{1,2000} HTTP/[0-9.]{1,3}\r?\n)?"
    rb"(?:[A-Za-z][A-Za-z0-9-]{0,60}[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*)+\r?\n"
)
_NAMES = re.compile(rb"""name\*?\d*\*?=(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))""", re.IGNORECASE)
_LINE = r"--[^\r\n]{0,200}[^\r\n \t-][^\r\n]{0,200}\r?\n(?:[A-Za-z][A-Za-z0-9-]{1,60}:|\r?\n)"
_may_be_cut, _SMALL = cache(lambda: finder(_LINE)), 16 << 10
# In much text RE2 goes from line break to line break.
_BOUNDARY, _LATER_BOUNDARY = compile_bytes(rf"(?:\A|\n){_LINE}"), compile_bytes(rf"\n{_LINE}")
_MESSAGE = re.compile(rb"(?i)(?:^|\n)content-(?:type|transfer-encoding)[ \t]*:")


@dataclass(frozen=True)
class Part:
    """What it says that it is, what it holds once its transfer encoding is undone, and its names in one piece."""

    content_type: str = ""
    payload: bytes = b""
    names: bytes = field(default=b"")


def boundaries(content_type: str) -> re.Pattern[bytes]:
    """What cuts a body of this content type."""
    declared = [quoted or bare for quoted, bare in _DECLARED.findall(content_type)]
    exact = "|".join(re.escape(name) for name in declared)
    lines = rf"(?:{exact})(?:--)?[ \t]*(?=\r?\n|\Z)|" if exact else ""
    # Behind one that is not declared stands a header or an empty line; the last one closes.
    unknown = r"(?!-*[ \t]*\r?\n)[^\r\n]{1,200}?(?:(?=\r?\n(?:[A-Za-z][A-Za-z0-9-]{1,60}:|\r?\n))|--[ \t]*(?=\r?\n|\Z))"
    return re.compile(rf"(?:\A|\r?\n)--(?:{lines}{unknown})".encode("latin-1", "replace"))


def is_cut(data: bytes) -> bool:
    """Whether a line is in it that a reader would take for a boundary; dashes alone are a line in Markdown."""
    if len(data) < _SMALL:
        return _may_be_cut()(data) and _BOUNDARY.search(data) is not None
    return _BOUNDARY.match(data) is not None or _LATER_BOUNDARY.search(data) is not None


def is_message(data: bytes) -> bool:
    """Whether it begins with headers that say what is behind them: a message, or a part."""
    match = _HEADERS.match(data) if b":" in data[:100] else None
    return match is not None and _MESSAGE.search(match.group()) is not None


def parts_of(data: bytes, content_type: str) -> list[Part]:
    """All parts, what is before the first and behind the last included; none if nothing cuts. Raises Unscannable where
    there are too many."""
    cuts = [match.span() for match in boundaries(content_type).finditer(data)]
    if len(cuts) > MOST:
        raise Unscannable("unreadable_multipart", f"a multipart body with more than {MOST:,} parts")
    if not cuts:
        return []
    starts, stops = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(data)]
    return [part_of(data[start:stop]) for start, stop in zip(starts, stops, strict=True)]


def part_of(data: bytes) -> Part:
    """What stands between two boundaries, or a message."""
    data = data[2:] if data[:2] == b"\r\n" else data[1:] if data[:1] == b"\n" else data
    match = _HEADERS.match(data)
    if match is None:
        return Part(payload=data)
    headers, payload = match.group(), data[match.end() :]
    message = Message()
    for line in re.sub(rb"\r?\n[ \t]+", b" ", headers).splitlines():
        name, colon, value = line.partition(b":")
        if colon and name.strip().lower() in (b"content-type", b"content-transfer-encoding"):
            message[name.decode("latin-1").strip()] = value.decode("latin-1").strip()
    encoding = str(message.get("content-transfer-encoding", "")).strip().lower()
    names = b"".join(quoted or bare for quoted, bare in _NAMES.findall(headers))
    return Part(str(message.get("content-type", "")), _transferred(payload, encoding), names)


def _transferred(payload: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return binascii.a2b_qp(payload)
    if encoding == "base64":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", payload)  # as all who read MIME skip what is none (RFC 2045, 6.8)
        return binascii.a2b_base64(letters[: len(letters) - (len(letters) % 4 == 1)] + b"==")
    if encoding in ("x-uuencode", "uuencode", "uue", "x-uue"):
        return b"\n".join(_uudecoded(line) for line in payload.splitlines())
    return payload


def _uudecoded(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        return line


def joined_parts(parts: Iterable[Part]) -> Iterator[View]:
    """What the parts make together: their contents alone, and with their names."""
    payloads, named = [], []
    for part in parts:
        payloads.append(ends(part.payload.strip(b"\r\n")))
        named += [part.names, payloads[-1]]
    yield "parts>joined", b"".join(payloads)
    yield "parts>named", b"".join(named)


class PartFields:
    """The parts of a long body put together, as they come."""

    def __init__(self, content_type: str) -> None:
        self._cut = boundaries(content_type)
        self._rest = b""
        self._count = 0

    def feed(self, data: bytes, last: bool) -> Iterator[View]:
        data = self._rest + data
        # A boundary whose line is not complete, or what is behind it, is waited for.
        done = len(data) if last else max(0, data.rfind(b"\n", 0, max(0, len(data) - 300)))
        parts, at = [], 0
        for match in self._cut.finditer(data):
            if match.start() >= done:
                break
            parts.append(part_of(data[at : match.start()]))
            at = match.end()
            self._count += 1
        if self._count > MOST:
            raise Unscannable("unreadable_multipart", f"a multipart body with more than {MOST:,} parts")
        rest = data[at:]
        if last:
            parts.append(part_of(rest))
            rest = b""
        # Its headers, and its two ends.
        self._rest = rest if len(rest) <= 64 * REACH else rest[: 32 * REACH] + b"\n" + rest[-2 * REACH :]
        yield from joined_parts(parts)
