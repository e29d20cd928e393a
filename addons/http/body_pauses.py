"""Bodies that pause: both sides may be talking, so what has come does not wait for more.

A timer for each body that may be held up, which tells the layer of its flow once nothing has come for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from mitmproxy import http

from addons.http.flow_end import FlowEnd, tell_layers

IN_PIECES = 0.05  # seconds after which what has come of a body that passes in pieces is looked at
HELD = 1.0  # seconds after which a body that is held, and whose length is not known, passes in pieces from now on
FLUSH = "flush"  # key of a flow's metadata: gives the pieces that may go on when no more of them come


@dataclass
class BodyPause(FlowEnd):
    """Tells the layers that nothing of a flow's body has come for a while."""


class PauseWatch:
    """Of one flow."""

    def __init__(self, flow: http.HTTPFlow) -> None:
        self._flow = flow
        self._came = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, seconds: float) -> None:
        """Something has come."""
        self._came += 1
        if self._timer is None:
            self._arm(seconds)

    def stop(self) -> None:
        """The body is whole, or its flow has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, seconds: float) -> None:
        with contextlib.suppress(RuntimeError):  # layers may be driven without a loop, where no time passes
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look, seconds, self._came)

    def _look(self, seconds: float, came: int) -> None:
        self._timer = None
        if self._came != came:
            self._arm(seconds)
        else:
            tell_layers(BodyPause(self._flow, None))
