"""What the page is told as it happens: every listener gets everything, and one that does not listen is let go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

_WAITING = 2000  # events that a slow listener may be behind


class News:
    """Publishes events from the loop's own thread; `from_thread` from any other."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[dict[str, str] | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """From here on this is the loop."""
        self._loop = asyncio.get_running_loop()

    def publish(self, event: str, data: Any) -> None:
        message = {"event": event, "data": json.dumps(data)}
        for queue in list(self._listeners):
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                self._listeners.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)

    def from_thread(self, event: str, data: Any) -> None:
        """The same, from a thread that does work."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.publish, event, data)

    async def listen(self, first: list[tuple[str, Any]]) -> AsyncIterator[dict[str, str]]:
        """Events for one listener, beginning with `first`."""
        queue: asyncio.Queue[dict[str, str] | None] = asyncio.Queue(_WAITING)
        self._listeners.add(queue)
        try:
            for event, data in first:
                yield {"event": event, "data": json.dumps(data)}
            while (message := await queue.get()) is not None:
                yield message
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """Let all listeners go."""
        for queue in list(self._listeners):
            self._listeners.discard(queue)
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
