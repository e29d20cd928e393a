"""Finds runs of a secret's core in bytes, such that the time reveals nothing about a nearly right run. Pure.

A search for hundreds of runs takes longer the more letters of one are right. With an upstream that echoes, that would
reveal a token letter by letter. So no letter is compared here: the bytes are cut into blocks at every offset, and
encrypted blocks are searched for (claude_bottle/dlp/tokens/blocks.py). Only if a whole block, 12 letters of the secret,
is right are its surroundings compared.

It finds runs of 12 plain letters, of 16 base64 letters (12 or 13 of the secret) and of 32 hex digits (16), in data of
any length. Only rows of at least 12 letters of a secret's kind are scanned, so ordinary text costs little; pure letters
cost some ten times as much.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

import pybase64

from claude_bottle.dlp.tokens.blocks import BLOCK, BlockSearch
from claude_bottle.dlp.tokens.spellings import Spelling
from claude_bottle.dlp.tokens.wrapped import Span

_PLAIN = 12  # letters that become one block as base64
_SMALL = re.compile(rb"[0-9a-f]*\Z|[0-9A-F]*\Z")  # few kinds of letters: 16 make a block, as 12 can be guessed
_MOST = 512  # blocks that are found in one piece and compared one by one
_MOST_ROWS = 1024  # in one view; the rest after them counts as one row

_PIECE = 16 << 10  # bytes that are scanned at a time: their blocks fit into a processor's cache
_OVERLAP = 2 * BLOCK  # bytes, the longest block

# Base64 letters, which include all letters of usual tokens; and other letters that a token may have.
_BASE64 = frozenset((string.ascii_letters + string.digits + "+/-_").encode())
_OTHER = frozenset(string.punctuation.encode()).difference(_BASE64)
_ROW = b"x" * _PLAIN

_Place = tuple[int, int]  # first byte, letters in a block
_Way = tuple[int, bytes, int, int]  # letters in a block, a spelling, start and end of a run in it
_Match = tuple[int, int, int, bytes]  # a span, its start in the spelling, the spelling


class RunScanner:
    """Searches for every block of the cores. A match extends as far as data and secret agree around it."""

    def __init__(self, spellings: Iterable[Spelling]) -> None:
        # The base64 of 12 letters may also be 16 letters of the secret's base64. Both count, depending on how the data
        # was cut.
        blocks: dict[bytes, tuple[_Way, ...]] = {}
        for spelling in sorted(set(spellings), key=lambda spelling: len(spelling.text), reverse=True):
            for start, end in _blocks(spelling):
                part, size = spelling.text[start:end], min(end - start, BLOCK)
                block = pybase64.b64encode(part) if size == _PLAIN else part
                known = blocks.get(block, ())
                if not any(way[0] == size for way in known):
                    blocks[block] = (*known, (size, spelling.text, start, end))
        self._ways = list(blocks.values())
        self._search = BlockSearch(blocks)
        letters = frozenset(b"".join({text[start:end] for ways in self._ways for _, text, start, end in ways}))
        kind = _BASE64 | letters | (frozenset() if letters.isdisjoint(_OTHER) else _OTHER)
        self._kinds = bytes(_ROW[0] if byte in kind else 0x20 for byte in range(256))

    def compile(self) -> None:
        """Make the search fast, from another thread."""
        self._search.compile()

    def spans(self, view: bytes) -> list[Span]:
        """Start and end of each run of a secret. The whole view if it holds more than any honest response."""
        if not self._search or not (rows := self._rows(view)):
            return []
        # No secret contains the separator between the rows, so no block spans two of them.
        text = b"\n".join([view[start:end] for start, end in rows])
        hits: set[_Match] = set()
        for start in range(0, len(text), _PIECE):
            matches = self._matches(text[start : start + _PIECE + _OVERLAP], start)
            if matches is None:
                return [(0, len(view))]
            hits.update(matches)
        return _grown_all(view, rows, sorted(hits)) if hits else []

    def _rows(self, view: bytes) -> list[Span]:
        """The rows of letters of a secret's kind that are long enough."""
        kinds = view.translate(self._kinds)
        find = kinds.find
        rows: list[Span] = []
        start = find(_ROW)
        while start >= 0:
            end = find(b" ", start + _PLAIN)
            if end < 0 or len(rows) == _MOST_ROWS:
                end = len(view)
            rows.append((start, end))
            start = find(_ROW, end)
        return rows

    def _matches(self, text: bytes, begin: int) -> list[_Match] | None:
        """The matches in a piece of the text, which begins at `begin`. None if there are more than _MOST."""
        places: list[_Place] = []
        ends: list[int] = []
        hits = self._search.ends(b"".join(_blocks_of(text, places, ends)), _MOST)
        if len(hits) > _MOST:
            return None
        out: list[_Match] = []
        for end, number in hits:
            for size, spelled, inside, after in self._ways[number]:
                first_block = end - max(BLOCK, after - inside)
                which = bisect_right(ends, first_block)
                first, cut = places[which]
                if cut == size:
                    at = first_block - (ends[which - 1] if which else 0)
                    start = begin + first + at // BLOCK * size
                    out.append((start, start + after - inside, inside, spelled))
        return out


def _grown_all(view: bytes, rows: list[Span], matches: list[_Match]) -> list[Span]:
    """The spans in the view of matches in the joined rows. Matches are sorted, so that each letter is visited once."""
    begins = list(accumulate((end - start + 1 for start, end in rows), initial=0))
    out: list[Span] = []
    for start, end, inside, text in matches:
        row = bisect_right(begins, start) - 1
        shift = rows[row][0] - begins[row]
        if not out or out[-1][1] < end + shift:
            out.append(grown(view, text, start + shift, end + shift, inside))
    return out


def grown(view: bytes, text: bytes, start: int, end: int, inside: int) -> Span:
    """The span in the view of text[inside:], extended both ways as far as view and text agree."""
    before, after = inside, inside + end - start
    while start and before and view[start - 1] == text[before - 1]:
        start, before = start - 1, before - 1
    while end < len(view) and after < len(text) and view[end] == text[after]:
        end, after = end + 1, after + 1
    return start, end


def _blocks(spelling: Spelling) -> Iterator[tuple[int, int]]:
    for start, end in spelling.cores if spelling.runs else ():
        length = BLOCK * (2 if spelling.digits else 1)
        if spelling.plain and not _SMALL.match(spelling.text[start:end]):
            length = _PLAIN
        for at in range(start, end - length + 1):
            yield at, at + length


def _blocks_of(text: bytes, places: list[_Place], ends: list[int]) -> Iterator[bytes]:
    """The text cut into blocks at every offset. Fills `places` (first byte, letters in a block) and `ends` (of the
    blocks)."""
    for first in range(3):
        # Base64 makes one block of 12 letters; three bytes further are four letters.
        whole = pybase64.b64encode(text[first : first + (len(text) - first) // 3 * 3])
        for group in range(4):
            places.append((first + 3 * group, _PLAIN))
            yield _cut(whole, 4 * group, ends)
    for first in range(BLOCK):
        places.append((first, BLOCK))
        yield _cut(text, first, ends)


def _cut(text: bytes, at: int, ends: list[int]) -> bytes:
    part = text[at : at + max(0, len(text) - at) // BLOCK * BLOCK]
    ends.append((ends[-1] if ends else 0) + len(part))
    return part
