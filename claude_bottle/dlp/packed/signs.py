"""Where archives or compressed streams may begin in some bytes: found by content, whatever is declared. Pure."""

from __future__ import annotations

import re
import zlib
from functools import cache
from typing import Any

from claude_bottle.dlp.verdict import Unscannable

# Kind, and magic bytes. gzip: RFC 1952. zip: PKWARE's APPNOTE 4.3.7 and 4.3.12. zstd: RFC 8878. xz: its file format,
# 2.1.1.1. zlib: RFC 1950, with a window of 32 kB, as every library makes it, and no dictionary. Those in _UNREAD are
# recognised but cannot be read.
_BEGINNINGS: tuple[tuple[str, bytes], ...] = (
    ("zip", b"PK\x03\x04"),
    ("zip directory", b"PK\x01\x02"),
    ("bzip2", b"BZh"),
    ("zlib", b"x\x01"),
    ("zlib", b"x\x5e"),
    ("RAR", b"Rar!\x1a\x07"),
    ("Lzip", b"LZIP\x01"),
    ("LZ4", b"\x04\x22\x4d\x18"),
    ("zlib", b"x\x9c"),
    ("zlib", b"x\xda"),
    ("gzip", b"\x1f\x8b\x08"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("xz", b"\xfd7zXZ\x00"),
    ("7-Zip", b"7z\xbc\xaf\x27\x1c"),
    ("Snappy", b"\xff\x06\x00\x00sNaPpY"),
)
_UNREAD = ("7-Zip", "RAR", "LZ4", "Lzip", "Snappy")
_ASCII = 8  # the first ones are ASCII; in ASCII data, only these are searched for
# Bytes from the first magic one on by which `_is_one` decides.
NEEDED = {
    **{kind: len(begin) for kind, begin in _BEGINNINGS},
    **{"zlib": 7, "gzip": 4, "bzip2": 10, "7-Zip": 32, "LZ4": 6, "Snappy": 14, "RAR": 16},
}
_MOST = 20_000  # places in one text: a megabyte of random bytes has 64


@cache
def _scanner(ascii_only: bool) -> Any:
    """A scanner for all beginnings; None if hyperscan is not installed."""
    try:
        from claude_bottle.dlp.rules.scanner import Scanner
    except ImportError:
        return None
    chosen = _BEGINNINGS[: _ASCII if ascii_only else None]
    # As escapes, because an expression ends at its first zero byte.
    return Scanner(
        [(number, b"".join(b"\\x%02x" % byte for byte in begin)) for number, (_, begin) in enumerate(chosen)]
    )


_ANY = re.compile(b"|".join(b"(" + re.escape(begin) + b")" for _, begin in _BEGINNINGS))


def beginnings(data: bytes) -> list[tuple[int, str]]:
    """Each offset at which something may begin, and its kind, in order. Raises Unscannable if there are too many."""
    scanner = _scanner(data.isascii())
    matches: list[tuple[int, int]] = []
    if scanner is None:
        matches = [(match.start(), (match.lastindex or 1) - 1) for match in _ANY.finditer(data)]
    else:
        scanner.scan(data, lambda number, _, to, *__: matches.append((to - len(_BEGINNINGS[number][1]), number)))
    if not matches:
        return []
    if len(matches) > _MOST:
        raise Unscannable("too_much_to_scan", "too many places where packed data may begin")
    return [(at, kind) for at, number in sorted(matches) if _is_one(kind := _BEGINNINGS[number][0], data, at)]


def _is_one(kind: str, data: bytes, at: int) -> bool:
    """Whether the bytes after the magic ones fit its kind. If too few follow to decide: True, but False for zlib, LZ4
    and RAR."""
    head = data[at : at + NEEDED[kind]]
    if kind == "zlib":
        return _is_deflate(head[2:7])
    if kind == "gzip":
        return len(head) < 4 or head[3] < 0x20  # reserved flags are 0
    if kind == "bzip2":
        return head[3:4] in b"123456789" and b"1AY&SY".startswith(head[4:10])
    if kind == "7-Zip":  # checksum of the header (7zFormat.txt), so that a list of magic bytes does not count
        return len(head) < 32 or zlib.crc32(head[12:]) == int.from_bytes(head[8:12], "little")
    if kind == "LZ4":  # version 1, reserved bits 0 (LZ4 Frame Format)
        return len(head) > 5 and head[4] & 0xC2 == 0x40 and head[5] & 0x8F == 0
    if kind == "Snappy":  # a data chunk follows (framing_format.txt, 4.2 and 4.3)
        return len(head) < 14 or (head[10] < 2 and int.from_bytes(head[11:14], "little") <= 76490)
    if kind == "RAR":
        return _is_rar(head)
    return True


def _is_rar(head: bytes) -> bool:
    """Whether the first header follows: of type 0x73 in RAR 4 (its technote), of type 1 or 4, after its checksum and
    size, in RAR 5 (RAR 5.0 archive format). A list of magic bytes has none."""
    if head[6:7] == b"\x00":
        return head[9:10] == b"\x73"
    size = next((at for at in range(12, len(head)) if head[at] < 0x80), len(head))  # a number of several bytes
    return head[6:8] == b"\x01\x00" and head[size + 1 : size + 2] in (b"\x01", b"\x04")


def _is_deflate(head: bytes) -> bool:
    """Whether deflate can begin so (RFC 1951, 3.2.3): one of three kinds of block; a stored one has its length
    twice."""
    if not head:
        return False
    kind = head[0] >> 1 & 3
    if kind == 0 and len(head) >= 5:
        return head[1] ^ head[3] == 0xFF and head[2] ^ head[4] == 0xFF
    return kind != 3


def cannot_be_read(kind: str) -> bool:
    """Whether this kind is recognised only and cannot be unpacked."""
    return kind in _UNREAD
