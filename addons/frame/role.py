"""The methods by which each of the two proxies fills in the frame of addons/frame/proxy.py."""

from __future__ import annotations

from typing import Any

from mitmproxy import http
from mitmproxy.websocket import WebSocketMessage

from addons.frame.reload import ReloadingFile
from addons.frame.request import Decision, Request
from claude_bottle.dlp import path_privacy
from claude_bottle.policy.refusal import Refusal


class ProxyRole:
    """Called by the frame. Methods touch mitmproxy only through the flow that is passed in."""

    part: str  # the deciding part, in logs and refusals
    own_host: str  # the host for which the proxy answers itself

    def __init__(self, file: ReloadingFile[Any]) -> None:
        self._file = file

    def prepare(self) -> None:
        """Build slow objects, in another thread, before the first poll of the policy."""
        path_privacy.prepare()

    def is_ready(self) -> bool:
        """Whether a request can be judged: the policy was read, or the reason why not is known."""
        return self._file.looked

    def state(self) -> str:
        """The state that health reports: ok, denying (without a policy everything is refused), starting."""
        return "starting" if not self.is_ready() else "ok" if self._file.current is not None else "denying"

    async def refuse_tunnel(self, host: str, port: int) -> Refusal | None:
        """Why no tunnel to this target may be opened, or None."""
        return None

    def decide(self, flow: http.HTTPFlow, request: Request) -> Decision:
        """Decide about a request, by its head. No connection has been opened yet."""
        raise NotImplementedError

    def held_bytes(self, flow: http.HTTPFlow, decision: Decision) -> int:
        """The greatest length in bytes of a body that is held whole before any of it is sent."""
        raise NotImplementedError

    holds_unknown = True  # whether a body of unknown length is held, up to `held_bytes`, before it is streamed

    async def inspect_stream(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """Set `flow.request.stream` to a function that inspects the body's pieces, or return why it may not be sent."""
        raise NotImplementedError

    async def inspect_body(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """Why a request may not be sent whose body is complete, or has been streamed (its trailers have not been
        sent)."""
        raise NotImplementedError

    async def inspect_message(self, flow: http.HTTPFlow, message: WebSocketMessage) -> Refusal | None:
        """Why a WebSocket message may not pass, or None. May change the message."""
        raise NotImplementedError

    def rewrite_request(self, flow: http.HTTPFlow, decision: Decision) -> None:
        """Change the head of an allowed request."""

    def rewrite_response(self, flow: http.HTTPFlow, response: http.Response) -> None:
        """Change the head of a response, and set `stream`. True, the default, forwards the body as it arrives."""
        response.stream = True

    def rewrite_trailers(self, flow: http.HTTPFlow, trailers: http.Headers) -> None:
        """Change the trailers of a response."""

    def inspect_answer(self, flow: http.HTTPFlow) -> None:
        """Inspect a response that was held whole (`rewrite_response` has set `stream` to False). It may be replaced."""

    def forget(self, flow: http.HTTPFlow) -> None:
        """A flow has ended before its response was complete."""

    def refuse_open(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """Why an allowed request may not continue under the policy in force now, or None."""
        raise NotImplementedError

    def refuse_open_tunnel(self, host: str, port: int, addresses: list[str]) -> Refusal | None:
        """Why a spliced tunnel may not continue under the policy in force now, or None."""
        return None

    def has_expiry(self) -> bool:
        """Whether a permission of the policy expires by itself."""
        return False

    def private_part(self, request: Request | http.Request) -> str:
        """The part of a request to withhold from the log: "path", "host" (and the path), or ""."""
        if not self.is_ready() or path_privacy.is_private(request.host, ""):
            return "host"
        return "path" if path_privacy.is_private(request.host, request.path) else ""

    def introspect(self, flow: http.HTTPFlow) -> None:
        """Answer a request to `own_host`."""
        raise NotImplementedError

    async def let_through_once(self, flow: http.HTTPFlow, decision: Decision, refusal: Refusal) -> Refusal | None:
        """The refusal, or None if the owner allows exactly this request once."""
        return refusal

    async def inspect_end(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """Inspect the rest once the body may be sent; why not, or None."""
        return None

    def put_on_record(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """Write an allowed request to the record, before any of it is sent; why it may not continue if that fails, or
        None."""
        return None

    def about(self, decision: Decision) -> dict[str, object]:
        """Further fields that the log has for an allowed request."""
        return {}

    def refusal(self, reason: str, message: str, status: int = 403) -> Refusal:
        """A refusal of this proxy."""
        return Refusal(self.part, reason, message, status)
