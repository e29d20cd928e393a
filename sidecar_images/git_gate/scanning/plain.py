"""Any content as plain text in pieces, which a secret scanner cannot mistake for another file type. Pure.

gitleaks 8.30 reads a file in chunks of 100,000 bytes (sources/file.go, defaultBufferSize). It skips a file whose first
chunk looks to h2non/filetype 1.1.3 like a type "application/…" (matchers/*.go): most of those signatures are at the
beginning, the others at offsets of 8 to 40 (eot, dey), 128 (dicom), 257 (tar), 512 (msword) and 32,769 (iso9660).
Therefore a piece begins with a prefix that ends after offset 514, and is shorter than 32,769 bytes in all.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_LINES = 10
PREFIX = (b"#" * 63 + b"\n") * _LINES
# The last line of every piece. A rule of git-gate's own finds it, which proves that the piece was scanned.
SEAL = b"%[ seen by git-gate ]%"
LONGEST = 32_000  # bytes of a piece with prefix and seal
_BODY = LONGEST - len(PREFIX) - len(SEAL) - 2
OVERLAP = 6_000  # a private key of 4096 bits in base64 of base64 is shorter
# A run of such characters is cut at a multiple of 64 from its start: decoding from there (hex by 2 characters, base64
# by 4, three times over by 64) gives the same as decoding the whole run.
_ALIGN = 64
_RUN = bytes(97 if (chr(c).isalnum() and c < 128) or c in b"+/-_" else 32 for c in range(256))

_LEAST = 6  # characters in a row that count as text
# Each byte as its class: printable, zero, other. A plain search for runs in it is ten times as fast as a pattern.
_CLASS = bytes(97 if 32 <= c < 127 or c == 9 else 0 if c == 0 else 10 for c in range(256))
# Text with one byte a character, with two (UTF-16) and with four (UTF-32), in both byte orders.
_TEXT = tuple((unit * _LEAST, re.compile(b"(?:%b)+" % unit)) for unit in (b"a", b"a\0", b"\0a", b"a\0\0\0", b"\0\0\0a"))


def readable(data: bytes) -> bytes:
    """Text without zero bytes as it is; of other content, the text in it, UTF-16 and UTF-32 included."""
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
    """(number of lines before it, file content) for each piece. Neighbours overlap. Empty text gives none."""
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
    """The piece in valid UTF-8. An invalid byte becomes a control character: RE2, gitleaks' engine, matches no invalid
    byte, not even by a pattern for any character, so one would hide its surroundings."""
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
    """The line of the content for a line number that a scanner reports for a piece."""
    return max(line - _LINES, 1) + before
