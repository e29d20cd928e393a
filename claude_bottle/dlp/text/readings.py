"""The views of a piece of text: as it is, as a person reads it, and with encodings decoded."""

from __future__ import annotations

import binascii
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from urllib.parse import unquote_to_bytes

from pybase64 import b64decode

from claude_bottle.dlp.rules.allow import compile_bytes
from claude_bottle.dlp.rules.find import finder
from claude_bottle.dlp.rules.mirror import ROT13_LETTERS
from claude_bottle.dlp.text import codes
from claude_bottle.dlp.text.fold import folded, letters
from claude_bottle.dlp.text.near import OVERLAP, near, places_of
from claude_bottle.dlp.text.runs import broken_runs, spans
from claude_bottle.dlp.verdict import Unscannable

View = tuple[str, bytes]  # (label of the decoding steps, for the log; bytes)

WINDOW = 1 << 20  # bytes that are scanned together
PLAIN = "plain"  # label of a view that differs little from another one; no views are made from it
_LITTLE = 2 << 10  # bytes; shorter text is read reversed and in ROT13 with all other decodings
_SHORT = 16 << 10  # bytes; shorter text is searched for reversed base64 and hexadecimal
_DEPTH = 3  # nested encodings that are decoded; deeper nesting is refused
_ESCAPES = 12  # further rounds of percent and backslash escapes; each makes the text shorter
_HEX, _ALL_HEX = re.compile(rb"[0-9A-Fa-f]{32,}"), re.compile(rb"\s*[0-9A-Fa-f]+\s*")
# RE2, because these run over every byte of every view.
_LONG_HEX = compile_bytes(r"(?:[0-9A-Fa-f]{2}){16,}")
_PERCENT = compile_bytes(r"%[0-9A-Fa-f]{2}")
_ESCAPE = compile_bytes(r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|/)")
_wide = r"(?:[\t\n\r -~]\x00{1,3}){8}"  # UTF-16 and UTF-32
_WIDE, _is_wide = compile_bytes(_wide), cache(lambda: finder(_wide))  # RE2 takes four times as long if nothing matches
_WORDS = compile_bytes(r"[!-~]{24,}")  # random bytes have as many in a row once in 10 GB
_DIFFERENT = 10  # distinct characters of text, at least; a pattern in a picture or a program has fewer
# An unknown escape stays as it is, which is right. The filter is set once for the process, because filters are shared
# by all threads.
warnings.filterwarnings("ignore", "invalid (octal )?escape sequence", DeprecationWarning)
_INNER, _SLASH = compile_bytes(r'\\":'), compile_bytes(r"\\/")
_SHORTEST_HEX, _WORD = 32, 128  # bytes
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def windows(data: bytes) -> Iterator[bytes]:
    """The data, in overlapping pieces if it is long, so that little is decoded at a time."""
    if len(data) <= WINDOW + OVERLAP:
        yield data
        return
    for start in range(0, len(data), WINDOW):
        yield data[start : start + WINDOW + OVERLAP]


def text_views(data: bytes, label: str = "text") -> Iterator[View]:
    """The bytes themselves; with percent, backslash, base64, hex and other encodings decoded, nested too; and folded as
    a person reads them.

    Where few letters are encoded, only their surroundings are decoded. Reversed and ROT13 views of longer text are made
    by the engine (claude_bottle/dlp/rules/mirror.py). Raises Unscannable for encodings nested deeper than _DEPTH.
    """
    for window in windows(data):
        yield label, window
        if window:
            yield from _undone(window, _DEPTH, label)


def _views(data: bytes, depth: int, label: str) -> Iterator[View]:
    for window in windows(data):
        yield label, window
        yield from _undone(window, depth, label)


def _undone(data: bytes, depth: int, label: str) -> Iterator[View]:
    places = spans(data)
    runs: list[bytes] = []
    if places or b"\n" in data:
        runs = [data[start:end] for start, end in places]
        runs += broken_runs(data, places)
    if depth == 0:
        yield from _rest(data, runs, label)
        return
    ways: list[tuple[str, Iterable[bytes]]] = [("base64", _base64(runs)), ("hex", _hex(runs))] if runs else []
    # The first byte of an encoding is searched for first, which takes next to no time.
    if b"\\" in data and _INNER.search(data):  # JSON in a JSON string: its quotes must be visible
        yield f"{label}>{PLAIN}", data.replace(b'\\"', b'"')
    if not data.isascii() and "folded" not in label:
        ways.append(("folded", folded(data)))
    if b"%" in data or b"\\" in data:
        ways.append(("escape", _escapes(data)))
    if b"\0" in data and "wide" not in label and _is_wide()(data):
        ways.append(("wide", _narrow(data)))
    ways += codes.undone(data, label, runs, runs[len(places) :])
    turned, moved = (
        (data[::-1], data.translate(ROT13_LETTERS)) if ">" not in label and len(data) <= _LITTLE else (b"", b"")
    )
    if turned and (runs or any(map(codes.is_odd, (data, turned, moved)))):  # encoded, then turned: decode all of it
        yield from _undone(turned, depth - 1, f"{label}>turned")
        yield from _undone(moved, depth - 1, f"{label}>rot13")
        yield f"{label}>turned>rot13", turned.translate(ROT13_LETTERS)
    elif runs and len(data) <= _SHORT and "within" not in label:
        ways.append(("turned", _turned(runs)))
    for how, undone in ways:
        name, left = f"{label}>{how}", depth - _taken(how, data, label)
        for parts in _sorted(undone) if how == "base64" else (undone,):
            if joined := b"\n".join(parts):
                yield from _views(joined, left, name)


def _sorted(undone: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Decoded base64: text, and the garbage that other offsets give."""
    text: list[bytes] = []
    garbage: list[bytes] = []
    for part in undone:
        (garbage if codes.is_garbage(part) else text).append(part)
    return text, garbage


def _turned(runs: Iterable[bytes]) -> Iterator[bytes]:
    """Base64 or hexadecimal that is written reversed or in ROT13, decoded; text only."""
    for run in runs:
        if run.islower() or run.isupper():
            yield from _hex([run[::-1]])
        else:
            for part in (*each_offset(run[::-1]), *each_offset(run.translate(ROT13_LETTERS))):
                if not codes.is_garbage(part):
                    yield part


def _taken(how: str, data: bytes, label: str) -> int:
    """How much of the depth a step costs. Folding and narrowing happen only once. A binary may have an escape by
    chance, besides real encodings."""
    if how in ("folded", "wide"):
        return 0
    return 0 if how == "escape" and not data.isascii() and label.count(how) < _DEPTH else 1


def _rest(data: bytes, runs: list[bytes], label: str) -> Iterator[View]:
    """The text left at the last level: letters folded, percent and backslash escapes decoded until none is left. Raises
    Unscannable if more is encoded."""
    _refuse_deeper(runs)
    left = data
    if not data.isascii() and "folded" not in label:
        left = b"\n".join(folded(data)) or data
    for _ in range(_ESCAPES):
        undone = b"\n".join(_escapes(left)) if b"%" in left or b"\\" in left else b""
        if not undone or undone == left:
            break
        left = undone
    else:
        raise Unscannable("nested_too_deep", "encodings within encodings")
    if b"\0" in left and _is_wide()(left):
        left = b"\n".join(_narrow(left))
    if left is not data:
        yield f"{label}>rest", left
        _refuse_deeper([left[start:end] for start, end in spans(left)])


def _refuse_deeper(runs: Iterable[bytes]) -> None:
    """Raises Unscannable if text from the last level is encoded once more."""
    long = [run for run in runs if len(run) >= 40]
    words = [words for part in _base64(long) for words in _WORDS.findall(part)]
    for part in _hex(long):
        while len(part) >= 40 and _ALL_HEX.fullmatch(part):  # hexadecimal of hexadecimal consists of digits
            part = binascii.unhexlify(part[: len(part) & ~1])
        # A row of numbers does not count: text in hexadecimal has digits beyond nine.
        words += [words for words in _WORDS.findall(part) if any(byte & 15 > 9 for byte in words)]
    if any(len(set(letters)) >= _DIFFERENT for letters in words):
        raise Unscannable("nested_too_deep", "encodings within encodings")


def unescaped(data: bytes) -> bytes:
    """Backslash escapes decoded: those of JSON and of most languages."""
    if b"\\" not in data:
        return data
    binary = False
    if not data.isascii():  # letters beyond ASCII become escapes first, so that they survive
        text = letters(data)
        binary = not text
        data = text.decode().encode("ascii", "backslashreplace") if text else data
    if _SLASH.search(data):
        data = data.replace(b"\\/", b"/")
    undone = data.decode("unicode_escape", "replace")
    return undone.encode("latin-1", "replace") if binary else encoded(undone)


def encoded(text: str) -> bytes:
    """UTF-8. A surrogate pair, as JSON has it, becomes one character."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _narrow(data: bytes) -> Iterator[bytes]:
    return (part.replace(b"\0", b"") for part in near(data, places_of(_WIDE, data)))


def _escapes(data: bytes) -> Iterator[bytes]:
    kinds = [kind for kind, begin in ((_PERCENT, b"%"), (_ESCAPE, b"\\")) if begin in data]
    places = [place for kind in kinds for place in places_of(kind, data)]
    return (unescaped(unquote_to_bytes(part)) for part in near(data, sorted(places)))


def _base64(runs: Iterable[bytes]) -> Iterator[bytes]:
    """The runs decoded at each offset, because a path or a word may precede one without a separator."""
    for run in runs:
        if len(run) <= _WORD and (run.islower() or run.isupper()):
            continue  # a name or a digest: base64 of fifteen random bytes has one case only once in 30,000
        yield from each_offset(run)


def each_offset(run: bytes) -> Iterator[bytes]:
    """A run of base64, in either alphabet, decoded from each of its first four letters on."""
    if b"-" in run or b"_" in run:
        run = run.translate(_TO_STANDARD)
    whole = memoryview(run)  # copying a megabyte takes longer than decoding it
    for offset in range(4):
        rest = (len(run) - offset) % 4
        full = len(run) - rest
        decoded = b64decode(whole[offset:full], validate=True)
        if rest > 1:  # one letter alone makes no byte
            decoded += b64decode(run[full:] + b"=" * (4 - rest), validate=True)
        yield decoded


def _hex(runs: Iterable[bytes]) -> Iterator[bytes]:
    """Decoded hexadecimal. RE2 is ten times as fast for few long runs, `re` for many short ones joined. An odd number
    of digits is decoded twice, without the last and without the first, because in a binary a digit may precede by
    chance."""
    short: list[bytes] = []
    for run in runs:
        if len(run) > _WORD:
            yield from (binascii.unhexlify(digits) for digits in _LONG_HEX.findall(run))
        elif len(run) >= _SHORTEST_HEX:
            short.append(run)
    all_digits = _HEX.findall(b"\n".join(short))
    all_digits += [digits[1:] for digits in all_digits if len(digits) & 1]
    yield binascii.unhexlify(b"0a".join(digits[: len(digits) & ~1] for digits in all_digits))
