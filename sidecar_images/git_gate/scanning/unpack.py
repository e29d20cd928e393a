"""Finds compressed or encoded content in data, at any offset, and unpacks it, within bounds.

Streams are found by their signatures and not by an archive's structure, so a byte before an archive, an archive inside
another, or a false table of contents hides nothing. Containers that do not compress (tar, ar, cpio, a stored member of
a zip) need no unpacking: the scanned bytes contain their contents.
"""

from __future__ import annotations

import binascii
import bz2
import contextlib
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .sealed import sealed
from .strange import strange

DEPTH = 5
_MEMBERS = 10_000
_RATIO, _RATIO_FROM = (
    500,
    16 << 20,
)  # deflate cannot exceed 1032 to 1; small content may be as dense as it likes
_ONE = 128 << 20  # bytes of one stream, which is held in memory
_MEMORY = 128 << 20  # bytes that a decoder of xz or lzma may use
_DICTIONARY, _PLAINLY = 64 << 20, 4096  # bytes; random data rarely decodes to so much before an error
_CHUNK, _PART = 64 << 10, 1 << 20  # bytes of a decoder's input and output at a time
_BROKEN = (zlib.error, OSError, lzma.LZMAError, EOFError)
_LEAST = 16  # bytes; fewer hold no secret, and any two bytes may look like a stream's head
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}(?:[ \t]*\r?\n[ \t]*[A-Za-z0-9+/_-]+={0,2})*")
_LETTERS, _SEED = bytes(97 if (chr(c).isalnum() and c < 128) or c in b"+/_-" else 32 for c in range(256)), b"a" * 40
_LONG = 100  # characters of base64 or hex; gitleaks decodes shorter runs
_SPACE = b" \t\r\n"


class CannotUnpack(Exception):
    """An archive's content cannot be scanned. The message says why."""


class PushBound(CannotUnpack):
    """The push as a whole unpacks to more than it may. No single archive is the cause. The message says how much."""


@dataclass
class Bounds:
    """How much one push may still unpack. check: raises if its time is over."""

    bytes: int
    check: Callable[[], object] = lambda: None
    members: int = _MEMBERS

    def spend(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise PushBound("more bytes than one push may contain")

    def member(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise PushBound(f"more than {_MEMBERS} packed contents")


@dataclass(frozen=True)
class Found:
    """Unpacked content, which may be garbage: the bytes may only look like a stream's head, or like base64.

    whole: its stream came to its end. packed: it was compressed, not only encoded.
    """

    content: bytes
    whole: bool
    packed: bool = True


Opener = Callable[[bytes, int, Bounds], Found | None]


def unpacked(data: bytes, bounds: Bounds, depth: int = 0, *, certain: bool = True) -> Iterator[bytes]:
    """Every content that is packed in `data`, nested too. Raises CannotUnpack.

    certain: `data` begins where a file begins, so short signatures count there.
    """
    bounds.check()
    if what := sealed(data, at_start=certain):
        raise CannotUnpack(f"{what}, which git-gate cannot open")
    for part in _found(data, bounds):
        if part.whole and part.packed:
            bounds.member()
        if depth >= DEPTH:
            raise CannotUnpack(f"packed in more than {DEPTH} layers")
        yield part.content
        yield from unpacked(part.content, bounds, depth + 1, certain=part.packed and part.whole)


def _found(data: bytes, bounds: Bounds) -> Iterator[Found]:
    rest = strange(data)
    for signature, opener in _OPENERS:
        if _STRANGE[signature] not in rest:
            continue
        until = len(data) if signature not in _RARE else _NEAR
        at = data.find(signature, 0, until)
        while at >= 0:
            part = opener(data, at, bounds)
            if part is not None and len(part.content) >= _LEAST:
                yield part
            at = data.find(signature, at + 1, until)
    yield from _encoded(data, bounds)


class _Output:
    """A decoder's output so far, within the bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds, self._parts, self._size = bounds, [], 0  # type: ignore[var-annotated]

    def add(self, part: bytes, taken: int) -> None:
        self._size += len(part)
        self._bounds.spend(len(part))
        if self._size > _ONE:
            raise CannotUnpack(f"it unpacks to more than {_ONE >> 20} MB")
        if self._size > _RATIO_FROM and self._size > _RATIO * taken:
            raise CannotUnpack(f"it unpacks to more than {_RATIO} times its size")
        self._parts.append(part)

    def feed(self, decoder: Any, data: Any, taken: int) -> None:
        """Add a decoder's whole output for `data`, in parts of a bounded size."""
        waiting = data
        while not decoder.eof:
            part = decoder.decompress(waiting, _PART)
            self.add(part, taken)
            waiting = getattr(decoder, "unconsumed_tail", b"")  # of zlib; the other decoders keep it themselves
            if not waiting and len(part) < _PART and getattr(decoder, "needs_input", True):
                return

    def content(self) -> bytes:
        return b"".join(self._parts)


def _decode(make: Callable[[], Any], data: bytes, at: int, bounds: Bounds) -> Found:
    """A decoder's output for the bytes from `at` on, until it ends or breaks."""
    bounds.check()
    view, decoder, out, start = memoryview(data), make(), _Output(bounds), at
    try:
        while not decoder.eof and start < len(data):
            before = decoder.copy() if hasattr(decoder, "copy") else None
            done = len(out._parts)
            out.feed(decoder, view[start : start + _CHUNK], start + _CHUNK - at)
            start += _CHUNK
    except _BROKEN as error:
        if "emory" in str(error):
            raise CannotUnpack("it needs more memory to be unpacked than git-gate has") from None
        # A decoder discards its output for the chunk in which it fails, but common tools keep it: so retry byte by
        # byte.
        if before is None:
            before, out, start = make(), _Output(bounds), at
        else:
            del out._parts[done:]
        with contextlib.suppress(*_BROKEN):
            for place in range(start, len(data)):
                if part := before.decompress(view[place : place + 1]):
                    out.add(part, place + 1 - at)
                if before.eof:
                    break
                if place & 0xFFFF == 0:
                    bounds.check()
        return Found(out.content(), whole=False)
    return Found(out.content(), whole=bool(decoder.eof))


def _opened(kind: str, head: bytes, make: Callable[[], Any], *, strong: bool = True) -> Opener:
    """An opener of streams that begin with `head` (a pattern). strong: a file that begins with it must be one."""
    pattern = re.compile(head, re.DOTALL)

    def opener(data: bytes, at: int, bounds: Bounds) -> Found | None:
        if not pattern.match(data, at):
            return None
        part = _decode(make, data, at, bounds)
        if strong and at == 0 and not part.whole:
            raise CannotUnpack(f"{kind} that is broken")
        return part

    return opener


def _lzma_alone(data: bytes, at: int, bounds: Bounds) -> Found | None:
    """.lzma has no real signature: its header (LZMA SDK, lzma.txt) must have a plausible size, or none, and a 0 as the
    first byte of its range coder. One that needs too much memory is decoded with less, to see whether it is one."""
    size = int.from_bytes(data[at + 5 : at + 13], "little")
    if len(data) < at + 14 or data[at + 13] or (size >= 1 << 40 and size != (1 << 64) - 1):
        return None
    make = lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY)  # noqa: E731
    if int.from_bytes(data[at + 1 : at + 5], "little") <= _DICTIONARY:
        return _decode(make, data, at, bounds)
    head = data[at : at + 1] + _DICTIONARY.to_bytes(4, "little") + data[at + 5 : at + 13]
    part = _decode(make, head + data[at + 13 : at + 13 + _CHUNK], 0, bounds)
    if len(part.content) >= _PLAINLY:
        raise CannotUnpack("it needs more memory to be unpacked than git-gate has")
    return part


# The methods of APPNOTE.TXT 6.3.10 (PKWARE), 4.4.5. 0 is stored; 12 and 95 have a signature of their own.
_METHODS = {*range(21), *range(93, 100)}
_SEEN_ANYWAY = {0, 8, 12, 95}


def _zip_member(data: bytes, at: int, bounds: Bounds) -> Found | None:
    """A local file header (APPNOTE.TXT, 4.3.7) and the data after it. A "stored" member is tried as deflated too."""
    head = data[at : at + 30]
    flags, method = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    length, extra = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
    if len(head) < 30 or head[4] > 63 or method not in _METHODS:  # 4.4.3: versions go up to 6.3
        if at == 0 and len(data) > 30:
            raise CannotUnpack("a zip archive that is broken")
        flags, method = 0, 0
    if flags & 0x2041:  # 4.4.4: encrypted, strongly encrypted, masked headers
        raise CannotUnpack("a zip archive that is encrypted")
    if method not in _SEEN_ANYWAY:
        raise CannotUnpack(f"a zip archive with compression method {method}, which git-gate cannot open")
    part = _decode(lambda: zlib.decompressobj(-15), data, at + 30 + length + extra, bounds)
    if method == 8 and not part.whole and at == 0:
        raise CannotUnpack("a zip archive that is broken")
    return part if part.whole or method == 8 else None


def _runs(data: bytes) -> Iterator[re.Match[bytes]]:
    """The matches of _BASE64. A plain search for their possible beginnings is ten times as fast as the pattern."""
    classes = data.translate(_LETTERS)
    at = classes.find(_SEED)
    while at >= 0:
        match = _BASE64.match(data, at)
        assert match is not None  # noqa: S101 - the seed is its beginning
        yield match
        at = classes.find(_SEED, match.end())


def _encoded(data: bytes, bounds: Bounds) -> Iterator[Found]:
    """Decoded long base64 or hex, also over many lines, from each possible offset."""
    for run in _runs(data):
        text = run.group().translate(None, _SPACE)
        if len(text) < _LONG:
            continue
        bounds.check()
        bounds.spend(len(text))
        try:
            yield Found(binascii.unhexlify(text[: len(text) & ~1]), whole=True, packed=False)
        except binascii.Error:
            text = text.translate(bytes.maketrans(b"-_", b"+/"))
        for part in text.split(b"="):
            for offset in range(4):
                cut = part[offset : len(part) - (len(part) - offset) % 4]
                if len(cut) >= _LONG // 2:
                    yield Found(binascii.a2b_base64(cut), whole=True, packed=False)


# RFC 1950, 2.2: method 8, a window of up to 32 KB, no preset dictionary, and the check, a multiple of 31.
_ZLIB = [(cmf, flg) for cmf in range(8, 128, 16) for flg in range(256) if not flg & 32 and (cmf << 8 | flg) % 31 == 0]
# All tools use 32 KB. The many two-byte heads of smaller windows count only near the beginning of the data.
_RARE, _NEAR = frozenset(bytes(head) for head in _ZLIB if head[0] != 0x78), 1024
# gzip: RFC 1952, 2.3.1, reserved flags are zero. xz-file-format.txt, 2.1.1.1. bzip2: the block's magic follows.
_OPENERS: tuple[tuple[bytes, Opener], ...] = (
    (b"PK\x03\x04", _zip_member),
    (b"\x1f\x8b\x08", _opened("a gzip file", rb"...[\x00-\x1f]", lambda: zlib.decompressobj(31))),
    (b"BZh", _opened("a bzip2 file", rb"...[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)", bz2.BZ2Decompressor)),
    (b"\xfd7zXZ\0", _opened("an xz file", b"", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY))),
    (b"\x5d\0\0", _lzma_alone),
    *((bytes(head), _opened("a zlib stream", b"", zlib.decompressobj, strong=False)) for head in _ZLIB),
)
_STRANGE = {signature: strange(signature) for signature, _ in _OPENERS}
