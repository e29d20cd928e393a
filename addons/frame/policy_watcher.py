"""Takes a changed policy file up while the proxy runs, and goes on answering meanwhile.

What is made of a policy (a database of rules, the searches for its tokens) is made in another thread, and put in force
in one step when it is whole.
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
    """Polls a policy file, and logs what came of a change.

    prepare: done once before the first look, in another thread; where it fails there is none. after: called at each
    look, with whether there was a change.
    """

    INTERVAL = 0.1  # seconds: what a change of policy waits at most

    def __init__(
        self,
        part: str,
        file: ReloadingFile[Any],
        after: Callable[[bool], None] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._part, self._file, self._after, self._prepare = part, file, after, prepare
        self._task: asyncio.Task[None] | None = None
        # Its own: the loop's threads look at bodies, and whoever sends those would put a change off.
        self._thread = ThreadPoolExecutor(1, "policy")

    def start(self) -> None:
        """Look until `stop`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def look(self) -> None:
        """Take a new policy up, or say why it was refused."""
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
            return logging.exception("%s cannot be made ready, so nothing leaves", self._part)
        while True:
            try:
                await self.look()
            except Exception:
                logging.exception("the policy file could not be looked at; the last good one stays")
            await asyncio.sleep(self.INTERVAL)
