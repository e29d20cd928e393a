"""Cuts the surroundings of some places out of a text: if little is encoded, only that is decoded and scanned. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from claude_bottle.dlp.rules.allow import compile_bytes

OVERLAP = 16 << 10  # bytes that two windows share: more than any PEM key
_REACH = 1 << 10  # bytes: a rule whose match can be longer matches within fewer
_PEM = compile_bytes("-----")  # RE2, because Python's own search for a few bytes takes ten times as long
MANY = 512  # places; with more, the text is taken whole


def places_of(expression: Any, data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each match, at most one more than MANY."""
    return (match.span() for match in islice(expression.finditer(data), MANY + 1))


def near(data: bytes, places: Iterable[tuple[int, int]], reach: int = _REACH) -> Iterator[bytes]:
    """The parts of the data around the places (start and end, ascending), wide enough that any match touching a place
    lies within one part.

    Nothing if there are no places; the data itself if the parts would be most of it.
    """
    spans = list(places)
    if not spans:
        return
    reach = OVERLAP if _PEM.search(data) else reach  # a PEM key, of which one letter of the first line is encoded
    parts: list[list[int]] = []
    for start, end in spans:
        if parts and start - reach <= parts[-1][1]:
            parts[-1][1] = end + reach
        else:
            parts.append([max(0, start - reach), end + reach])
    if len(spans) > MANY or sum(end - start for start, end in parts) > len(data) // 2:
        yield data
    else:
        yield from (data[start:end] for start, end in parts)
