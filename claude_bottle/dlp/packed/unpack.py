"""Unpacks an archive or a stream that was found within some bytes, incrementally. Pure.

It relies on the content only. Of a stream that ends early, or breaks off, the output until then is given.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import zstandard

from claude_bottle.dlp.packed.decoder import STEP, DecodeError, cut
from claude_bottle.dlp.packed.signs import cannot_be_read
from claude_bottle.dlp.verdict import Unscannable

_MEMORY = 128 << 20  # bytes that one decoder may take
_ZSTD_BLOCK, _FRAME = 128 << 10, 18  # bytes of a block, and of a frame's header, at most
_FIRST = 16  # bytes of the first step: output that breaks off earlier holds no secret
_HEAD, _ENTRY = 30, 46  # bytes of a local header and of a directory entry (APPNOTE 4.3.7, 4.3.12)
_NAME, _RESERVED = 4096, 0xD780  # bytes of a name; flags that must be 0 (APPNOTE 4.4.4)
_NEWEST = 63  # the newest version that a header can require, 6.3
_DEFLATED = 8
# Compression methods of zip (APPNOTE 4.4.5) that are not read here: the old ones, Deflate64, LZMA, JPEG, WavPack, PPMd,
# AES. Bzip2, Zstandard and XZ begin as they do outside of zip, and are found there.
_UNREAD = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 10, 14, 16, 18, 19, 94, 96, 97, 98, 99})
_READ = frozenset({0, _DEFLATED, 12, 20, 93, 95})
_MADE_BY: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(31),
    "zlib": lambda: zlib.decompressobj(15),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY),
    "zstd": lambda: zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj(),
}


class Unpacker:
    """Unpacks chunks, in parts of at most a megabyte; `ended` is true at the end of the stream.

    Raises DecodeError if the data breaks, and Unscannable if it is sound but cannot be read. rest: how many bytes of
    the last chunk follow the end. taken: bytes given to the decoder. sure: if it does not end well, it is broken, and
    not something else.
    """

    def __init__(self, kind: str) -> None:
        if cannot_be_read(kind):
            raise Unscannable("unreadable_encoding", f"an archive that cannot be read ({kind})")
        self.kind, self.ended, self.rest, self.taken = kind, False, 0, 0
        self.sure = kind not in ("zlib", "lzma", "zip directory")
        self._head: bytearray | None = bytearray()
        self._inner: Any = _MADE_BY[kind]() if kind in _MADE_BY else None
        self._made = 0
        self._blocks, self._begun, self._checked = bytearray(), False, False  # of zstd
        self._is_last, self._unread = False, ""

    def feed_parts(self, chunk: bytes) -> Iterator[bytes]:
        """The output for a chunk, made on demand. Nothing once it has ended."""
        if self._head is not None:
            chunk = self._after_head(chunk)
        if self.ended or self._inner is None or not chunk:
            return
        self.taken += len(chunk)
        try:
            if self.kind == "zstd":
                yield from self._zstd(chunk)
            elif hasattr(self._inner, "needs_input"):
                yield from self._bz2_or_xz(chunk)
            else:
                yield from self._inflated(chunk)
        except DecodeError:
            raise
        except (OSError, EOFError, ValueError, lzma.LZMAError, zstandard.ZstdError) as error:
            if (self._made and self.kind != "zstd") or "memory" in str(error).lower():
                # It began as an archive, and the output for this chunk before it broke is lost.
                raise Unscannable("unreadable_encoding", f"a broken archive ({self.kind}: {error})") from error
            raise DecodeError("broken compressed data") from error

    def _inflated(self, chunk: bytes) -> Iterator[bytes]:
        inner = self._inner
        while True:
            limit = STEP if self._made else _FIRST
            before = inner.copy() if self._made else None
            try:
                part = inner.decompress(chunk, limit)
            except zlib.error as error:
                if before is not None:
                    yield from _salvaged(before, chunk, limit)
                raise DecodeError("broken compressed data") from error
            self._made += len(part)
            if part:
                yield part
            chunk = inner.unconsumed_tail
            if inner.eof:
                self.ended, self.rest = True, len(inner.unused_data)
                return
            if len(part) < limit and not chunk:
                return

    def _bz2_or_xz(self, chunk: bytes) -> Iterator[bytes]:
        inner = self._inner
        while True:
            limit = STEP if self._made else 1
            part = inner.decompress(chunk, limit)
            self._made += len(part)
            if part:
                yield part
            chunk = b""
            if inner.eof:
                self.ended, self.rest = True, len(inner.unused_data)
                return
            if len(part) < limit:
                return

    def _zstd(self, chunk: bytes) -> Iterator[bytes]:
        """Block by block (RFC 8878, 3.1.1), so that the output before a broken block is not lost."""
        self._blocks += chunk
        while not self.ended:
            size = self._next_block()
            if len(self._blocks) < size:
                return
            block = bytes(self._blocks[:size])
            del self._blocks[:size]
            if self._unread:  # sound, if it has a last block; random bytes that look like a frame have none
                if self._is_last:
                    raise Unscannable("unreadable_encoding", f"an archive that {self._unread}")
                continue
            part = self._inner.decompress(block)
            self._made += len(part)
            yield from cut(part)
            if self._inner.eof:
                self.ended, self.rest = True, len(self._blocks)

    def _next_block(self) -> int:
        """The size in bytes of the frame's header, or of the next block. A checksum after the last block belongs to
        it."""
        data = self._blocks
        if not self._begun:
            self._begun = True
            self._checked = bool(data[4] & 4)  # a checksum follows the last block
            try:
                self._unread = "needs a dictionary" if zstandard.get_frame_parameters(bytes(data[:18])).dict_id else ""
            except zstandard.ZstdError as error:
                if "memory" not in str(error):
                    raise
                self._unread = "takes too much memory"
            return int(zstandard.frame_header_size(bytes(data[:18])))
        if len(data) < 3:
            return 3
        head = int.from_bytes(data[:3], "little")
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        self._is_last = bool(last)
        if kind == 3 or size > _ZSTD_BLOCK:
            raise DecodeError("broken compressed data")
        return 3 + (1 if kind == 1 else size) + (4 if last and self._checked else 0)

    def _after_head(self, chunk: bytes) -> bytes:
        """The data in the chunk after the header. The header decides whether the data can be read."""
        assert self._head is not None  # noqa: S101 - as its caller has seen to
        self._head += chunk
        head = bytes(self._head[:_ENTRY])
        if self.kind == "zip" and len(head) >= _HEAD:
            self._check_entry(head[4:], int.from_bytes(head[26:28], "little"))
            size = _HEAD + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            if len(self._head) < size:
                return b""
            # Even if the header says that it is stored: the directory may say otherwise, and many readers use that
            # alone.
            self._inner, chunk = zlib.decompressobj(-15), bytes(self._head[size:])
        elif self.kind == "zip directory" and len(head) >= _ENTRY:
            self._check_entry(head[6:], int.from_bytes(head[28:30], "little"))
            self.ended, self.rest, chunk = True, len(self._head) - _ENTRY, b""
        elif self.kind == "zstd" and len(head) >= _FRAME:
            chunk = bytes(self._head)
        elif self.kind in ("zip", "zip directory", "zstd"):
            return b""
        self._head = None
        return chunk

    def _check_entry(self, head: bytes, name: int) -> None:
        flags, method = int.from_bytes(head[2:4], "little"), int.from_bytes(head[4:6], "little")
        self.sure = self.kind == "zip" and method == _DEFLATED
        if head[0] > _NEWEST or method not in _UNREAD | _READ or not 0 < name <= _NAME:
            return  # not a header, but its magic bytes, as in a program that reads zip
        if flags & 1 and not flags & _RESERVED:
            raise Unscannable(
                "unreadable_encoding",
                "an encrypted archive, which cannot be scanned for credentials; send it unencrypted",
            )
        if method in _UNREAD:
            raise Unscannable("unreadable_encoding", f"an archive packed in a way that cannot be read ({method})")

    def end(self) -> Iterator[bytes]:
        """The output left at the end of the input: of a short zstd frame, whose header was awaited."""
        head, self._head = self._head, None
        if head and self.kind == "zstd" and len(head) > 8:
            yield from self.feed_parts(bytes(head))


def _salvaged(inner: Any, chunk: bytes, limit: int) -> Iterator[bytes]:
    """The output before the data breaks: zlib discards the output of the call that fails."""
    while limit > 1:
        limit //= 2
        trial = inner.copy()
        try:
            part = trial.decompress(chunk, limit)
        except zlib.error:
            continue
        yield part
        inner, chunk = trial, trial.unconsumed_tail
