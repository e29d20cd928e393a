"""Token values must not travel back: finds the bottle's own tokens in passing data, and masks them.

A mask is as long as the text that it covers, so lengths and framing stay valid. Nothing observable from outside,
neither the pieces nor their timing, depends on how much of a token is present: an upload is never held back, a response
by a rule that considers only kinds of letters. A token as a whole, or an unpredictable run of 12 letters of one
(claude_bottle/dlp/tokens/secrets.py), is masked, and only that is observable.
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

# Letters that any token may have in any spelling; zero bytes stand between those of UTF-16.
_LETTERS = (string.ascii_letters + string.digits + "._~+/=%\\-:&;#@\0").encode()
_WHITE = b" \t\n\r\v\f"
_STRETCHED = 5  # times: UTF-32 has four bytes a letter, and line breaks add some
_STEP = 64  # bytes: the length held back reveals a token's length no more precisely
PART = 64 << 10  # bytes that are scanned at a time: a scan's memory is proportional to them, whatever they hold
_MAX_AT_ONCE = 16 << 20  # bytes that one chunk of a response may unpack to, because they are passed on at once


class TokenMask:
    """All spellings of some tokens: all of the bottle's, or those that are injected for one host."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._spellings = [way for token in tokens for secret in secrets_of(token) for way in spellings(secret)]
        self._whole = WholeScanner(self._spellings)
        self.longest = self._whole.longest
        beyond = self._whole.letters.difference(_LETTERS)
        # A token with other letters: then a run may hold all letters, without white space unless the token has some.
        ends = _WHITE if beyond.isdisjoint(_WHITE) else b""
        self._letters = bytes(set(range(256)).difference(ends)) if beyond else _LETTERS
        self.hold = -(-self.longest * _STRETCHED // _STEP) * _STEP

    def __bool__(self) -> bool:
        return bool(self.longest)

    @cached_property
    def _runs(self) -> RunScanner:
        # Built with the first response, because a mask for requests alone does not need it.
        return RunScanner(self._spellings)

    def build(self) -> None:
        """Build the response part too, now and not with the first response."""
        _ = self._runs

    def compile(self) -> None:
        """Make the existing searches fast. Slow, so call it from another thread; this object stays usable meanwhile."""
        self._whole.compile()
        if "_runs" in self.__dict__:
            self._runs.compile()

    def found_in(self, data: bytes) -> bool:
        """Whether the data holds a whole token in any spelling."""
        return any(self._whole.spans(view) for _, part in self._parts(data) for view in views(part))

    def mask(self, data: bytes) -> bytes:
        """The same bytes with every token, and every such run, replaced by asterisks. The object itself if there is
        none."""
        out: bytearray | None = None
        for first, part in self._parts(data):
            for number, whole in enumerate(views(part)):
                view, spans = whole, merged(self._whole.spans(whole))
                # Runs are searched for in the rest, because a whole token has one at every letter.
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
        """The data in parts with their offsets. They overlap so far that each token lies within one of them."""
        size = PART + self.hold
        for first in range(0, max(1, len(data) - self.hold), PART) if self else ():
            yield first, data[first : first + size]

    def mask_fields(self, fields: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
        """Headers or trailers with tokens masked in names and values. They are masked in one pass, because there are
        many."""
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
        """The length in bytes of the run of letters at the end, including long lines of letters; at most twice `hold`.

        The run may continue in the next chunk. A line of 40 letters or more does not end it, because base64 comes
        wrapped. A blank line does, so that an event stream is never delayed.
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

    Each chunk may leave unchanged unless `feed` returns True: then it holds the token's last byte, and the caller must
    cut before sending it, so that no upstream receives a whole token. With a decoder, the decoded chunks are watched as
    well.
    """

    def __init__(self, mask: TokenMask, decoder: Decoder | None = None) -> None:
        self._mask, self._decoder = mask, decoder
        self._raw, self._plain = b"", b""
        self.is_complete = False

    def feed(self, chunk: bytes) -> bool:
        """True once a token is complete, as sent or as decoded. Raises DecodeError."""
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
    """Masks tokens in a response that arrives in chunks. With a decoder the chunks are decoded first.

    The bytes held back, and so the boundaries of the pieces, depend on the kinds of letters alone: the run of letters
    at the end (TokenMask.tail), at most the longest spelling's length times five, rounded up. Raises DecodeError.
    """

    def __init__(self, mask: TokenMask, decoder: Decoder | None = None) -> None:
        self._mask, self._decoder = mask, decoder
        self._before = b""  # of the run at the end, the bytes already released: a token may have begun there
        self._held = b""
        self.masked_whole = False  # a whole token was masked
        self.touched = False  # something was masked, or was found after it had been released

    def feed(self, chunk: bytes) -> list[bytes]:
        """The next pieces to pass on, none of them empty. Raises DecodeError if they would exceed 16 MB."""
        pieces, size = [], 0
        for part in _plain_parts(self._decoder, chunk):
            size += len(part)
            if self._decoder is not None and size > _MAX_AT_ONCE:
                raise DecodeError("a piece unpacks to too much")
            pieces += self._take(part, last=False)
        return pieces

    def finish(self) -> list[bytes]:
        """The bytes held back. Feeding may continue afterwards: mitmproxy treats an empty HTTP/2 frame as the end."""
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
    """A chunk, decoded, in parts of at most PART bytes, each made on demand."""
    for plain in (chunk,) if decoder is None else decoder.feed_parts(chunk):
        for first in range(0, len(plain), PART):
            yield plain[first : first + PART]
