"""Packed files that go on as they came, where a token is put in: looked into, and cut before anything of a token.

A server that keeps `x.tar.gz` as a tar with `Content-Encoding: gzip` sends it so to a client that names no encoding
(Apache's mod_mime, AddEncoding), and the client keeps the bytes. Pages and calls of an API are what echoes a token:
these go on plain and masked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from claude_bottle.dlp.packed.decoder import DecodeError, Decoder
from claude_bottle.dlp.packed.decoders import accepted_names, is_identity, layers_of
from claude_bottle.dlp.tokens.reflection import MaskedStream, TokenMask

# These unpack to the last letter that came, so what is held is no longer than what is not seen yet.
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
# Bytes, as packed, that are held until more or the end is there: how a short answer packs could tell of a token in it.
HELD = 64 << 10


class HoldsTokenError(DecodeError):
    """The answer holds something of a token, and cannot be masked as it is."""


def goes_as_served(accept_encoding: str, encoding: str, content_type: str) -> bool:
    """Whether an answer is a packed file that the client did not ask to have packed.

    One that is packed twice over is none: the head of what is within has names of its own.
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
    """The chunks of a packed answer, each once it was seen to hold nothing of a token: neither what it unpacks to, nor
    its own bytes, for a head has a file's name and a comment (RFC 1952, 2.3.1).

    inside: takes each piece of what it unpacks to, and says whether a token is packed in there once more.
    """

    def __init__(self, mask: TokenMask, decoder: Decoder, inside: Callable[[bytes], bool]) -> None:
        self._packed, self._plain = MaskedStream(mask), MaskedStream(mask)
        self._decoder, self._inside = decoder, inside
        # A chunk, and how many bytes had come and were unpacked with it.
        self._waiting: deque[tuple[bytes, int, int]] = deque()
        self._taken = self._made = 0  # bytes that came, and that they unpack to
        self._read = self._seen = 0  # of these, what is looked at

    def feed(self, chunk: bytes) -> list[bytes]:
        """The chunks that may go on. Raises HoldsTokenError, or DecodeError for what cannot be unpacked."""
        self._taken += len(chunk)
        self._look_at_packed(self._packed.feed(chunk))
        for part in self._decoder.feed_parts(chunk):
            self._made += len(part)
            self._look(self._plain.feed(part))
        self._waiting.append((chunk, self._taken, self._made))
        return self._free() if self._taken > HELD else []

    def finish(self) -> list[bytes]:
        """The rest. Raises as `feed`."""
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
