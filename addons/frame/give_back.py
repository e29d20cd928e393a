"""Returns free memory to the machine.

The C library keeps free memory between blocks in use, and the garbage collector runs late if few objects hold much:
after five hundred connections, a process would keep the memory of all of them.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from pathlib import Path

_EVERY = 2.0  # seconds
_SELDOM = 64.0
_WORTH = 4 << 20  # bytes
_GROWN = 24 << 20  # bytes beyond what the process began with
_STATM = Path("/proc/self/statm")  # proc(5): pages


class GiveBack:
    """Checks now and then whether the process has grown, and returns free memory."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        trim = ctypes.CDLL(None).malloc_trim  # malloc_trim(3), of glibc
        first = last = _resident()
        pause = _EVERY
        while True:
            await asyncio.sleep(pause)
            now = _resident()
            if now - first <= _GROWN:
                last, pause = now, _EVERY
                continue
            trim(0)
            grows = now - last > _WORTH  # not by a page, which comes and goes with each trim
            if not grows:  # collect reference cycles too
                gc.collect()
                trim(0)
            left = _resident()
            # If there is nothing to return, check less often, because a full collection blocks the event loop.
            pause = _EVERY if grows or now - left > _WORTH else min(2 * pause, _SELDOM)
            last = left


def _resident() -> int:
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


addons = [GiveBack()]
