"""Searches for many expressions in one pass, by hyperscan. Thread-safe. Pure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import hyperscan

from claude_bottle.dlp.rules.compiled import database

ONCE: int = hyperscan.HS_FLAG_SINGLEMATCH  # report only the first match of each expression
CANDIDATES: int = ONCE | hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_ALLOWEMPTY  # may report false matches


class Scanner:
    """A database of (number, expression) pairs. flags: of hyperscan, for each expression."""

    def __init__(self, expressions: Sequence[tuple[int, bytes]], flags: int = 0) -> None:
        self._database = database(expressions, flags)
        # A scan releases the interpreter lock, and two scans that share a scratch fail (HS_SCRATCH_IN_USE).
        self._own = threading.local()

    def scan(self, data: bytes, take: Callable[[int, int, int, int, object], bool | None]) -> None:
        """Call take(number, 0, end of the match, 0, None) for each match. A true result ends the scan with an
        exception."""
        if not hasattr(self._own, "scratch"):
            self._own.scratch = hyperscan.Scratch(self._database)
        self._database.scan(data, match_event_handler=take, scratch=self._own.scratch)
