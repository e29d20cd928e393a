"""Cuts out of a text what is near some places: where little is encoded, only that is decoded and looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from claude_bottle.dlp.rules.allow import compile_bytes

OVERLAP = 16 << 10  # bytes that two windows share: more than any key in PEM
_REACH = 1 << 10  # bytes: a rule that can match more than this needs less than this to match
_PEM = compile_bytes("-----")  # RE2: Python's own search for a few letters takes ten times as long
MANY = 512  # places; with more the text is taken whole


def places_of(expression: Any, data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of what matches, as many as `near` has use for."""
    return (match.span() for match in islice(expression.finditer(data), MANY + 1))


def near(data: bytes, places: Iterable[tuple[int, int]], reach: int = _REACH) -> Iterator[bytes]:
    """The parts of data around the places (start and end, ascending), so wide that what holds one is within a part.

    Nothing if there are no places; data itself if the parts would be most of it.
    """
    spans = list(places)
    if not spans:
        return
    reach = OVERLAP if _PEM.search(data) else reach  # a key in PEM, one letter of whose first line is encoded
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
