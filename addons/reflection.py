"""Token values must not travel back: finds the bottle's own tokens in what passes, and masks them.

A mask has the length of what it covers, so that lengths and framing stay true.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from addons.decoders import Decoder
from addons.dlp_scanner import ONCE, Scanner
from addons.injection import MIN_TOKEN_LENGTH


def _spellings(token: str) -> set[bytes]:
    raw = token.encode()
    found = {raw, quote(token, safe="").encode(), json.dumps(token)[1:-1].encode(), raw.hex().encode()}
    found.add(raw.hex().upper().encode())
    found.add(json.dumps(token)[1:-1].replace("/", "\\/").encode())
    for shift in range(3):
        # Base64 of something that holds the token: drop the characters that its neighbours have a part in.
        body = base64.b64encode(b"\0" * shift + raw)
        body = body[(0, 2, 3)[shift] :].rstrip(b"=")
        if (shift + len(raw)) % 3:
            body = body[:-1]
        found.update({body, body.replace(b"+", b"-").replace(b"/", b"_")})
    return {needle for needle in found if len(needle) >= MIN_TOKEN_LENGTH}


class TokenMask:
    """Knows every spelling of the tokens: as they are, percent-encoded, JSON-escaped, base64, hex."""

    def __init__(self, tokens: Iterable[str]) -> None:
        needles = {needle for token in tokens for needle in _spellings(token)}
        self.needles = sorted(needles, key=len, reverse=True)
        self._scanner = Scanner([(0, re.escape(needle)) for needle in self.needles], ONCE) if needles else None

    def __bool__(self) -> bool:
        return bool(self.needles)

    def found_in(self, data: bytes) -> bool:
        """True if some token is in there."""
        found: list[int] = []
        if self._scanner is not None and data:
            self._scanner.scan(data, lambda number, *_: found.append(number))
        return bool(found)

    def mask(self, data: bytes) -> bytes:
        """The same bytes with every token replaced by asterisks."""
        for needle in self.needles if self.found_in(data) else ():
            data = data.replace(needle, b"*" * len(needle))
        return data

    def pending(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a token that the next chunk completes."""
        longest, size = 0, len(data)
        for needle in self.needles:
            at = data.find(needle[:1], max(0, size - len(needle) + 1))
            while at >= 0 and size - at > longest:
                if needle.startswith(data[at:]):
                    longest = size - at
                at = data.find(needle[:1], at + 1)
        return longest


class MaskedStream:
    """Masks tokens in a stream of chunks, holding back only what may be the beginning of one.

    With a decoder the chunks are decoded first, and what comes out is plain. DecodeError passes through.
    """

    def __init__(self, mask: TokenMask, decoder: Decoder | None = None) -> None:
        self._mask, self._decoder = mask, decoder
        self._held = b""
        self.found = False

    def feed(self, chunk: bytes) -> bytes:
        """The next bytes to pass on; empty while a possible token is incomplete."""
        return self._take(self._decoder.feed(chunk) if self._decoder else chunk, last=False)

    def finish(self) -> bytes:
        """What was held back."""
        if self._decoder:
            self._decoder.finish()
        return self._take(b"", last=True)

    def _take(self, plain: bytes, last: bool) -> bytes:
        data = self._held + plain
        masked = self._mask.mask(data)
        if masked is not data:
            self.found, data = True, masked
        hold = 0 if last else self._mask.pending(data)
        self._held = data[len(data) - hold :]
        return data[: len(data) - hold]
