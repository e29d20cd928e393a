"""Makes hooks fail closed: mitmproxy would log a hook's error and continue as if it had allowed the flow."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from mitmproxy import http

from addons.frame.refuse import answer, cut
from claude_bottle.policy.refusal import Refusal

Hook = Callable[[Any, http.HTTPFlow], Awaitable[None]]


def fails_closed(hook: Hook) -> Hook:
    """Wraps a hook of an addon that has a `part`. If the hook raises, the flow is answered with a refusal, or cut."""

    @functools.wraps(hook)
    async def guarded(self: Any, flow: http.HTTPFlow) -> None:
        try:
            await hook(self, flow)
        except Exception:
            _failed(flow, self.part, hook.__name__)

    return guarded


def _failed(flow: http.HTTPFlow, part: str, hook: str) -> None:
    logging.exception("%s failed in %s", part, hook)
    refusal = Refusal(part, "internal_error", f"{part} failed; its log says why.", 500)
    if hook == "requestheaders":
        flow.request.stream = False  # none of it has been sent yet
    if flow.response is None and not flow.request.stream and flow.websocket is None:
        return answer(flow, refusal)
    return cut(flow, refusal)
