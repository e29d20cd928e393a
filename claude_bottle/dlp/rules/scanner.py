"""Many expressions, looked for in one pass by hyperscan; safe to use from several threads at a time. Pure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import hyperscan

ONCE: int = hyperscan.HS_FLAG_SINGLEMATCH  # a flag: tell of the first match alone
CANDIDATES: int = ONCE | hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_ALLOWEMPTY  # may tell of what is no match


class Scanner:
    """A database of (number, expression) pairs. flags: of hyperscan, for each expression."""

    def __init__(self, expressions: Sequence[tuple[int, bytes]], flags: int = 0) -> None:
        self._database = hyperscan.Database()
        self._database.compile(
            expressions=[expression for _, expression in expressions],
            ids=[number for number, _ in expressions],
            elements=len(expressions),
            flags=[flags] * len(expressions),
        )
        # A scan lets other threads run, and two that share one scratch fail (HS_SCRATCH_IN_USE).
        self._own = threading.local()

    def scan(self, data: bytes, take: Callable[[int, int, int, int, object], bool | None]) -> None:
        """Call take(number, 0, where the match ends, 0, None) for each match; anything true from it ends the scan."""
        if not hasattr(self._own, "scratch"):
            self._own.scratch = hyperscan.Scratch(self._database)
        self._database.scan(data, match_event_handler=take, scratch=self._own.scratch)
