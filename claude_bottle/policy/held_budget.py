"""How many bytes of bodies a process holds at a time: what comes beyond waits unread, and is refused in the end. Pure.

Two pools, so that small requests never wait for large ones. Who holds of the large pool needs no more to end, and who
holds of the small one waits for the large pool alone; so nobody waits for one who waits for him.
"""

from __future__ import annotations

import asyncio
from collections import deque

SMALL = 1 << 20  # bytes: bodies up to here have a pool of their own
STEP = 256 << 10  # bytes that are held of a body without a length before it counts as a large one
PATIENCE = 30.0  # seconds that a small request waits
PATIENCE_OF_LARGE = 120.0  # seconds: large ones are looked at one after the other, and their clients wait for minutes
SMALL_POOL = 32 << 20
LARGE_POOL = 32 << 20  # bytes, at least; a body of the longest kind that is held always fits


class _Pool:
    """Grants bytes in the order in which they were asked for."""

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
            self._grant()  # it may have been what the others waited behind
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
    """What each flow holds, by its id."""

    def __init__(self) -> None:
        self._small, self._large = _Pool(SMALL_POOL), _Pool(LARGE_POOL)
        self._held: dict[str, list[tuple[_Pool, int]]] = {}

    @property
    def held(self) -> int:
        """Bytes."""
        return self._small.used + self._large.used

    async def hold(self, key: str, size: int, patience: float | None = None) -> bool:
        """Whether a flow may hold so many bytes more; waits so many seconds for others to end."""
        pool = self._small if size <= SMALL else self._large
        usual = PATIENCE if pool is self._small else PATIENCE_OF_LARGE
        if not await pool.take(size, usual if patience is None else patience):
            return False
        self._held.setdefault(key, []).append((pool, size))
        return True

    def fit(self, longest: int) -> None:
        """Make room for a body of the longest kind that is held."""
        self._large.total = max(self._large.total, longest)

    def size(self, key: str) -> int:
        """Bytes that a flow holds."""
        return sum(size for _, size in self._held.get(key, ()))

    def release(self, key: str) -> None:
        """A flow has ended, or its body has gone on."""
        for pool, size in self._held.pop(key, ()):
            pool.give(size)
