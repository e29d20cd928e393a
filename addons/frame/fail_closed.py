"""What a hook does when it fails: mitmproxy would log the error and go on as if the hook had nothing against it."""

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
    """A hook of an addon (which has a `part`) that lets nothing through when it fails."""

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
        flow.request.stream = False  # nothing of it has gone on yet
    if flow.response is None and not flow.request.stream and flow.websocket is None:
        return answer(flow, refusal)
    return cut(flow, refusal)
