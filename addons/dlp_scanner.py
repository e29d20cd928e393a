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

    def scan(self, data: bytes, found: Callable[[int, int], object]) -> None:
        """Call found(number, where the match ends) for each match. What found returns is not looked at."""
        if not hasattr(self._own, "scratch"):
            self._own.scratch = hyperscan.Scratch(self._database)

        def told(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            found(number, end)  # None goes on; anything true would end the scan

        self._database.scan(data, match_event_handler=told, scratch=self._own.scratch)
