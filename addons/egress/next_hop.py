"""Whether the next proxy answers. egress polls it, so that no request waits for ever for one that is stopped.

A paused process still accepts connections but never answers, and a request to it would wait as long as its client does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from addons.frame.decision_log import log_decision

_EVERY, _SOON = 5.0, 0.5  # seconds between two polls, and while it does not answer
_BRIEF = 30.0  # seconds that a restart may take
_PATIENCE = 8.0  # seconds that an answer may take; a busy proxy takes one or two
_ASK = b"GET http://_pipelock.local/health HTTP/1.1\r\nHost: _pipelock.local\r\nConnection: close\r\n\r\n"


class NextHop:
    """Polls one address. lost: called after each failed poll, with the seconds since the last answer."""

    def __init__(self, host: str, port: int, lost: Callable[[float], None]) -> None:
        self._host, self._port, self._lost = host, port, lost
        self._task: asyncio.Task[None] | None = None
        self._answered = time.monotonic()
        self.answers = True

    @property
    def is_brief(self) -> bool:
        """Whether the last answer is recent enough that the proxy may just be restarting."""
        return time.monotonic() - self._answered < _BRIEF

    def start(self) -> None:
        """Poll until `stop`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """End the polling."""
        if self._task is not None:
            self._task.cancel()

    async def look(self) -> bool:
        """Poll once. Any HTTP response counts, whatever its status."""
        writer = None
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                writer.write(_ASK)
                return (await reader.read(5)) == b"HTTP/"
        except (OSError, TimeoutError):
            return False
        finally:
            if writer is not None:
                writer.transport.abort()

    async def _run(self) -> None:
        while True:
            self.take(await self.look())
            await asyncio.sleep(_EVERY if self.answers else _SOON)

    def take(self, answered: bool) -> None:
        """Record the result of a poll."""
        if answered is not self.answers:
            log_decision("egress", event="next_hop", outcome="answers" if answered else "does not answer")
        self.answers = answered
        if answered:
            self._answered = time.monotonic()
        else:
            with contextlib.suppress(Exception):  # an error must not end the polling
                self._lost(time.monotonic() - self._answered)
