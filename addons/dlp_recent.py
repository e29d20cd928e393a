"""Remembers how recent requests ended, to see a secret that was cut in pieces and sent in several. Pure.

It keeps a little of each request for a minute, in memory alone. Ordinary text behind the first part of a secret, or
before the second, hides them from this; each part by itself is no secret that a rule knows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from addons.dlp import Dlp, Finding

SECONDS = 60.0
_EDGE = 200  # bytes; longer than every token that a rule knows by its shape
_KEPT = 16  # ends of requests, and as many of their chains


class Recent:
    """One for each bottle. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: deque[tuple[float, bytes]] = deque(maxlen=_KEPT)
        self._chains: deque[tuple[float, bytes]] = deque(maxlen=_KEPT)

    def look(self, dlp: Dlp, edges: Iterable[bytes]) -> Finding | None:
        """Whether a request that holds these pieces goes on with one before it; if not, it is remembered."""
        now = self._clock()
        for kept in (self._ends, self._chains):
            while kept and kept[0][0] < now - SECONDS:
                kept.popleft()
        pieces = [piece for edge in edges if (piece := edge.strip())]
        before = [end for _, end in (*self._ends, *self._chains)]
        for end in before:
            for piece in pieces:
                if found := dlp.look_across(end, piece[:_EDGE]):
                    return found
        # A short piece goes on with what came before it: a secret may be in more than two parts.
        chains = {(end + piece)[-_EDGE:] for end in before for piece in pieces if len(piece) < _EDGE // 2}
        self._chains.extend((now, chain) for chain in sorted(chains, key=len))
        self._ends.extend((now, end) for end in {piece[-_EDGE:] for piece in pieces})
        return None
