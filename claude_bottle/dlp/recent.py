"""Remembers the ends of recent requests, to find a secret that is sent in pieces. Pure.

It keeps a few bytes of each request for a minute, in memory alone. Ordinary text after the first part of a secret, or
before the second, hides the parts from this check; a part alone matches no rule. There is one for each bottle, or one
for the messages of a WebSocket.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from claude_bottle.dlp.engine import EDGE, Dlp
from claude_bottle.dlp.verdict import Finding

SECONDS = 60.0
_KEPT = 24  # pieces, whatever they hold ...
_CHAINS = 16  # ... and what they make with the pieces before them
_BEGUN = 1000  # and those that may begin a secret, for as long as they may; more are a finding
_SEEN = 2000
_SHORTEST = 4  # bytes of a piece that is joined with another one of the same request

Kept = OrderedDict[bytes, tuple[float, int]]  # the time it came, and the number of its request


class Recent:
    """Pieces of recent requests. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._number = 0  # of the request
        self._pieces: Kept = OrderedDict()
        self._chains: Kept = OrderedDict()
        self._begun: Kept = OrderedDict()
        self._seen: Kept = OrderedDict()  # the last request of each piece: most headers repeat

    def look(self, dlp: Dlp, edges: Iterable[bytes]) -> Finding | None:
        """The finding that pieces of a request make with one another, or with those of earlier requests, in either
        order. Without one they are remembered. Too many open beginnings are a finding too."""
        now = self._clock()
        self._number += 1
        self._forget(now)
        pieces = list(dict.fromkeys(piece for edge in edges if (piece := dlp.unsaid(edge).strip())))
        last = {piece: self._seen[piece][1] if piece in self._seen else 0 for piece in pieces}
        chains: set[bytes] = set()
        pairs: list[bytes] = []
        for piece in pieces:
            head, tail, came = piece[:EDGE], piece[-EDGE:], last[piece]
            before = [end for kept in self._stores() for end, (_, number) in kept.items() if number > came]
            pairs += [end[-EDGE:] + head for end in before]
            pairs += [tail + end[:EDGE] for end in before]
            # Two pieces that came together before were scanned together. A single letter makes no secret.
            others = [other for other in pieces if other != piece and not last[other] == came != 0]
            pairs += [other[-EDGE:] + head for other in others if min(len(other), len(piece)) >= _SHORTEST]
            # A short piece extends those before it, because a secret may be in more than two parts.
            if len(piece) < EDGE // 2:
                chains.update((end + piece)[-EDGE:] for end in before)
        if finding := dlp.look_across_all(pairs):
            return finding
        self._remember(now, dlp, pieces, chains)
        return Finding("too_much_to_scan", "across requests") if len(self._begun) > _BEGUN else None

    def _stores(self) -> tuple[Kept, ...]:
        return self._pieces, self._chains, self._begun

    def _remember(self, now: float, dlp: Dlp, pieces: list[bytes], chains: set[bytes]) -> None:
        for piece in pieces:
            _keep(self._seen, piece, (now, self._number), _SEEN)
            # With the number of its first request, because it was scanned with all pieces before that one.
            _keep(self._pieces, piece, (now, self._pieces.get(piece, (now, self._number))[1]), _KEPT)
        likely = set(dlp.begun(chains))
        for chain in sorted(chains, key=lambda chain: (chain in likely, len(chain), chain))[-_CHAINS:]:
            _keep(self._chains, chain, (now, self._number), _CHAINS)
        for begun in dlp.begun(piece[-EDGE:] for piece in pieces):
            if begun not in self._begun:
                self._begun[begun] = (now, self._number)

    def _forget(self, now: float) -> None:
        for kept in (*self._stores(), self._seen):
            while kept and next(iter(kept.values()))[0] < now - SECONDS:
                kept.popitem(last=False)


def _keep(kept: Kept, piece: bytes, when: tuple[float, int], most: int) -> None:
    kept[piece] = when
    kept.move_to_end(piece)
    if len(kept) > most:
        kept.popitem(last=False)
