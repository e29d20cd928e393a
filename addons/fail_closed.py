"""What a hook does when it fails: mitmproxy would log the error and go on as if the hook had nothing against it."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from mitmproxy import http

from addons.proxy_guard import answer, cut
from addons.refusal import Refusal


def fails_closed(part: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A hook that fails lets nothing through: mitmproxy itself would log the error and go on as if nothing was said."""

    def failed(flow: http.HTTPFlow, hook: str) -> None:
        logging.exception("%s failed in %s", part, hook)
        refusal = Refusal(part, "internal_error", f"{part} failed; its log says why.", 500)
        if hook == "requestheaders":
            flow.request.stream = False  # nothing of it has gone on yet
        if flow.response is None and not flow.request.stream and flow.websocket is None:
            return answer(flow, refusal)
        if flow.killable:
            flow.kill()
        return cut(flow, refusal)

    def wrap(hook: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(hook)
        def guarded(self: Any, flow: http.HTTPFlow) -> None:
            try:
                hook(self, flow)
            except Exception:
                failed(flow, hook.__name__)

        @functools.wraps(hook)
        async def guarded_async(self: Any, flow: http.HTTPFlow) -> None:
            try:
                await hook(self, flow)
            except Exception:
                failed(flow, hook.__name__)

        return guarded_async if inspect.iscoroutinefunction(hook) else guarded

    return wrap
