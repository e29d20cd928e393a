"""The ways in which a piece of text can be read: as it is, as a person reads it, with encodings undone."""

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

View = tuple[str, bytes]  # (how it was read, for the log; the bytes)

WINDOW = 1 << 20  # bytes that are looked at together
PLAIN = "plain"  # a view that differs little from another one, of which no more is to be made
_LITTLE = 2 << 10  # bytes that are read in every way backwards and moved by thirteen letters too
_SHORT = 16 << 10  # bytes in which base64 and hexadecimal are looked for backwards
_DEPTH = 3  # encodings within encodings that are undone; what is nested deeper is refused
_ESCAPES = 12  # more of percent signs and backslashes, each of which leaves less
_HEX, _ALL_HEX = re.compile(rb"[0-9A-Fa-f]{32,}"), re.compile(rb"\s*[0-9A-Fa-f]+\s*")
# RE2, for these run over every byte of every view.
_LONG_HEX = compile_bytes(r"(?:[0-9A-Fa-f]{2}){16,}")
_PERCENT = compile_bytes(r"%[0-9A-Fa-f]{2}")
_ESCAPE = compile_bytes(r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|/)")
_wide = r"(?:[\t\n\r -~]\x00{1,3}){8}"  # UTF-16 and UTF-32
_WIDE, _is_wide = compile_bytes(_wide), cache(lambda: finder(_wide))  # RE2 takes four times as long where there is none
_WORDS = compile_bytes(r"[!-~]{24,}")  # random bytes have as much in a row once in 10 GB
_DIFFERENT = 10  # letters that text has at least in as much; a pattern in a picture or a program has fewer
# An unknown escape stays as it is, which is right. Once for the process: a change of filters is for all threads.
warnings.filterwarnings("ignore", "invalid (octal )?escape sequence", DeprecationWarning)
_INNER, _SLASH = compile_bytes(r'\\":'), compile_bytes(r"\\/")
_SHORTEST_HEX, _WORD = 32, 128  # bytes
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def windows(data: bytes) -> Iterator[bytes]:
    """All of it, in overlapping pieces where it is long, so that what is undone at one time stays small."""
    if len(data) <= WINDOW + OVERLAP:
        yield data
        return
    for start in range(0, len(data), WINDOW):
        yield data[start : start + WINDOW + OVERLAP]


def text_views(data: bytes, label: str = "text") -> Iterator[View]:
    """The bytes themselves, and what percent, backslash, base64, hex and other encodings hide in them, nested too;
    and as a person reads them. Backwards a view is read by who looks at it (claude_bottle/dlp/rules/mirror.py).

    Where few letters are encoded, what is around them is undone, not all. Raises Unscannable for encodings that are
    nested deeper than they are undone.
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
    # A letter that begins what is undone is looked for first, which takes next to no time.
    if b"\\" in data and _INNER.search(data):  # JSON in a string of JSON: what stands between quotes is to be seen so
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
    if turned and (runs or any(map(codes.is_odd, (data, turned, moved)))):  # encoded, and then turned: all of it
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
    """Of base64, text apart from what another offset makes of it."""
    text: list[bytes] = []
    garbage: list[bytes] = []
    for part in undone:
        (garbage if codes.is_garbage(part) else text).append(part)
    return text, garbage


def _turned(runs: Iterable[bytes]) -> Iterator[bytes]:
    """What base64 or hexadecimal says that is written backwards, or moved by thirteen letters; text alone."""
    for run in runs:
        if run.islower() or run.isupper():
            yield from _hex([run[::-1]])
        else:
            for part in (*each_offset(run[::-1]), *each_offset(run.translate(ROT13_LETTERS))):
                if not codes.is_garbage(part):
                    yield part


def _taken(how: str, data: bytes, label: str) -> int:
    """How much of the depth it takes: what is folded, or made narrow, is so once; and a binary may have an escape by
    chance, beside what is encoded in earnest."""
    if how in ("folded", "wide"):
        return 0
    return 0 if how == "escape" and not data.isascii() and label.count(how) < _DEPTH else 1


def _rest(data: bytes, runs: list[bytes], label: str) -> Iterator[View]:
    """What is left where as much was undone as is: letters are folded, percent signs and backslashes undone as often
    as they are there. Raises Unscannable where there is more."""
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
    """Raises Unscannable if what was undone as often as it is holds text that is encoded once more."""
    long = [run for run in runs if len(run) >= 40]
    words = [words for part in _base64(long) for words in _WORDS.findall(part)]
    for part in _hex(long):
        while len(part) >= 40 and _ALL_HEX.fullmatch(part):  # hexadecimal of hexadecimal has digits alone
            part = binascii.unhexlify(part[: len(part) & ~1])
        # Numbers in a row are none: text in hexadecimal has a digit beyond nine.
        words += [words for words in _WORDS.findall(part) if any(byte & 15 > 9 for byte in words)]
    if any(len(set(letters)) >= _DIFFERENT for letters in words):
        raise Unscannable("nested_too_deep", "encodings within encodings")


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


def _narrow(data: bytes) -> Iterator[bytes]:
    return (part.replace(b"\0", b"") for part in near(data, places_of(_WIDE, data)))


def _escapes(data: bytes) -> Iterator[bytes]:
    kinds = [kind for kind, begin in ((_PERCENT, b"%"), (_ESCAPE, b"\\")) if begin in data]
    places = [place for kind in kinds for place in places_of(kind, data)]
    return (unescaped(unquote_to_bytes(part)) for part in near(data, sorted(places)))


def _base64(runs: Iterable[bytes]) -> Iterator[bytes]:
    """The runs decoded at each offset: a path or a word may stand before one without a separator."""
    for run in runs:
        if len(run) <= _WORD and (run.islower() or run.isupper()):
            continue  # a name or a digest: base64 of fifteen random bytes has letters of one case once in 30,000 times
        yield from each_offset(run)


def each_offset(run: bytes) -> Iterator[bytes]:
    """A run of base64, in either alphabet, decoded from each of four letters on."""
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


def _hex(runs: Iterable[bytes]) -> Iterator[bytes]:
    """Each way is the faster one by ten times: RE2 for few long runs, re for many short ones, decoded in one go. Where
    a digit is too many, it may stand before: in a binary one does by chance."""
    short: list[bytes] = []
    for run in runs:
        if len(run) > _WORD:
            yield from (binascii.unhexlify(digits) for digits in _LONG_HEX.findall(run))
        elif len(run) >= _SHORTEST_HEX:
            short.append(run)
    all_digits = _HEX.findall(b"\n".join(short))
    all_digits += [digits[1:] for digits in all_digits if len(digits) & 1]
    yield binascii.unhexlify(b"0a".join(digits[: len(digits) & ~1] for digits in all_digits))
