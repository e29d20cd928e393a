"""Memory for the bodies of flows: requested before a body is read, released after it has been sent."""

from __future__ import annotations

import asyncio

from mitmproxy import http

from addons.frame.request import Decision
from addons.http.flow_end import DISCARD, HOLD
from addons.http.transports import unsent
from claude_bottle.dlp.flow import HELD
from claude_bottle.policy.held_budget import STEP, HeldBudget
from claude_bottle.policy.refusal import Refusal

REFUSED_BODY = 64 << 10  # bytes of a body of unknown length that are held so that the refusal can be sent
_SENT = 1 << 20  # bytes of a connection that may still be unsent when its body counts as gone
_LOOK = 0.5  # seconds between two checks
_PATIENCE_OF_STREAMS = 300.0


class BodyRoom:
    """Room for the bodies that one proxy holds whole."""

    def __init__(self, part: str) -> None:
        self._part, self._budget = part, HeldBudget()
        self._leaving: set[asyncio.Task[None]] = set()

    async def take(self, flow: http.HTTPFlow, length: int | None, most: int) -> Refusal | None:
        """Reserve room for a body that is held whole, up to `most` bytes. If the length is None, for its first
        bytes."""
        self._budget.fit(most)
        if length is None:
            flow.metadata[HOLD] = min(most, STEP)
        return await self._hold(flow, min(most, STEP) if length is None else length)

    async def take_more(self, flow: http.HTTPFlow, most: int) -> Refusal | None:
        """Reserve room for the whole of a body of unknown length, which is longer than its first bytes."""
        flow.metadata[HOLD] = most
        return await self._hold(flow, most)

    def has_more(self, flow: http.HTTPFlow, most: int) -> bool:
        """Whether room for that many bytes is reserved."""
        return self._budget.size(flow.id) >= most

    async def take_stream(self, flow: http.HTTPFlow) -> Refusal | None:
        """Reserve room for the held part of a streamed body. It has begun, so it waits longer."""
        if self._budget.size(flow.id) >= 2 * HELD:
            return None  # it was held up to here before, and that part has been sent
        self._budget.release(flow.id)  # a waiting flow must not hold room of the pool that it waits for
        return await self._hold(flow, 2 * HELD, _PATIENCE_OF_STREAMS)

    async def take_refused(self, flow: http.HTTPFlow, decision: Decision, length: int | None) -> None:
        """A refused request is answered when complete; its body is kept until then only if it could be allowed once."""
        refusal = decision.refusal
        wanted = refusal is not None and refusal.reason == "dlp_match" and not decision.in_headers
        if length is None:
            flow.metadata[HOLD] = REFUSED_BODY
            kept = await self._budget.hold(flow.id, REFUSED_BODY, 0)
        else:
            kept = not length or (wanted and await self._budget.hold(flow.id, length))
        if not kept:
            self.discard(flow)
            decision.in_headers = True  # cannot be allowed once

    def discard(self, flow: http.HTTPFlow) -> None:
        """Read a body to its end, so that the refusal can be sent, but keep none of it."""
        flow.metadata[DISCARD] = True

    def free(self, flow: http.HTTPFlow) -> None:
        """The flow has ended. Bytes still to be sent count until they are gone."""
        flow.request.data.content = None  # the flow itself is in reference cycles, which are collected late
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
        message = f"{self._part} holds {held} MB of other requests' bodies, and has no room for this one."
        return Refusal(self._part, "busy", f"{message} Try again, with fewer uploads at a time.", 503)
