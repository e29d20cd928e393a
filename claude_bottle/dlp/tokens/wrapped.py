"""Separators between the letters of a wrapped secret, and spans of secrets in bytes. Pure.

How often bytes are scanned, and without which separators, depends on the kinds of their letters alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import compress

try:
    from claude_bottle.dlp.rules.scanner import ONCE, Scanner
except ImportError:  # on the owner's machine, which checks manifests only
    Scanner = None  # type: ignore[assignment,misc]

LINE = 40  # letters in a row: a line of base64 (PEM wraps at 64, MIME at 76, git forges at 60), rarely a line of text

# Possible separators between the letters of a spelling: the end of a long line, real or escaped, and the zero bytes of
# UTF-16 and UTF-32. Only data with these is scanned a second time, without separators. The test has two steps, of which
# the first is fast on all data.
_LETTER = rb"[A-Za-z0-9+/_=%.-]"
_WIDE = rb"(?:[!-~]\x00{1,3}){8}"
_PERHAPS, _WRAPPED = (rb"%b{%d}" % (_LETTER, LINE), rb"%b{%d}[\r\n\\]" % (_LETTER, LINE))
_STEPS = [Scanner([(0, step), (1, _WIDE)], ONCE) for step in (_PERHAPS, _WRAPPED)] if Scanner is not None else []
_BETWEEN = b"\0 \t\n\r\v\f"
_KEPT = bytes(byte not in _BETWEEN for byte in range(256))
_FEW = 16
_CONTINUED = re.compile(rb"\\\r?\n")  # a continued line: the letter after the break is no escape
_ESCAPE = re.compile(rb"\\\\*[nrt]?")

Span = tuple[int, int]  # first byte, byte after the last


def squeeze(data: bytes) -> bytes:
    """The bytes without ends of continued lines, white space, zero bytes, backslashes and escaped line ends."""
    if b"\\" not in data:
        return data.translate(None, _BETWEEN)
    return _ESCAPE.sub(b"", _CONTINUED.sub(b"", data).translate(None, _BETWEEN))


def views(data: bytes) -> list[bytes]:
    """The bytes; and a copy without separators if they may be there (without hyperscan, always)."""
    for scanner in _STEPS if data else ():
        seen: list[int] = []
        scanner.scan(data, lambda number, *_, seen=seen: seen.append(number))
        if not seen:
            return [data]
    return [data, squeeze(data)]


def positions(data: bytes) -> list[int]:
    """The index in data of each byte of squeeze(data)."""
    places: Sequence[int] = range(len(data))
    if b"\\" in data:
        places = _without(places, _CONTINUED.finditer(data))
        data = _CONTINUED.sub(b"", data)
    kept = list(compress(places, data.translate(_KEPT)))
    return _without(kept, _ESCAPE.finditer(data.translate(None, _BETWEEN)))


def _without(places: Sequence[int], matches: Iterable[re.Match[bytes]]) -> list[int]:
    out: list[int] = []
    last = 0
    for match in matches:
        out += places[last : match.start()]
        last = match.end()
    out += places[last:]
    return out


def merged(spans: list[Span]) -> list[Span]:
    """The same spans in order, with overlapping and adjacent ones merged."""
    out: list[Span] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = out[-1][0], max(end, out[-1][1])
        else:
            out.append((start, end))
    return out


def cover(data: bytearray, first: int, spans: list[Span], where: list[int] | None = None) -> None:
    """Mask spans, relative to `first`, with asterisks. where: for spans of a squeezed copy, the offset of each of its
    bytes."""
    for start, end in spans:
        if where is None:
            data[first + start : first + end] = b"*" * (end - start)
        else:
            _cover_apart(data, first, where, start, end)


def _cover_apart(data: bytearray, first: int, where: list[int], start: int, end: int) -> None:
    if where[end - 1] - where[start] == end - start - 1:  # no separators
        data[first + where[start] : first + where[start] + end - start] = b"*" * (end - start)
    elif end - start <= _FEW:
        for at in where[start:end]:
            data[first + at] = 0x2A
    else:
        middle = (start + end) // 2
        _cover_apart(data, first, where, start, middle)
        _cover_apart(data, first, where, middle, end)
