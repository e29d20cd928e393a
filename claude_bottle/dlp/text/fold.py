"""Text as a person reads it: without invisible characters, and with lookalike letters as plain ones. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from claude_bottle.dlp.rules.allow import compile_bytes
from claude_bottle.dlp.text.near import near, places_of

# Default-ignorable format characters, soft hyphen, variation selectors (Unicode, DerivedCoreProperties).
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0]"
)
# Letters of other scripts that look like a Latin one (Unicode, confusables.txt: single Cyrillic, Greek, Armenian and
# other letters). NFKC handles the compatibility forms: full-width, mathematical, circled.
_CYRILLIC, _FROM_CYRILLIC = "аАвВсСеЕНһіІјЈкКмМоОрРԛѕЅтТхХуУԝԁӏгҮ", "aABBcCeEHhiIjJkKmMoOpPqsStTxXyYwdlrY"
_GREEK, _FROM_GREEK = "αΑΒεΕΖηΗιΙκΚΜνΝοΟρΡτΤυΥχΧϲϳγ", "aABeEZnHiIkKMvNoOpPtTuYxXcjy"
_OTHERS, _FROM_OTHERS = "օսոհցɑɡɩʟꓮꓐꓚꓓꓰꓝꓖꓧ", "ounhgagiLABCDEFGH"
_ALIKE = dict(zip(_CYRILLIC + _GREEK + _OTHERS, _FROM_CYRILLIC + _FROM_GREEK + _FROM_OTHERS, strict=True))
_ASCII = bytes(range(128))
_SHORT = 64 << 10  # bytes; shorter data is folded even if it is not text


@lru_cache(maxsize=4096)
def _plain(letter: str) -> str:
    return "" if _INVISIBLE.match(letter) else _ALIKE.get(letter) or unicodedata.normalize("NFKC", letter)


def folded(data: bytes) -> list[bytes]:
    """The parts around foldable letters, folded; empty if there are none, or if the data is not text (UTF-8)."""
    if data.isascii():
        return []
    kept = letters(data)
    if not kept and (len(data) <= _SHORT or _is_text(data)):
        kept = data.decode(errors="ignore").encode()
    data = kept
    others = data.translate(None, _ASCII).decode()  # still whole characters: no byte of a multi-byte character is ASCII
    table = {ord(letter): plain for letter in set(others) if (plain := _plain(letter)) != letter}
    if not table:
        return []
    parts = near(data, places_of(_any_of(tuple(sorted(table))), data))
    return [_replaced(part, table) for part in parts]


def _is_text(data: bytes) -> bool:
    """Whether the data is mostly letters: of random bytes, little more than half is left."""
    pieces = [data[start : start + 1024] for start in range(0, len(data), max(1, len(data) // 8))]
    return sum(len(piece.decode(errors="ignore").encode()) for piece in pieces) * 10 >= 8 * sum(map(len, pieces))


def letters(data: bytes) -> bytes:
    """The part of the data that is UTF-8; empty if it is not text. A window may begin and end within a character."""
    start = next((i for i in range(min(3, len(data))) if data[i] & 0xC0 != 0x80), 0)
    end = next((len(data) - i for i in (1, 2, 3) if data[-i:][0] >= (0xC0, 0xE0, 0xF0)[i - 1]), len(data))
    try:
        str(memoryview(data)[start:end], "utf-8")
    except UnicodeDecodeError:  # early, if it is not text
        sample = data[::64]
        few = len(sample.translate(None, _ASCII)) * 4 < len(sample)
        # Dropping single bytes takes ten times as long if there are many of them.
        return data.decode(errors="ignore").encode() if few else b""
    return data[start:end]


@lru_cache(maxsize=64)
def _any_of(codes: tuple[int, ...]) -> Any:
    return compile_bytes("|".join(re.escape(chr(code).encode().decode("latin-1")) for code in codes))


def _replaced(part: bytes, table: dict[int, str]) -> bytes:
    if len(table) > 16:
        return part.decode(errors="ignore").translate(table).encode()
    for code, plain in table.items():
        part = part.replace(chr(code).encode(), plain.encode())
    return part
