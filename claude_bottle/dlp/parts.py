"""Splits a multipart body into its parts, at declared and at undeclared boundaries. Linear time. Pure.

Every line that some reader would treat as a boundary is one (RFC 2046, 5.1.1): two dashes and a name, followed by a
header or an empty line; and the boundary that the content type declares, wherever it begins a line. The preamble and
the epilogue are scanned as parts too.
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

MOST = 10_000  # parts of one body, at most
_DECLARED = re.compile(r"""boundary\*?\d*\*?\s*=\s*(?:"([^"]{1,200})"|([^\s;,"]{1,200}))""", re.IGNORECASE)
_HEADERS = re.compile(  # after the request line of an application/http part, if any
    rb"(?:[A-Z]{3,20} [^\r\n]{1,2000} HTTP/[0-9.]{1,3}\r?\n)?"
    rb"(?:[A-Za-z][A-Za-z0-9-]{0,60}[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*)+\r?\n"
)
_NAMES = re.compile(rb"""name\*?\d*\*?=(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))""", re.IGNORECASE)
_LINE = r"--[^\r\n]{0,200}[^\r\n \t-][^\r\n]{0,200}\r?\n(?:[A-Za-z][A-Za-z0-9-]{1,60}:|\r?\n)"
_may_be_cut, _SMALL = cache(lambda: finder(_LINE)), 16 << 10
# On long text, RE2 jumps from line break to line break.
_BOUNDARY, _LATER_BOUNDARY = compile_bytes(rf"(?:\A|\n){_LINE}"), compile_bytes(rf"\n{_LINE}")
_MESSAGE = re.compile(rb"(?i)(?:^|\n)content-(?:type|transfer-encoding)[ \t]*:")


@dataclass(frozen=True)
class Part:
    """The declared content type, the payload with its transfer encoding decoded, and the values of the headers' `name`
    and `filename` parameters joined."""

    content_type: str = ""
    payload: bytes = b""
    names: bytes = field(default=b"")


def boundaries(content_type: str) -> re.Pattern[bytes]:
    """An expression that matches each boundary of a body of this content type."""
    declared = [quoted or bare for quoted, bare in _DECLARED.findall(content_type)]
    exact = "|".join(re.escape(name) for name in declared)
    lines = rf"(?:{exact})(?:--)?[ \t]*(?=\r?\n|\Z)|" if exact else ""
    # A header or an empty line follows an undeclared boundary; the closing one ends with two dashes.
    unknown = r"(?!-*[ \t]*\r?\n)[^\r\n]{1,200}?(?:(?=\r?\n(?:[A-Za-z][A-Za-z0-9-]{1,60}:|\r?\n))|--[ \t]*(?=\r?\n|\Z))"
    return re.compile(rf"(?:\A|\r?\n)--(?:{lines}{unknown})".encode("latin-1", "replace"))


def is_cut(data: bytes) -> bool:
    """Whether the data has a line that a reader would treat as a boundary. Dashes alone are a rule in Markdown."""
    if len(data) < _SMALL:
        return _may_be_cut()(data) and _BOUNDARY.search(data) is not None
    return _BOUNDARY.match(data) is not None or _LATER_BOUNDARY.search(data) is not None


def is_message(data: bytes) -> bool:
    """Whether the data begins with headers, among them Content-Type or Content-Transfer-Encoding: a message or a
    part."""
    match = _HEADERS.match(data) if b":" in data[:100] else None
    return match is not None and _MESSAGE.search(match.group()) is not None


def parts_of(data: bytes, content_type: str) -> list[Part]:
    """All parts, with preamble and epilogue; an empty list if there is no boundary. Raises Unscannable for more than
    MOST boundaries."""
    cuts = [match.span() for match in boundaries(content_type).finditer(data)]
    if len(cuts) > MOST:
        raise Unscannable("unreadable_multipart", f"a multipart body with more than {MOST:,} parts")
    if not cuts:
        return []
    starts, stops = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(data)]
    return [part_of(data[start:stop]) for start, stop in zip(starts, stops, strict=True)]


def part_of(data: bytes) -> Part:
    """One part, or a message, from its bytes: headers and payload. Without headers, all bytes are payload."""
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
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", payload)  # every MIME reader skips other characters (RFC 2045, 6.8)
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
    """The views of all parts joined: payloads alone, and payloads with their names. Of a long one, its two ends."""
    payloads, named = [], []
    for part in parts:
        payloads.append(ends(part.payload.strip(b"\r\n")))
        named += [part.names, payloads[-1]]
    yield "parts>joined", b"".join(payloads)
    yield "parts>named", b"".join(named)


class PartFields:
    """The joined parts of a body that arrives in pieces."""

    def __init__(self, content_type: str) -> None:
        self._cut = boundaries(content_type)
        self._rest = b""
        self._count = 0

    def feed(self, data: bytes, last: bool) -> Iterator[View]:
        data = self._rest + data
        # Wait for more data if a boundary's line, or the line after it, may be incomplete.
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
        # Keep the headers and both ends of a long part.
        self._rest = rest if len(rest) <= 64 * REACH else rest[: 32 * REACH] + b"\n" + rest[-2 * REACH :]
        yield from joined_parts(parts)
