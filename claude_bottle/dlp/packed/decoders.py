"""Incremental decoders of the content encodings that the proxies can read; all other encodings are refused.

A compressed stream is decoded in parts of at most STEP bytes, and its total output has a limit. So a decompression bomb
costs bounded time and memory.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import zstandard

from claude_bottle.dlp.packed.aws_chunked import AwsChunked
from claude_bottle.dlp.packed.decoder import MAX_PLAIN, MAX_RATIO, STEP, DecodeError, Decoder, TooLargeError, cut


class _Identity:
    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def feed_parts(self, chunk: bytes) -> Iterator[bytes]:
        if chunk:
            yield chunk

    def finish(self) -> None:
        return None


class _Bounded:
    """What the decoders have in common: the limits, and an end that must be reached."""

    def __init__(self) -> None:
        self._taken = self._made = 0
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(self.feed_parts(chunk))

    def feed_parts(self, chunk: bytes) -> Iterator[bytes]:
        self._taken += len(chunk)
        self._begun = self._begun or bool(chunk)
        for part in self._parts(chunk):
            self._made += len(part)
            if self._made > max(MAX_PLAIN, MAX_RATIO * self._taken):
                raise TooLargeError("it unpacks to too much data")
            if part:
                yield part

    def finish(self) -> None:
        if self._begun and not self._ended():
            raise DecodeError("compressed data ends early")

    def _parts(self, chunk: bytes) -> Iterator[bytes]:
        raise NotImplementedError

    def _ended(self) -> bool:
        raise NotImplementedError


class _Zlib(_Bounded):
    """gzip (any number of members) and deflate (zlib-wrapped or raw, as browsers accept both)."""

    def __init__(self, gzip: bool) -> None:
        super().__init__()
        self._gzip = gzip
        self._inner = zlib.decompressobj(31 if gzip else 15)
        self._sure = gzip  # it is not raw deflate

    def _parts(self, chunk: bytes) -> Iterator[bytes]:
        full = False  # output of earlier input may be left
        while chunk or full:
            if self._inner.eof:
                if not self._gzip:
                    raise DecodeError("data after the end of the stream")
                self._inner = zlib.decompressobj(31)
            try:
                part = self._inner.decompress(chunk, STEP)
            except zlib.error as error:
                if self._sure:
                    raise DecodeError("broken compressed data") from error
                self._inner, self._sure = zlib.decompressobj(-15), True
                continue
            self._sure, full = True, len(part) == STEP
            yield part
            chunk = self._inner.unconsumed_tail or self._inner.unused_data
            full = full and not self._inner.eof

    def _ended(self) -> bool:
        return self._inner.eof


# A step of 64 bytes makes some 200 MB at most if the library has no limit of its own (brotli before 1.2): a meta-block
# of 16 MB takes at least five bytes (RFC 7932, section 9.2). The images have 1.2.
_SMALL = 64


class _Brotli(_Bounded):
    def __init__(self) -> None:
        super().__init__()
        self._inner: Any = brotli.Decompressor()
        self._limited = hasattr(self._inner, "can_accept_more_data")

    def _parts(self, chunk: bytes) -> Iterator[bytes]:
        try:
            if not self._limited:
                for start in range(0, len(chunk), _SMALL):
                    yield from cut(bytes(self._inner.process(chunk[start : start + _SMALL])))
                return
            if chunk:
                yield from cut(bytes(self._inner.process(chunk, output_buffer_limit=STEP)))
            while not self._inner.can_accept_more_data():
                yield from cut(bytes(self._inner.process(b"", output_buffer_limit=STEP)))
        except brotli.error as error:
            raise DecodeError("broken compressed data") from error

    def _ended(self) -> bool:
        return bool(self._inner.is_finished())


# RFC 9659: zstd content needs no window of more than 8 MB. A step of 512 bytes makes 16 MB at most: a block of 128 kB
# takes at least four bytes (RFC 8878, section 3.1.1.2).
_ZSTD_WINDOW, _ZSTD_STEP = 8 << 20, 512


class _Zstd(_Bounded):
    """zstd, any number of frames."""

    def __init__(self) -> None:
        super().__init__()
        self._made_by = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._inner = self._made_by.decompressobj()

    def _parts(self, chunk: bytes) -> Iterator[bytes]:
        for start in range(0, len(chunk), _ZSTD_STEP):
            rest = chunk[start : start + _ZSTD_STEP]
            while rest:
                try:
                    if self._inner.eof:
                        self._inner = self._made_by.decompressobj()
                    part = self._inner.decompress(rest)
                except zstandard.ZstdError as error:
                    raise DecodeError("broken compressed data") from error
                yield from cut(part)
                rest = self._inner.unused_data

    def _ended(self) -> bool:
        return bool(self._inner.eof)


class _Chain:
    def __init__(self, inner: list[Decoder]) -> None:
        self._inner = inner

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(self.feed_parts(chunk))

    def feed_parts(self, chunk: bytes) -> Iterator[bytes]:
        yield from self._through(chunk, 0)

    def _through(self, chunk: bytes, number: int) -> Iterator[bytes]:
        if number == len(self._inner):
            yield chunk
            return
        for part in self._inner[number].feed_parts(chunk):
            yield from self._through(part, number + 1)

    def finish(self) -> None:
        for decoder in self._inner:
            decoder.finish()


def _aws_chunked() -> Decoder:
    return AwsChunked()


# Not registered, but sent by servers that mean no encoding: every client takes the bytes as they are.
_PLAIN = ("", "identity", "none", "utf-8")
_DECODERS: dict[str, Callable[[], Decoder]] = {
    **dict.fromkeys(_PLAIN, _Identity),
    "aws-chunked": _aws_chunked,
    "gzip": lambda: _Zlib(gzip=True),
    "x-gzip": lambda: _Zlib(gzip=True),
    "deflate": lambda: _Zlib(gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}
# The encodings that a proxy may offer to an upstream, so that every response can be read.
ACCEPTED_ENCODINGS = "gzip, deflate, br, zstd"
_MAX_LAYERS = 3


def readable_part(accept_encoding: str) -> str:
    """The readable encodings among those that a client accepts: never one that it did not name (RFC 9110, 12.5.3).

    `*` stands for those of ACCEPTED_ENCODINGS. If none is left, the result is `identity`.
    """
    kept: list[str] = []
    for item in filter(None, map(str.strip, accept_encoding.split(","))):
        name, semicolon, weight = item.partition(";")
        if name.strip() == "*" and not _NEVER.fullmatch(weight):
            named = accepted_names(accept_encoding)
            kept += [f"{one}{semicolon}{weight}" for one in ACCEPTED_ENCODINGS.split(", ") if one not in named]
        elif name.strip().lower() in _OFFERED:
            kept.append(item)
    return ", ".join(kept) or "identity"


def accepted_names(accept_encoding: str) -> frozenset[str]:
    """The lower-case names in an Accept-Encoding value, refused ones (q=0) included."""
    return frozenset(item.partition(";")[0].strip().lower() for item in accept_encoding.split(",")) - {""}


_OFFERED = frozenset([*ACCEPTED_ENCODINGS.split(", "), "x-gzip", "identity"])
_NEVER = re.compile(r"\s*q\s*=\s*0(?:\.0*)?\s*")


def layers_of(content_encoding: str) -> list[str]:
    """The encodings of a Content-Encoding value in the order of decoding, without plain ones. Raises DecodeError if one
    is unknown, or if there are more than three."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    if len(names) > _MAX_LAYERS or any(name not in _DECODERS for name in names):
        raise DecodeError(f"content encoding {content_encoding[:40]!r} cannot be read")
    return [name for name in reversed(names) if name not in _PLAIN]


def decoder_for(content_encoding: str) -> Decoder:
    """A decoder for a Content-Encoding value (several are decoded last to first). Raises DecodeError if one is
    unknown."""
    decoders = [_DECODERS[name]() for name in layers_of(content_encoding)] or [_Identity()]
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)


def is_identity(content_encoding: str) -> bool:
    """True if the value names no transformation."""
    return all(name.strip().lower() in _PLAIN for name in content_encoding.split(","))


def decode(data: bytes, content_encoding: str, limit: int = MAX_PLAIN) -> bytes:
    """Decode whole bytes. Raises DecodeError if they are broken, of unknown encoding, or decode to more than `limit`
    bytes."""
    decoder = decoder_for(content_encoding)
    if is_identity(content_encoding) and len(data) <= limit:
        return data
    out, size = [], 0
    for part in decoder.feed_parts(data):
        out.append(part)
        size += len(part)
        if size > limit:
            raise TooLargeError("the decoded body is too large to be read")
    decoder.finish()
    return b"".join(out)
