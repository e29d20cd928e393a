"""Incremental decoders of the content encodings that the proxies read. What is not listed here is not let through."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard


class DecodeError(ValueError):
    """The bytes are not what their encoding promises, or the encoding is not known."""


class Decoder(Protocol):
    """Takes chunks in, gives plain bytes out; `finish` raises DecodeError when the stream ended early."""

    def feed(self, chunk: bytes) -> bytes: ...
    def finish(self) -> None: ...


class _Identity:
    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def finish(self) -> None:
        return None


class _Zlib:
    """gzip (any number of members) and deflate (zlib-wrapped or raw, as browsers accept both)."""

    def __init__(self, gzip: bool) -> None:
        self._gzip = gzip
        self._inner = zlib.decompressobj(31 if gzip else 15)
        self._begun = False
        self._ended = False

    def feed(self, chunk: bytes) -> bytes:
        out = []
        while chunk:
            if self._inner.eof:
                if not self._gzip:
                    raise DecodeError("data after the end of the stream")
                self._inner = zlib.decompressobj(31)
            try:
                out.append(self._inner.decompress(chunk))
            except zlib.error as error:
                if self._gzip or self._begun:
                    raise DecodeError("broken compressed data") from error
                self._inner, self._begun = zlib.decompressobj(-15), True
                continue
            self._begun = True
            chunk = self._inner.unused_data
        return b"".join(out)

    def finish(self) -> None:
        if self._begun and not self._inner.eof:
            raise DecodeError("compressed data ends early")


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        self._begun = self._begun or bool(chunk)
        try:
            return bytes(self._inner.process(chunk))
        except brotli.error as error:
            raise DecodeError("broken compressed data") from error

    def finish(self) -> None:
        if self._begun and not self._inner.is_finished():
            raise DecodeError("compressed data ends early")


class _Zstd:
    """zstd, any number of frames."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        out = []
        while chunk:
            self._begun = True
            try:
                if self._inner.eof:
                    self._inner = zstandard.ZstdDecompressor().decompressobj()
                out.append(self._inner.decompress(chunk))
            except zstandard.ZstdError as error:
                raise DecodeError("broken compressed data") from error
            chunk = self._inner.unused_data
        return b"".join(out)

    def finish(self) -> None:
        if self._begun and not self._inner.eof:
            raise DecodeError("compressed data ends early")


class _Chain:
    def __init__(self, inner: list[Decoder]) -> None:
        self._inner = inner

    def feed(self, chunk: bytes) -> bytes:
        for decoder in self._inner:
            chunk = decoder.feed(chunk)
        return chunk

    def finish(self) -> None:
        for decoder in self._inner:
            decoder.finish()


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "": _Identity,
    "identity": _Identity,
    "gzip": lambda: _Zlib(gzip=True),
    "x-gzip": lambda: _Zlib(gzip=True),
    "deflate": lambda: _Zlib(gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}
# What a proxy may offer to an upstream, so that every answer can be read.
ACCEPTED_ENCODINGS = "gzip, deflate, br, zstd"
_MAX_LAYERS = 3


def decoder_for(content_encoding: str) -> Decoder:
    """A decoder for a Content-Encoding value (several are undone last to first). Raises DecodeError if unknown."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    if len(names) > _MAX_LAYERS or any(name not in _DECODERS for name in names):
        raise DecodeError(f"content encoding {content_encoding[:40]!r} cannot be read")
    decoders = [_DECODERS[name]() for name in reversed(names)]
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)


def is_identity(content_encoding: str) -> bool:
    """True if the value names no transformation."""
    return all(name.strip().lower() in ("", "identity") for name in content_encoding.split(","))


def decode(data: bytes, content_encoding: str, limit: int) -> bytes:
    """Decode whole bytes; raises DecodeError when broken, unknown, or larger than `limit` bytes when plain."""
    decoder = decoder_for(content_encoding)
    if is_identity(content_encoding) and len(data) <= limit:
        return data
    out, size = [], 0
    for start in range(0, len(data), 16384):  # in small steps, so that a decompression bomb is noticed early
        out.append(decoder.feed(data[start : start + 16384]))
        size += len(out[-1])
        if size > limit:
            raise DecodeError("the decoded body is too large to be read")
    decoder.finish()
    return b"".join(out)
