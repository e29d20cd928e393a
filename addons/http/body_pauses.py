"""Detects bodies that pause: both sides may be talking, so the data so far must not wait for more.

Each body that may be held up has a timer. It notifies the layer of its flow when no data has arrived for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from mitmproxy import http

from addons.http.flow_end import FlowEnd, tell_layers

IN_PIECES = 0.05  # seconds without data after which the pending data of a streamed body is scanned
HELD = 1.0  # seconds without data after which a held body of unknown length is streamed from now on
FLUSH = "flush"  # key of a flow's metadata: a function that returns the pieces to send during a pause


@dataclass
class BodyPause(FlowEnd):
    """Tells the layers that no data of a flow's body has arrived for a while."""


class PauseWatch:
    """The pause timer of one flow."""

    def __init__(self, flow: http.HTTPFlow) -> None:
        self._flow = flow
        self._came = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, seconds: float) -> None:
        """Data has arrived. Reports a pause if no more arrives for that many seconds."""
        self._came += 1
        if self._timer is None:
            self._arm(seconds)

    def stop(self) -> None:
        """The body is complete, or its flow has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, seconds: float) -> None:
        with contextlib.suppress(RuntimeError):  # layers may run without a loop, where no time passes
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look, seconds, self._came)

    def _look(self, seconds: float, came: int) -> None:
        self._timer = None
        if self._came != came:
            self._arm(seconds)
        else:
            tell_layers(BodyPause(self._flow, None))
