"""Token values must not travel back: finds the bottle's own tokens in what passes, and masks them.

A mask has the length of what it covers, so that lengths and framing stay true. Nothing that can be seen from outside,
neither which pieces leave nor when, depends on how much of a token is there: an upload is not held back at all, an
answer by a rule that knows the kinds of letters alone. What is found as a whole, or as a run of 12 letters that nobody
can foresee (claude_bottle/dlp/tokens/secrets.py), is masked, and that alone can be seen.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from claude_bottle.dlp.packed.decoder import DecodeError, Decoder
from claude_bottle.dlp.tokens.runs import RunScanner
from claude_bottle.dlp.tokens.secrets import secrets_of
from claude_bottle.dlp.tokens.spellings import spellings
from claude_bottle.dlp.tokens.whole import WholeScanner
from claude_bottle.dlp.tokens.wrapped import LINE, cover, merged, positions, views

# Letters that any token could have, however it is spelled; zero bytes stand between those of UTF-16.
_LETTERS = (string.ascii_letters + string.digits + "._~+/=%\\-:&;#@\0").encode()
_WHITE = b" \t\n\r\v\f"
_STRETCHED = 5  # times: UTF-32 makes four bytes of a letter, and line ends some more
_STEP = 64  # bytes: what is held back tells a token's length no closer
PART = 64 << 10  # bytes that are looked at in one go: what a search needs is in proportion to them, whatever is there
_MAX_AT_ONCE = 16 << 20  # bytes that one chunk of an answer may unpack to, for they are passed on in one go


class TokenMask:
    """Knows every spelling of some tokens: all of the bottle's, or those that are injected for one host."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._spellings = [way for token in tokens for secret in secrets_of(token) for way in spellings(secret)]
        self._whole = WholeScanner(self._spellings)
        self.longest = self._whole.longest
        beyond = self._whole.letters.difference(_LETTERS)
        # A token with other letters: all letters may stand in a run then, and white space if the token has some.
        ends = _WHITE if beyond.isdisjoint(_WHITE) else b""
        self._letters = bytes(set(range(256)).difference(ends)) if beyond else _LETTERS
        self.hold = -(-self.longest * _STRETCHED // _STEP) * _STEP

    def __bool__(self) -> bool:
        return bool(self.longest)

    @cached_property
    def _runs(self) -> RunScanner:
        # Made when an answer comes, because a mask that looks at requests alone needs none.
        return RunScanner(self._spellings)

    def build(self) -> None:
        """Make what an answer needs, too, now and not when the first one comes."""
        _ = self._runs

    def compile(self) -> None:
        """Make the searches that are there fast. From another thread, for it takes long, while this is in use."""
        self._whole.compile()
        if "_runs" in self.__dict__:
            self._runs.compile()

    def found_in(self, data: bytes) -> bool:
        """True if a whole token is in there, in any spelling."""
        return any(self._whole.spans(view) for _, part in self._parts(data) for view in views(part))

    def partial_in(self, data: bytes) -> bool:
        """True if a whole token is in there, or some 12 letters in a row of what is secret of one."""
        return self.mask(data) is not data

    def mask(self, data: bytes) -> bytes:
        """The same bytes with every token, and every such run, replaced by asterisks."""
        out: bytearray | None = None
        for first, part in self._parts(data):
            for number, whole in enumerate(views(part)):
                view, spans = whole, merged(self._whole.spans(whole))
                # Runs are looked for in the rest: in a whole token there is one at every letter.
                if spans:
                    rest = bytearray(whole)
                    cover(rest, 0, spans)
                    view = bytes(rest)
                spans = merged(spans + self._runs.spans(view))
                if spans:
                    out = bytearray(data) if out is None else out
                    cover(out, first, spans, positions(part) if number else None)
        return data if out is None else bytes(out)

    def _parts(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The data in parts, and where they begin; each reaches so far into the next that a token is in one of them."""
        size = PART + self.hold
        for first in range(0, max(1, len(data) - self.hold), PART) if self else ():
            yield first, data[first : first + size]

    def mask_fields(self, fields: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
        """The headers or trailers with every token masked in names and values; in one go, because there are many."""
        together = b"\n".join(part for field in fields for part in field)
        masked = self.mask(together)
        if masked is together:
            return tuple(fields)
        out, at = [], 0
        for name, value in fields:
            middle = at + len(name)
            end = middle + 1 + len(value)
            out.append((masked[at:middle], masked[middle + 1 : end]))
            at = end + 1
        return tuple(out)

    def tail(self, data: bytes) -> int:
        """How many bytes at the end are one run of letters, long lines of letters included, up to twice `hold`.

        The run may go on in the next chunk. A line of 40 letters or more does not end it, for base64 comes wrapped; a
        blank line does, so that an event stream is never behind.
        """
        end = data[-2 * self.hold :] if self.hold else b""
        rest = end.rstrip(self._letters)
        while rest:
            line = rest.rstrip(b" \t").rstrip(b"\r\n")
            broken = rest[len(line) :]
            start = line.rstrip(self._letters)
            long = len(line) - len(start) >= LINE or (not start and len(end) < len(data))  # or its beginning is cut off
            if not long or max(broken.count(b"\n"), broken.count(b"\r")) != 1:
                break
            rest = start
        return len(end) - len(rest)


class UploadWatch:
    """Watches a request's body for a whole token without holding anything back.

    Each chunk leaves as it came unless `feed` is true: then the token's last byte is in it, and the caller cuts before
    it leaves, so that no upstream gets a whole token. With a decoder what the chunks decode to is watched as well.
    """

    def __init__(self, mask: TokenMask, decoder: Decoder | None = None) -> None:
        self._mask, self._decoder = mask, decoder
        self._raw, self._plain = b"", b""
        self.is_complete = False

    def feed(self, chunk: bytes) -> bool:
        """True once a token is complete, as sent or as decoded. DecodeError passes through."""
        if not self.is_complete:
            self.is_complete, self._raw = self._look(self._raw, chunk)
        for part in _plain_parts(self._decoder, chunk) if self._decoder is not None and not self.is_complete else ():
            self.is_complete, self._plain = self._look(self._plain, part)
            if self.is_complete:
                break
        return self.is_complete

    def _look(self, before: bytes, chunk: bytes) -> tuple[bool, bytes]:
        data = before + chunk
        return self._mask.found_in(data), data[max(0, len(data) - self._mask.hold) :]


class MaskedStream:
    """Masks tokens in an answer that comes in chunks. With a decoder the chunks are decoded first.

    What is held back, and so where the pieces end, depends on the kinds of the letters alone: the run of letters at the
    end (TokenMask.tail), at most the longest spelling's length rounded up. DecodeError passes through.
    """

    def __init__(self, mask: TokenMask, decoder: Decoder | None = None) -> None:
        self._mask, self._decoder = mask, decoder
        self._before = b""  # of the run at the end, what has left already: a token may have begun there
        self._held = b""
        self.masked_whole = False  # a whole token was masked
        self.touched = False  # something was masked, or would have been had it not left already

    def feed(self, chunk: bytes) -> list[bytes]:
        """The next pieces to pass on, none of them empty. DecodeError where they would be more than 16 MB."""
        pieces, size = [], 0
        for part in _plain_parts(self._decoder, chunk):
            size += len(part)
            if self._decoder is not None and size > _MAX_AT_ONCE:
                raise DecodeError("a piece unpacks to too much")
            pieces += self._take(part, last=False)
        return pieces

    def finish(self) -> list[bytes]:
        """What was held back. Feeding may go on after it: mitmproxy takes an empty frame of HTTP/2 for the end."""
        if self._decoder:
            self._decoder.finish()
        return self._take(b"", last=True)

    def _take(self, plain: bytes, last: bool) -> list[bytes]:
        data = self._before + self._held + plain
        masked = self._mask.mask(data)
        if masked is not data:
            self.touched = True
            self.masked_whole = self._mask.found_in(data) or self.masked_whole
        tail = self._mask.tail(data)
        fresh = len(data) - len(self._before)
        held = 0 if last else min(tail, self._mask.hold, fresh)
        piece = masked[len(self._before) : len(data) - held]
        self._before = data[len(data) - tail : len(data) - held][-self._mask.hold :] if self._mask.hold else b""
        self._held = data[len(data) - held :]
        return [piece] if piece else []


def _plain_parts(decoder: Decoder | None, chunk: bytes) -> Iterator[bytes]:
    """What a chunk decodes to, in parts of at most PART bytes, each made when it is asked for."""
    for plain in (chunk,) if decoder is None else decoder.feed_parts(chunk):
        for first in range(0, len(plain), PART):
            yield plain[first : first + PART]
