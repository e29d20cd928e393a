"""Gives memory back to the machine when what took it has gone.

The C library keeps what lies free between blocks that are in use, and the collector comes late where few objects hold
much: after five hundred connections a process would keep the memory of all of them.
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
    """Looks now and then whether the process has grown, and gives back what it can."""

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
            if now <= last:  # nothing has come since: what is in circles may go too
                gc.collect()
                trim(0)
            left = _resident()
            # Where nothing is to be had, less often: a look at all objects holds everybody up.
            pause = _EVERY if now > last or now - left > _WORTH else min(2 * pause, _SELDOM)
            last = left


def _resident() -> int:
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


addons = [GiveBack()]
