"""The bytes of bodies that a process holds at a time: a body beyond the limit waits unread, and is finally refused.
Pure.

There are two pools, so that small requests never wait for large ones. A holder of the large pool needs no more to
finish, and a holder of the small one waits for the large pool only, so no deadlock is possible.
"""

from __future__ import annotations

import asyncio
from collections import deque

SMALL = 1 << 20  # bytes: bodies up to this size have a pool of their own
STEP = 256 << 10  # bytes held of a body of unknown length before it counts as large
PATIENCE = 30.0  # seconds that a small request waits
PATIENCE_OF_LARGE = 120.0  # seconds: large bodies are scanned one after the other, and their clients wait for minutes
SMALL_POOL = 32 << 20
LARGE_POOL = 32 << 20  # bytes, at least; the longest body that may be held always fits


class _Pool:
    """Grants bytes in the order of requests."""

    def __init__(self, total: int) -> None:
        self.total, self.used = total, 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int, patience: float) -> bool:
        if not self._waiting and self._fits(size):
            self.used += size
            return True
        if patience <= 0 or size > self.total:
            return False
        place = size, asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        done, _ = await asyncio.wait([place[1]], timeout=patience)
        if not done:
            self._waiting.remove(place)
            self._grant()  # the others may have waited behind it
        return bool(done)

    def give(self, size: int) -> None:
        self.used -= size
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, place = self._waiting.popleft()
            self.used += size
            place.set_result(None)

    def _fits(self, size: int) -> bool:
        return self.used + size <= self.total


class HeldBudget:
    """The bytes that each flow holds, by its id."""

    def __init__(self) -> None:
        self._small, self._large = _Pool(SMALL_POOL), _Pool(LARGE_POOL)
        self._held: dict[str, list[tuple[_Pool, int]]] = {}

    @property
    def held(self) -> int:
        """Bytes held in all."""
        return self._small.used + self._large.used

    async def hold(self, key: str, size: int, patience: float | None = None) -> bool:
        """Reserve bytes for a flow, waiting up to `patience` seconds for others to finish. False if there is no
        room."""
        pool = self._small if size <= SMALL else self._large
        usual = PATIENCE if pool is self._small else PATIENCE_OF_LARGE
        if not await pool.take(size, usual if patience is None else patience):
            return False
        self._held.setdefault(key, []).append((pool, size))
        return True

    def fit(self, longest: int) -> None:
        """Make the large pool big enough for the longest body that may be held."""
        self._large.total = max(self._large.total, longest)

    def size(self, key: str) -> int:
        """Bytes that a flow holds."""
        return sum(size for _, size in self._held.get(key, ()))

    def release(self, key: str) -> None:
        """Release a flow's bytes, because it has ended or its body has been sent."""
        for pool, size in self._held.pop(key, ()):
            pool.give(size)
