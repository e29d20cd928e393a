"""What a flow's body may take of the process's memory: asked for before it is read, given back when it has gone on."""

from __future__ import annotations

import asyncio

from mitmproxy import http

from addons.frame.request import Decision
from addons.http.flow_end import DISCARD, HOLD
from addons.http.transports import unsent
from claude_bottle.dlp.flow import HELD
from claude_bottle.policy.held_budget import STEP, HeldBudget
from claude_bottle.policy.refusal import Refusal

REFUSED_BODY = 64 << 10  # bytes of a body without a length that are taken for an answer's sake
_SENT = 1 << 20  # bytes of a connection that may be on their way when its body counts as gone
_LOOK = 0.5  # seconds
_PATIENCE_OF_STREAMS = 300.0


class BodyRoom:
    """Room for the bodies that one proxy holds whole."""

    def __init__(self, part: str) -> None:
        self._part, self._budget = part, HeldBudget()
        self._leaving: set[asyncio.Task[None]] = set()

    async def take(self, flow: http.HTTPFlow, length: int | None, most: int) -> Refusal | None:
        """Room for a body that is held whole, up to `most` bytes; None as the length: for its first bytes."""
        self._budget.fit(most)
        if length is None:
            flow.metadata[HOLD] = min(most, STEP)
        return await self._hold(flow, min(most, STEP) if length is None else length)

    async def take_more(self, flow: http.HTTPFlow, most: int) -> Refusal | None:
        """Room for all of a body without a length that is longer than its first bytes."""
        flow.metadata[HOLD] = most
        return await self._hold(flow, most)

    def has_more(self, flow: http.HTTPFlow, most: int) -> bool:
        """Whether there is room for so much already."""
        return self._budget.size(flow.id) >= most

    async def take_stream(self, flow: http.HTTPFlow) -> Refusal | None:
        """Room for what is held of a body that passes in pieces. It has begun, so it waits longer."""
        if self._budget.size(flow.id) >= 2 * HELD:
            return None  # it was held up to here, and that has gone on
        self._budget.release(flow.id)  # who waits holds nothing of the pool that he waits for
        return await self._hold(flow, 2 * HELD, _PATIENCE_OF_STREAMS)

    async def take_refused(self, flow: http.HTTPFlow, decision: Decision, length: int | None) -> None:
        """A refused request is answered when it is whole; only what may be let through once is kept till then."""
        refusal = decision.refusal
        wanted = refusal is not None and refusal.reason == "dlp_match" and not decision.in_headers
        if length is None:
            flow.metadata[HOLD] = REFUSED_BODY
            kept = await self._budget.hold(flow.id, REFUSED_BODY, 0)
        else:
            kept = not length or (wanted and await self._budget.hold(flow.id, length))
        if not kept:
            self.discard(flow)
            decision.in_headers = True  # nothing to let through once

    def discard(self, flow: http.HTTPFlow) -> None:
        """Keep nothing of a body that is read for the answer's sake."""
        flow.metadata[DISCARD] = True

    def free(self, flow: http.HTTPFlow) -> None:
        """The flow has ended. What still waits to be sent counts until it has gone."""
        flow.request.data.content = None  # the flow itself is in circles, which the collector finds late
        if self._budget.size(flow.id) > _SENT and unsent(flow.client_conn) > _SENT:
            task = asyncio.get_running_loop().create_task(self._free_when_sent(flow))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        else:
            self._budget.release(flow.id)

    async def _free_when_sent(self, flow: http.HTTPFlow) -> None:
        while unsent(flow.client_conn) > _SENT:
            await asyncio.sleep(_LOOK)
        self._budget.release(flow.id)

    async def _hold(self, flow: http.HTTPFlow, size: int, patience: float | None = None) -> Refusal | None:
        if not size or await self._budget.hold(flow.id, size, patience):
            return None
        self.discard(flow)
        held = self._budget.held >> 20
        message = f"{self._part} holds {held} MB of other requests' bodies, and has had no room for this one for long."
        return Refusal(self._part, "busy", f"{message} Try again, with fewer uploads at a time.", 503)
