"""Publishes events to open pages. Every listener gets all events; one that falls too far behind is disconnected."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

_WAITING = 2000  # events by which a listener may be behind


class EventBus:
    """Publishes events: `publish` from the loop's own thread, `from_thread` from any other."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[dict[str, str] | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Use the running loop from now on."""
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
        """The same, from a worker thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.publish, event, data)

    async def listen(self, first: list[tuple[str, Any]]) -> AsyncIterator[dict[str, str]]:
        """Events for one listener, starting with `first`."""
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
        """Disconnect all listeners."""
        for queue in list(self._listeners):
            self._listeners.discard(queue)
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
