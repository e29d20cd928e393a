"""Decodes S3's `aws-chunked`: pieces, each after a line with its size and perhaps a signature. Pure.

Source: Amazon S3 API, Signature calculations: transferring payload in multiple chunks. The lines and the trailers are
not part of the output; the caller has the raw bytes to scan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from claude_bottle.dlp.packed.decoder import DecodeError, cut

_LINE = re.compile(rb"([0-9A-Fa-f]{1,12})(?:;[!-~ ]{0,500})?\r\n")
_LONGEST, _TRAILERS = 600, 16 << 10  # bytes of a line, and of everything after the last piece


class AwsChunked:
    """A decoder, like those of claude_bottle/dlp/packed/decoders.py."""

    def __init__(self) -> None:
        self._waiting = b""  # an incomplete line, or the bytes after the last piece
        self._left = 0  # bytes of the piece, including its line break
        self._begun = self._last = False

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(self.feed_parts(chunk))

    def feed_parts(self, chunk: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(chunk)
        data, at = self._waiting + chunk, 0
        self._waiting = b""
        while at < len(data) and not self._last:
            if self._left:
                piece = data[at : at + self._left]
                at, self._left = at + len(piece), self._left - len(piece)
                yield from cut(self._without_break(piece))
                continue
            match = _LINE.match(data, at)
            if match is None:
                if len(data) - at > _LONGEST or data.find(b"\r\n", at) >= 0:
                    raise DecodeError("broken aws-chunked data")
                break
            at, size = match.end(), int(match[1], 16)
            self._last, self._left = size == 0, size + 2 if size else 0
        self._waiting = data[at:]
        if self._last and len(self._waiting) > _TRAILERS:
            raise DecodeError("broken aws-chunked data")

    def finish(self) -> None:
        if self._begun and not (self._last and self._waiting.endswith(b"\r\n")):
            raise DecodeError("aws-chunked data ends early")

    def _without_break(self, piece: bytes) -> bytes:
        """The piece without the part of its line break at its end."""
        of_break = max(0, 2 - self._left)
        if of_break == 0:
            return piece
        body, end = piece[:-of_break] if of_break < len(piece) else b"", piece[-of_break:]
        if not b"\r\n".endswith(end) if self._left == 0 else end != b"\r":
            raise DecodeError("broken aws-chunked data")
        return body
