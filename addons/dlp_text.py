"""The ways in which a piece of text can be read: as it is, backwards, as a person reads it, with encodings undone."""

from __future__ import annotations

import binascii
import re
import warnings
from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

from pybase64 import b64decode

from addons.dlp_fold import folded, letters
from addons.dlp_near import OVERLAP, near, places_of
from addons.dlp_rules import compile_bytes
from addons.dlp_runs import runs

View = tuple[str, bytes]  # (how it was read, for the log; the bytes)

WINDOW = 1 << 20  # bytes that are looked at together
REVERSED = "reversed"  # a view in which only the precise rules count: generic ones find something in any text
PLAIN = "plain"  # a view that differs little from another one, of which no more is to be made
_DEPTH = 3  # encodings within encodings that are undone
_HEX = re.compile(rb"[0-9A-Fa-f]{32,}")
# RE2, for these run over every byte of every view.
_LONG_HEX = compile_bytes(r"(?:[0-9A-Fa-f]{2}){16,}")
_PERCENT = compile_bytes(r"%[0-9A-Fa-f]{2}")
_ESCAPE = compile_bytes(r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|/)")
# An unknown escape stays as it is, which is right. Once for the process: a change of filters is for all threads.
warnings.filterwarnings("ignore", "invalid (octal )?escape sequence", DeprecationWarning)
_INNER, _SLASH = compile_bytes(r'\\":'), compile_bytes(r"\\/")
_SHORTEST_HEX, _WORD = 32, 128  # bytes
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def text_views(data: bytes, depth: int = _DEPTH, label: str = "text") -> Iterator[View]:
    """The bytes themselves, and what percent, backslash, base64 and hex encoding hide in them, nested too;
    backwards, and as a person reads them.

    Long ones are looked at in overlapping windows, so that what is undone at one time stays small. Where few letters
    are encoded, what is around them is undone, not all.
    """
    if len(data) > WINDOW + OVERLAP:
        for start in range(0, len(data), WINDOW):
            yield from text_views(data[start : start + WINDOW + OVERLAP], depth, label)
        return
    yield label, data
    if depth == 0 or not data:
        return
    if depth == _DEPTH:
        yield f"{label}>{REVERSED}", data[::-1]
    if _INNER.search(data):  # JSON in a string of JSON: what stands between quotes is to be seen so
        yield f"{label}>{PLAIN}", data.replace(b'\\"', b'"')
    found = runs(data)
    undone = {"folded": folded(data), "escape": _escapes(data), "base64": _base64(found), "hex": _hex(found)}
    for how, parts in undone.items():
        if joined := b"\n".join(parts):
            yield from text_views(joined, depth - 1, f"{label}>{how}")


def unescaped(data: bytes) -> bytes:
    """Backslash escapes undone: those of JSON and of most languages."""
    if b"\\" not in data:
        return data
    binary = False
    if not data.isascii():  # letters beyond ASCII become escapes first, so that they come out as themselves
        text = letters(data)
        binary = not text
        data = text.decode().encode("ascii", "backslashreplace") if text else data
    if _SLASH.search(data):
        data = data.replace(b"\\/", b"/")
    undone = data.decode("unicode_escape", "replace")
    return undone.encode("latin-1", "replace") if binary else encoded(undone)


def encoded(text: str) -> bytes:
    """UTF-8; two halves of one letter, as JSON has them, become one."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _escapes(data: bytes) -> Iterator[bytes]:
    places = [place for kind in (_PERCENT, _ESCAPE) for place in places_of(kind, data)]
    return (unescaped(unquote_to_bytes(part)) for part in near(data, sorted(places)))


def _base64(found: Iterable[bytes]) -> Iterator[bytes]:
    """The runs decoded at each offset: a path or a word may stand before one without a separator."""
    for run in found:
        if len(run) <= _WORD and (run.islower() or run.isupper()):
            continue  # a name or a digest: base64 of fifteen random bytes has letters of one case once in 30,000 times
        if b"-" in run or b"_" in run:
            run = run.translate(_TO_STANDARD)
        whole = memoryview(run)  # of a megabyte a copy takes longer than the decoding
        for offset in range(4):
            rest = (len(run) - offset) % 4
            full = len(run) - rest
            decoded = b64decode(whole[offset:full], validate=True)
            if rest > 1:  # one letter alone is no byte
                decoded += b64decode(run[full:] + b"=" * (4 - rest), validate=True)
            yield decoded


def _hex(found: Iterable[bytes]) -> Iterator[bytes]:
    """Each way is the faster one by ten times: RE2 for few long runs, re for many short ones, decoded in one go."""
    short: list[bytes] = []
    for run in found:
        if len(run) > _WORD:
            yield from (binascii.unhexlify(digits) for digits in _LONG_HEX.findall(run))
        elif len(run) >= _SHORTEST_HEX:
            short.append(run)
    yield binascii.unhexlify(b"0a".join(digits[: len(digits) & ~1] for digits in _HEX.findall(b"\n".join(short))))
