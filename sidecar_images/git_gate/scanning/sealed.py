"""Archives that Python's standard library cannot open, recognised by their signatures. Pure.

A program that knows the format may contain a short signature, so it counts only if the bytes after it are valid too.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

from .strange import strange

_NEAR = 1024  # bytes
_ANYWHERE = {
    b"MSCF\0\0\0\0": "a cabinet file",  # [MS-CAB], 2.1
    b"\x89LZO\0\r\n\x1a\n": "an lzop file",
    b"\xff\x06\0\0sNaPpY": "a snappy file",  # framing_format.txt of google/snappy, 4.1
    b"Rar!\x1a\x07\x01\0": "a rar archive",  # RAR 5.0 archive format, signature
    b"MSWIM\0\0\0": "a Windows image",
}
# compress(1) in both forms, and pack(1): two bytes, so only at the beginning. LHA: a method at offset 2. ARJ.
_AT_START = (
    (re.compile(rb"\x1f[\x9d\xa0\x1e]"), "a file of compress or pack"),
    (re.compile(rb"..-l(?:h[0-9dex]|z[s45])-", re.DOTALL), "an LHA archive"),
    (re.compile(rb"\x60\xea"), "an ARJ archive"),
    (re.compile(rb"ISc\("), "a cabinet of InstallShield"),
    (re.compile(rb".{7}\*\*ACE\*\*", re.DOTALL), "an ACE archive"),
    (re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), "a zstd file"),
)


def sealed(data: bytes, *, at_start: bool = True) -> str:
    """The kind of archive in the data that cannot be opened, with its article; empty for none.

    at_start: `data` begins where a file begins.
    """
    for pattern, what in _AT_START if at_start else ():
        if pattern.match(data):
            return what
    if b"\x1f\x9d\x90" in data[:_NEAR]:  # compress(1) as usual, with codes of up to 16 bits
        return "a file of compress"
    rest = strange(data)
    for signature, what in _ANYWHERE.items():
        if _STRANGE[signature] in rest and signature in data:
            return what
    for signature, check, what in _CHECKED:
        at = data.find(signature) if _STRANGE[signature] in rest else -1
        while at >= 0:
            if check(data, at):
                return what
            at = data.find(signature, at + 1)
    return ""


def _seven_zip(data: bytes, at: int) -> bool:
    """7zFormat.txt: the CRC of the start header precedes it."""
    return len(data) >= at + 32 and zlib.crc32(data[at + 12 : at + 32]) == int.from_bytes(
        data[at + 8 : at + 12], "little"
    )


def _rar(data: bytes, at: int) -> bool:
    """RAR 4 technote: the archive header, of type 0x73, follows."""
    return data[at + 9 : at + 10] == b"\x73"


def _zstd(data: bytes, at: int) -> bool:
    """RFC 8878, 3.1.1: whether all blocks of a frame are present up to the last one."""
    if len(data) < at + 6 or data[at + 4] & 0x08:
        return False
    descriptor = data[at + 4]
    single, dictionary = descriptor >> 5 & 1, (0, 1, 2, 4)[descriptor & 3]
    content = (single, 2, 4, 8)[descriptor >> 6]
    place = at + 5 + (0 if single else 1) + dictionary + content
    while place + 3 <= len(data):
        header = int.from_bytes(data[place : place + 3], "little")
        kind, size = header >> 1 & 3, header >> 3
        if kind == 3 or size > 128 << 10:
            return False
        place += 3 + (1 if kind == 1 else size)
        if header & 1:
            return place <= len(data)
    return False


def _lz4(data: bytes, at: int) -> bool:
    """lz4_Frame_format.md: version 01, a valid block size, reserved bits zero."""
    return len(data) > at + 7 and data[at + 4] & 0xC2 == 0x40 and data[at + 5] in (0x40, 0x50, 0x60, 0x70)


def _lzip(data: bytes, at: int) -> bool:
    """lzip manual, file format: version 1, a dictionary of 2^12 to 2^29 bytes."""
    return len(data) > at + 26 and data[at + 4] == 1 and 12 <= data[at + 5] & 31 <= 29


_CHECKED: tuple[tuple[bytes, Callable[[bytes, int], bool], str], ...] = (
    (b"7z\xbc\xaf\x27\x1c", _seven_zip, "a 7z archive"),
    (b"Rar!\x1a\x07\0", _rar, "a rar archive"),
    (b"\x28\xb5\x2f\xfd", _zstd, "a zstd file"),
    (b"\x04\x22\x4d\x18", _lz4, "an lz4 file"),
    (b"LZIP", _lzip, "an lzip file"),
)
_STRANGE = {signature: strange(signature) for signature in (*_ANYWHERE, *(row[0] for row in _CHECKED))}
