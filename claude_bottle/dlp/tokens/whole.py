"""Finds whole spelled secrets in bytes, such that the time reveals nothing about a nearly right one. Pure.

A text search compares the last letters first, so its time would reveal them. Here no letter of a secret is compared:
the bytes are cut into blocks, and encrypted blocks of the secret's core are searched for
(claude_bottle/dlp/tokens/blocks.py). Only if a whole block of the core is right is the rest compared.

The bytes are cut once, not at every offset: a core of 31 letters holds a whole block of 16 wherever the cuts are, so
its 16 blocks are searched for. Shorter cores need shorter blocks and more cuts (see _CUTS).
"""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pybase64

from claude_bottle.dlp.tokens.blocks import BLOCK, BlockSearch
from claude_bottle.dlp.tokens.spellings import Spelling
from claude_bottle.dlp.tokens.wrapped import Span, squeeze
from claude_bottle.policy.routes.injection import MIN_TOKEN_LENGTH


@dataclass(frozen=True)
class _Cut:
    """letters: in a block. step: offset from one cut to the next. encode: makes BLOCK bytes of every `letters`."""

    letters: int
    step: int
    encode: Callable[[bytes], bytes]

    @property
    def needs(self) -> int:
        """Letters that surely contain a whole block."""
        return self.letters + self.step - 1


_CUTS = (
    _Cut(16, 16, bytes),
    _Cut(12, 4, pybase64.b64encode),
    _Cut(8, 4, binascii.hexlify),
    _Cut(8, 1, binascii.hexlify),
)

_Way = tuple[bytes, int]  # a spelling, and the start of a block in it


class WholeScanner:
    """Searches for whole secrets in every spelling."""

    def __init__(self, ways: Iterable[Spelling]) -> None:
        needles = [needle for way in sorted(set(ways), key=lambda way: way.text) for needle in _needles(way)]
        texts = {(text, caseless) for text, caseless, _ in needles}
        self.longest = max((len(text) for text, _ in texts), default=0)
        self.letters = frozenset(b"".join(text + text.upper() if caseless else text for text, caseless in texts))
        by_cut: dict[tuple[bool, _Cut], list[tuple[bytes, Span]]] = {}
        for text, caseless, core in dict.fromkeys(needles):
            by_cut.setdefault((caseless, _cut_for(core[1] - core[0])), []).append((text, core))
        self._searches = [_Search(cut, caseless, some) for (caseless, cut), some in by_cut.items()]

    def compile(self) -> None:
        """Make the search fast, from another thread."""
        for search in self._searches:
            search.blocks.compile()

    def spans(self, view: bytes) -> list[Span]:
        """Start and end of each whole secret."""
        return [span for search in self._searches for span in search.spans(view)]


class _Search:
    """Searches for whole secrets whose cores fit one way to cut."""

    def __init__(self, cut: _Cut, caseless: bool, needles: list[tuple[bytes, Span]]) -> None:
        self._cut, self._caseless = cut, caseless
        blocks: dict[bytes, tuple[_Way, ...]] = {}
        for text, (_, end) in needles:
            for at in range(end - cut.needs, end - cut.letters + 1):
                block = cut.encode(text[at : at + cut.letters])
                blocks[block] = (*blocks.get(block, ()), (text, at))
        self._ways = list(blocks.values())
        self.blocks = BlockSearch(blocks)

    def spans(self, view: bytes) -> set[Span]:
        data = view.lower() if self._caseless else view
        letters = self._cut.letters
        out: set[Span] = set()
        for first in range(0, letters, self._cut.step):
            whole = (len(data) - first) // letters * letters
            if whole <= 0:
                break
            for end, number in self.blocks.ends(self._cut.encode(data[first : first + whole])):
                block = first + (end // BLOCK - 1) * letters
                out.update(_there(data, block, self._ways[number]))
        return out


def _there(data: bytes, block: int, ways: Iterable[_Way]) -> Iterable[Span]:
    for text, at in ways:
        start = block - at
        if start >= 0 and hmac.compare_digest(data[start : start + len(text)], text):
            yield start, start + len(text)


def _cut_for(length: int) -> _Cut:
    return next(cut for cut in _CUTS if length >= cut.needs)


def _needles(way: Spelling) -> Iterable[tuple[bytes, bool, Span]]:
    """Of the text, as it is and squeezed: itself, whether its case is ignored, and the part searched for by blocks."""
    text = way.text.lower() if way.caseless else way.text
    # The longest core. A secret without one is predictable or short; the end of its text is used.
    core = max(way.cores, key=lambda core: core[1] - core[0], default=(0, len(text)))
    yield from _needle(text, way.caseless, core)
    if (squeezed := squeeze(text)) != text:
        yield from _needle(squeezed, way.caseless, (len(squeeze(text[: core[0]])), len(squeeze(text[: core[1]]))))


def _needle(text: bytes, caseless: bool, core: Span) -> Iterable[tuple[bytes, bool, Span]]:
    start, end = core[0], min(core[1], len(text))
    if end - start < MIN_TOKEN_LENGTH:
        start, end = 0, len(text)
    if end - start >= MIN_TOKEN_LENGTH:
        yield text, caseless, (start, end)
