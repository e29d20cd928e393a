"""Applies a changed policy file while the proxy keeps running.

The objects built from a policy (a rule database, the searches for its tokens) are built in another thread, and put in
force in one step when complete.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from addons.frame.decision_log import log_decision
from addons.frame.reload import ReloadingFile

T = TypeVar("T")


class PolicyWatcher:
    """Polls a policy file, and logs the outcome of each change.

    prepare: run once before the first poll, in another thread; if it fails, the file is never polled. after: called at
    each poll, with whether there was a change.
    """

    INTERVAL = 0.1  # seconds: the longest delay before a change is noticed

    def __init__(
        self,
        part: str,
        file: ReloadingFile[Any],
        after: Callable[[bool], None] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._part, self._file, self._after, self._prepare = part, file, after, prepare
        self._task: asyncio.Task[None] | None = None
        # A thread of its own: the loop's threads scan bodies, so a sender of bodies could delay a policy change.
        self._thread = ThreadPoolExecutor(1, "policy")

    def start(self) -> None:
        """Poll until `stop`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Stop polling."""
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def look(self) -> None:
        """Apply a new policy, or log why it was refused."""
        offer = self._file.offered()
        changed = offer is not None
        if offer is not None:
            self._file.take(await self._beside(partial(self._file.parsed, offer)))
            outcome = "live" if not self._file.error else "refused" if self._file.live else "denying"
            log_decision(self._part, event="policy", outcome=outcome, live=self._file.live, error=self._file.error)
        if self._after is not None:
            self._after(changed)

    async def _beside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _run(self) -> None:
        try:
            if self._prepare is not None:
                await self._beside(self._prepare)
        except Exception:
            return logging.exception("%s cannot be made ready, so all requests are refused", self._part)
        while True:
            try:
                await self.look()
            except Exception:
                logging.exception("the policy file could not be read; the last good one stays in force")
            await asyncio.sleep(self.INTERVAL)
