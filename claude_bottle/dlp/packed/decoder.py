"""The interface of a decoder: incremental, in parts of bounded size, within limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

STEP = 1 << 20  # bytes of one part, at most
MAX_PLAIN = 64 << 20  # bytes: what a decoder makes in all unless its user sets another limit ...
MAX_RATIO = 100  # ... and, of a long stream, for each input byte (text reaches ten, a page of logs thirty)


class DecodeError(ValueError):
    """The bytes break their encoding's rules, the encoding is unknown, or they unpack to too much."""


class TooLargeError(DecodeError):
    """The bytes unpack to too much."""


class Decoder(Protocol):
    """Decodes chunks to plain bytes; `finish` raises DecodeError if the stream ended early.

    `feed_parts` yields a chunk's output in parts of at most STEP bytes, each made on demand; `feed` returns it at once.
    Both raise DecodeError if the total output exceeds MAX_PLAIN and MAX_RATIO.
    """

    def feed(self, chunk: bytes) -> bytes: ...
    def feed_parts(self, chunk: bytes) -> Iterator[bytes]: ...
    def finish(self) -> None: ...


def cut(data: bytes) -> Iterator[bytes]:
    """The data in parts of at most STEP bytes."""
    if len(data) <= STEP:
        yield data
        return
    for start in range(0, len(data), STEP):
        yield data[start : start + STEP]
