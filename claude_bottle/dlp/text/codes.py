"""More encodings of text: base32, base85, letters apart, hexadecimal pairs, decimal numbers. Linear time. Pure.

Each is decoded only if the text looks like it. Long text is sampled first: in every fourth byte, letters apart show as
a row of their separator.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from claude_bottle.dlp.rules.allow import compile_bytes
from claude_bottle.dlp.rules.find import finder

SHORT = 64 << 10  # bytes; longer text is not searched for base85
_LITTLE = 1 << 10  # bytes; in longer text some of the separators are not searched for
_LESS = ("values",)  # of JSON's fields, the values without their names: the view with the names shows the same
_PIECE = 48 << 10  # bytes
_SHORTEST = 24  # bytes: fifteen in base32
_LEAST = 14  # letters in a row; every secret has more
_SEPARATORS = " .,_-\n\t|:;/+*~"
_APART = "|".join(rf"(?:[\t\n -~]{re.escape(one)}){{{_LEAST},}}[!-~]?" for one in _SEPARATORS)
_LETTER = "[2-7][0-9A-Fa-f]"  # of ASCII, in hexadecimal
_PAIR = f"(?:{_LETTER}|0[9AaDd])"  # or a line break in hexadecimal
_apart = compile_bytes(_APART)
_pairs = compile_bytes(
    rf"{_PAIR}(?:(?:, |[ :,._|/\n-]){_PAIR}){{{_LEAST},}}|(?:0x{_PAIR}[,; ]{{1,2}}){{{_LEAST},}}0x{_PAIR}"
)
_numbers = compile_bytes(rf"(?:[0-9]{{2,3}}[,;\s]{{1,24}}){{{_LEAST},}}[0-9]{{2,3}}")
# Only few expressions run over all of a long text: hyperscan takes a tenth of a millisecond a megabyte for these, a
# whole one for a class of separators.
_MARKED = f"(?:0x{_LETTER}[,; ]{{1,2}}){{{_LEAST}}}"
_LISTS = [f"(?:{_LETTER}[ :,-]){{{_LEAST}}}", f"(?:{_LETTER}, ){{{_LEAST}}}"]
_LISTS += [rf"(?:[0-9]{{2,3}},{blank}){{{_LEAST}}}" for blank in ("", " ", r"\n {0,24}")]
_may_be_list, _may_be_marked = cache(lambda: finder(*_LISTS)), cache(lambda: finder(_MARKED))
_may_be_any = cache(
    lambda: finder(
        *(rf"(?:[\t\n -~]{re.escape(one)}){{{_LEAST}}}" for one in _SEPARATORS),
        rf"(?:[0-9]{{2,3}}[,;\s]{{1,24}}){{{_LEAST}}}",
        rf"(?:{_PAIR}[ :,._|/\n-] ?){{{_LEAST}}}",
        f"(?:0x{_PAIR}[,; ]{{1,2}}){{{_LEAST}}}",
    )
)
_may_be_escaped = cache(
    lambda: finder(r"(?:\\u[0-9A-Fa-f]{4}){8}", r"(?:[\\]x[0-9A-Fa-f]{2}){8}", "(?:%[0-9A-Fa-f]{2}){8}")
)
# In a row of letters apart, every fourth byte from the first or from the second on is the separator.
_may_be_apart = cache(lambda: finder(*(f"{re.escape(one)}{{{_LEAST // 2}}}" for one in _SEPARATORS)))
_DIGITS, _HEX_PAIR = re.compile(rb"[0-9]+"), re.compile(rb"(?:0x)?([0-9A-Fa-f]{2})")
_base32 = compile_bytes("[A-Z2-7]{24,}|[a-z2-7]{24,}")
_NAME, _DIGEST = re.compile(rb"[a-z]*"), re.compile(rb"[a-f2-7]*|[A-F2-7]*")
_WHOLE = {1: 0, 3: 2, 6: 5}  # letters of base32 that make whole bytes (RFC 4648, section 6)
# In base85 of ASCII, the first of each five digits is one of 38: its four bytes range from 0x0a202020 (after a line
# break) to 0x7e7e7e7e.
_FIRST_DIGITS = re.compile(rb"[\x03-\x28]{5,}")
_RUN_85 = compile_bytes("[!-~]{25,}")
_CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\r")
_OF_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"
_USUAL = _OF_BASE64 + b" \t\r\n.,:'\"()\\"
# The alphabets of base85: RFC 1924, also used by git and Python; Adobe's Ascii85; ZeroMQ's Z85 (RFC 32/Z85).
_DIGITS_85 = (
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    bytes(range(33, 118)),
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
)


def undone(
    data: bytes, label: str, runs: Sequence[bytes], joined: Iterable[bytes]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Pairs of an encoding's name and the decoded pieces. runs: of base64 characters; joined: runs that line breaks had
    split."""
    if len(data) < _SHORTEST or label.endswith(_LESS) or ("base64" in label and is_garbage(data)):
        return
    little = len(data) <= _LITTLE
    if not little or _may_be_any()(data):
        if little or any(_may_be_apart()(part) for first in (0, 1) for part in _parts_of(data, 4, first)):
            yield "apart", (match.group()[::2] for match in _apart.finditer(data))
        if little or _may_be_list()(data) or _may_be_marked()(data):
            yield "numbers", (_from_numbers(match.group()) for match in _numbers.finditer(data))
            yield "pairs", (_from_pairs(match.group()) for match in _pairs.finditer(data))
    if runs or joined:
        yield "base32", (plain for text in ([data, *joined] if runs else joined) for plain in _from_base32(text))
    if len(data) <= SHORT and data.translate(None, _USUAL):
        yield "base85", (plain for match in _RUN_85.finditer(data) for plain in _from_base85(match.group()))


def is_odd(data: bytes) -> bool:
    """Whether a short text may be written in one of these encodings, or with escapes."""
    return _may_be_any()(data) or _may_be_escaped()(data) or len(data.translate(None, _USUAL)) * 8 >= len(data)


def _parts_of(data: bytes, step: int, first: int) -> Iterator[bytes]:
    """Every `step`-th byte, in overlapping pieces, because allocating one large piece takes longer than the search."""
    for start in range(first, len(data), _PIECE):
        yield data[start : start + _PIECE + 16 * step : step]


def is_garbage(data: bytes) -> bool:
    """Whether the data looks like decoded random bytes: a tenth of those are control characters, of text none."""
    sample = data[:: max(1, len(data) >> 9)]
    return len(sample.translate(None, _CONTROL)) * 30 < len(sample) * 29


def _from_pairs(row: bytes) -> bytes:
    return binascii.unhexlify(b"".join(_HEX_PAIR.findall(row)))


def _from_numbers(row: bytes) -> bytes:
    return bytes(number for digits in _DIGITS.findall(row) if (number := int(digits)) < 256)


def _from_base32(text: bytes) -> Iterator[bytes]:
    """Decoded from each of eight letters on, because other letters may precede the text. A run of lower-case letters
    alone is a name; one that is hexadecimal too is a digest."""
    for match in _base32.finditer(text):
        letters = match.group()
        if _NAME.fullmatch(letters) or _DIGEST.fullmatch(letters):
            continue
        for offset in range(8 if len(letters) <= 1024 else 1):
            rest = letters[offset:].upper()
            whole = len(rest) & ~7
            rest = rest[: whole + _WHOLE.get(len(rest) - whole, len(rest) - whole)]
            yield base64.b32decode(rest + b"=" * (-len(rest) % 8))


def _from_base85(run: bytes) -> Iterator[bytes]:
    """Decoded in each alphabet, from each of five letters on."""
    if len(run.translate(None, _OF_BASE64)) * 20 < len(run):  # base64 or a path: in neither is a fourth of base85
        return
    for table in _tables():
        digits = run.translate(table)
        for offset in range(5):
            for match in _FIRST_DIGITS.finditer(digits[offset::5]):
                yield _decoded_85(digits[offset + 5 * match.start() : offset + 5 * match.end() + 5])


@cache
def _tables() -> list[bytes]:
    return [
        bytes(max(0, letters.find(bytes([byte]))) if byte in letters else 85 for byte in range(256))
        for letters in _DIGITS_85
    ]


def _decoded_85(digits: bytes) -> bytes:
    """Five digits make four bytes; two to four digits at the end make one byte less. Digits that make no ASCII give a
    line break."""
    out = bytearray()
    for at in range(0, len(digits) - 1, 5):
        group = digits[at : at + 5].partition(b"\x55")[0]
        missing = 5 - len(group)
        value = 0
        for digit in group + b"\x54" * missing:
            value = value * 85 + digit
        out += value.to_bytes(4, "big")[: 4 - missing] if value < 1 << 31 and missing < 4 else b"\n"
        if missing:
            out += b"\n"
    return bytes(out)
