"""Any content as plain text in pieces, which a scanner of secrets cannot take for something else. Pure.

gitleaks 8.30 reads a file in chunks of 100,000 bytes (sources/file.go, defaultBufferSize). It skips a file whose first
chunk looks to h2non/filetype 1.1.3 like something of type "application/…" (matchers/*.go): most of those signatures
are at the beginning, the others at offsets of 8 to 40 (eot, dey), 128 (dicom), 257 (tar), 512 (msword) and 32,769
(iso9660). A piece therefore begins with a prefix that ends behind offset 514, and as a whole it is shorter than 32,769
bytes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_LINES = 10
PREFIX = (b"#" * 63 + b"\n") * _LINES
# The last line of every piece: a rule of git-gate's own finds it, which shows that the piece has been looked at.
SEAL = b"%[ seen by git-gate ]%"
LONGEST = 32_000  # bytes of a piece with prefix and seal
_BODY = LONGEST - len(PREFIX) - len(SEAL) - 2
OVERLAP = 6_000  # a private key of 4096 bits in base64 of base64 is shorter
# Where a run of such characters is cut, the cut is at a multiple of 64 from the run's start: what is decoded from there
# on (hex by 2 characters, base64 by 4, three times over by 64) is the same as in the whole run.
_ALIGN = 64
_RUN = bytes(97 if (chr(c).isalnum() and c < 128) or c in b"+/-_" else 32 for c in range(256))

_LEAST = 6  # characters in a row that count as text
# Each byte as its class: printable, zero, other. Runs are found there by plain search, ten times as fast as by pattern.
_CLASS = bytes(97 if 32 <= c < 127 or c == 9 else 0 if c == 0 else 10 for c in range(256))
# Text of one byte a character, of two (UTF-16) and of four (UTF-32), in both byte orders.
_TEXT = tuple((unit * _LEAST, re.compile(b"(?:%b)+" % unit)) for unit in (b"a", b"a\0", b"\0a", b"a\0\0\0", b"\0\0\0a"))


def readable(data: bytes) -> bytes:
    """Text as it is; of anything else, the text that is in it, also where zeros are between the characters."""
    return b"\n".join([*_runs(data), b""]) if b"\0" in data else data


def _runs(data: bytes) -> Iterator[bytes]:
    classes = data.translate(_CLASS)
    for seed, run in _TEXT:
        at = classes.find(seed)
        while at >= 0:
            match = run.match(classes, at)
            end = match.end() if match else at + 1
            yield data[at:end].replace(b"\0", b"")
            at = classes.find(seed, end)


def pieces(text: bytes) -> Iterator[tuple[int, bytes]]:
    """(number of lines before it, content of the file) for each piece; neighbours overlap. Empty text gives none."""
    start, lines, run = 0, 0, 0
    while start < len(text):
        end = min(start + _BODY, len(text))
        yield lines, b"".join((PREFIX, _valid(text[start:end]), b"\n", SEAL, b"\n"))
        if end == len(text):
            return
        following = end - OVERLAP
        broken = text[start:following].translate(_RUN).rfind(b" ")
        run = start + broken + 1 if broken >= 0 else run
        following -= (following - run) % _ALIGN
        lines += text.count(b"\n", start, following)
        start = following


def _valid(piece: bytes) -> bytes:
    """The same in UTF-8. A byte that is none becomes a control character: for RE2, gitleaks' engine, no pattern holds
    such a byte, not even one for any character, so one of them would hide what is around it."""
    try:
        piece.decode()
    except UnicodeDecodeError:
        return piece.decode(errors=_SUBSTITUTE).encode()
    return piece


def _substitute(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - it is for decoding alone
    return "\x1a" * (error.end - error.start), error.end


_SUBSTITUTE = "git-gate-substitute"
codecs.register_error(_SUBSTITUTE, _substitute)


def line_of(line: int, before: int) -> int:
    """The line of the content, for the line of a piece that a scanner names."""
    return max(line - _LINES, 1) + before
