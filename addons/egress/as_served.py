"""Compressed files that are passed on unchanged by a host with an injected token: scanned, and cut before any token.

A server that stores `x.tar.gz` as a tar with `Content-Encoding: gzip` sends it so even to a client that names no
encoding (Apache's mod_mime, AddEncoding), and the client keeps the bytes. Pages and API responses are what can echo a
token, so those are decompressed and masked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from claude_bottle.dlp.packed.decoder import DecodeError, Decoder
from claude_bottle.dlp.packed.decoders import accepted_names, is_identity, layers_of
from claude_bottle.dlp.tokens.reflection import MaskedStream, TokenMask

# These decompress up to the last byte received, so no more is held than what has not been scanned yet.
_PROMPT = frozenset(["gzip", "x-gzip", "deflate"])
_FILES = (
    "application/octet-stream",
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/x-gtar",
    "application/x-tgz",
    "application/x-compressed",
    "application/x-compressed-tar",
    "binary/octet-stream",  # Amazon S3's default
)
# Compressed bytes held until more arrive or the end: the length of a short response could reveal a token in it.
HELD = 64 << 10


class HoldsTokenError(DecodeError):
    """The response contains part of a token and cannot be masked without changing it."""


def goes_as_served(accept_encoding: str, encoding: str, content_type: str) -> bool:
    """Whether a response is a compressed file, and the client did not ask for its compression.

    A file that is compressed twice is not, because the inner header has names of its own.
    """
    if is_identity(encoding) or content_type.partition(";")[0].strip().lower() not in _FILES:
        return False
    try:
        layers = layers_of(encoding)
    except DecodeError:
        return False
    return (
        len(layers) == 1 and _PROMPT.issuperset(layers) and _alike(accepted_names(accept_encoding)).isdisjoint(layers)
    )


def _alike(names: frozenset[str]) -> frozenset[str]:
    every = _PROMPT if "*" in names else frozenset()
    return names | every | ({"gzip", "x-gzip"} if names & {"gzip", "x-gzip"} else frozenset())


class ServedStream:
    """The chunks of a compressed response, each released once neither its decompressed content nor its own bytes
    contain part of a token. The bytes count because a header has a file name and a comment (RFC 1952, 2.3.1).

    inside: takes each decompressed piece, and returns whether a token is in a compressed file within.
    """

    def __init__(self, mask: TokenMask, decoder: Decoder, inside: Callable[[bytes], bool]) -> None:
        self._packed, self._plain = MaskedStream(mask), MaskedStream(mask)
        self._decoder, self._inside = decoder, inside
        # A chunk, and how many bytes had been received and decompressed including it.
        self._waiting: deque[tuple[bytes, int, int]] = deque()
        self._taken = self._made = 0  # bytes received, and decompressed
        self._read = self._seen = 0  # bytes of these that were scanned

    def feed(self, chunk: bytes) -> list[bytes]:
        """The chunks to release. Raises HoldsTokenError, or DecodeError for data that cannot be decompressed."""
        self._taken += len(chunk)
        self._look_at_packed(self._packed.feed(chunk))
        for part in self._decoder.feed_parts(chunk):
            self._made += len(part)
            self._look(self._plain.feed(part))
        self._waiting.append((chunk, self._taken, self._made))
        return self._free() if self._taken > HELD else []

    def finish(self) -> list[bytes]:
        """The remaining chunks. Raises as `feed`."""
        self._decoder.finish()
        self._look_at_packed(self._packed.finish())
        self._look(self._plain.finish())
        return self._free()

    def _look_at_packed(self, pieces: list[bytes]) -> None:
        self._read += sum(map(len, pieces))
        if self._packed.touched:
            raise HoldsTokenError("a token in the head of a packed file")

    def _look(self, pieces: list[bytes]) -> None:
        self._seen += sum(map(len, pieces))
        if self._plain.touched or any(self._inside(piece) for piece in pieces):
            raise HoldsTokenError("a token in a packed file")

    def _free(self) -> list[bytes]:
        freed = []
        while self._waiting and self._waiting[0][1] <= self._read and self._waiting[0][2] <= self._seen:
            freed.append(self._waiting.popleft()[0])
        return freed
