"""What a decoder is: incremental, in parts of a size, and within limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

STEP = 1 << 20  # bytes that one part may have
MAX_PLAIN = 64 << 20  # bytes: what a decoder makes in all where its user names no other limit ...
MAX_RATIO = 100  # ... and of a long stream, for each byte that went in (text comes to ten, a page of logs to thirty)


class DecodeError(ValueError):
    """The bytes are not what their encoding promises, the encoding is not known, or they unpack to too much."""


class TooLargeError(DecodeError):
    """They unpack to too much."""


class Decoder(Protocol):
    """Takes chunks in, gives plain bytes out; `finish` raises DecodeError when the stream ended early.

    `feed_parts` gives what a chunk makes in parts of at most STEP bytes, each made when it is asked for; `feed` gives
    it at once. Both raise DecodeError where all that was made is more than MAX_PLAIN and MAX_RATIO allow.
    """

    def feed(self, chunk: bytes) -> bytes: ...
    def feed_parts(self, chunk: bytes) -> Iterator[bytes]: ...
    def finish(self) -> None: ...


def cut(data: bytes) -> Iterator[bytes]:
    """In parts of a STEP."""
    if len(data) <= STEP:
        yield data
        return
    for start in range(0, len(data), STEP):
        yield data[start : start + STEP]
