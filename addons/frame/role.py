"""What each of the two proxies fills into the frame of addons/frame/proxy.py."""

from __future__ import annotations

from typing import Any

from mitmproxy import http
from mitmproxy.websocket import WebSocketMessage

from addons.frame.reload import ReloadingFile
from addons.frame.request import Decision, Request
from claude_bottle.dlp import path_privacy
from claude_bottle.policy.refusal import Refusal


class ProxyRole:
    """Asked by the frame, in this order; nothing here talks to mitmproxy but for the flow that is handed over."""

    part: str  # who decides, in logs and refusals
    own_host: str  # the host that the proxy answers itself

    def __init__(self, file: ReloadingFile[Any]) -> None:
        self._file = file

    def prepare(self) -> None:
        """Make what takes long, in another thread, before the first look at the policy."""
        path_privacy.prepare()

    def is_ready(self) -> bool:
        """Whether all is there by which a request is judged, or why it is not is known."""
        return self._file.looked

    def state(self) -> str:
        """What its health says: ok, denying (without a policy everything is refused), starting."""
        return "starting" if not self.is_ready() else "ok" if self._file.current is not None else "denying"

    async def refuse_tunnel(self, host: str, port: int) -> Refusal | None:
        """Why there may be no tunnel to this target at all."""
        return None

    def decide(self, flow: http.HTTPFlow, request: Request) -> Decision:
        """What becomes of a request, by its head. Nothing has been dialled yet."""
        raise NotImplementedError

    def held_bytes(self, flow: http.HTTPFlow, decision: Decision) -> int:
        """How long a body may be that is read whole before anything of it leaves."""
        raise NotImplementedError

    holds_unknown = True  # whether a body without a length is held, up to `held_bytes`, before it passes in pieces

    async def inspect_stream(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """Set `flow.request.stream` to what inspects the body's pieces, or say why it may not leave."""
        raise NotImplementedError

    async def inspect_body(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """Why a request may not leave whose body is all there, or has passed in pieces (its trailers have not)."""
        raise NotImplementedError

    async def inspect_message(self, flow: http.HTTPFlow, message: WebSocketMessage) -> Refusal | None:
        """Why a message of a WebSocket may not pass; it may be changed."""
        raise NotImplementedError

    def rewrite_request(self, flow: http.HTTPFlow, decision: Decision) -> None:
        """Change the head of a request that may go on."""

    def rewrite_response(self, flow: http.HTTPFlow, response: http.Response) -> None:
        """Change the head of an answer, and set `stream`: answers are never held whole."""
        response.stream = True

    def rewrite_trailers(self, flow: http.HTTPFlow, trailers: http.Headers) -> None:
        """Change the trailers of an answer."""

    def inspect_answer(self, flow: http.HTTPFlow) -> None:
        """Look at an answer that was held whole (`rewrite_response` has set `stream` to False); it may be replaced."""

    def forget(self, flow: http.HTTPFlow) -> None:
        """A flow is over before its answer was whole."""

    def refuse_open(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """Why a request that was allowed may not go on, by the policy in force now."""
        raise NotImplementedError

    def refuse_open_tunnel(self, host: str, port: int, addresses: list[str]) -> Refusal | None:
        """Why a spliced tunnel may not go on, by the policy in force now."""
        return None

    def has_expiry(self) -> bool:
        """Whether something that the policy allows ends by itself."""
        return False

    def private_part(self, request: Request | http.Request) -> str:
        """What of a request a log is no place for: "path", "host" (and the path), or ""."""
        if not self.is_ready() or path_privacy.is_private(request.host, ""):
            return "host"
        return "path" if path_privacy.is_private(request.host, request.path) else ""

    def introspect(self, flow: http.HTTPFlow) -> None:
        """Answer a request to `own_host`."""
        raise NotImplementedError

    async def let_through_once(self, flow: http.HTTPFlow, decision: Decision, refusal: Refusal) -> Refusal | None:
        """The refusal, or None where the owner lets exactly this request through one time."""
        return refusal

    async def inspect_end(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """What is left to inspect once the body may leave."""
        return None

    def put_on_record(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        """Why an allowed request, of which nothing has left yet, may not go on: it cannot be put on record."""
        return None

    def about(self, decision: Decision) -> dict[str, object]:
        """What the log says of an allowed request besides its target."""
        return {}

    def refusal(self, reason: str, message: str, status: int = 403) -> Refusal:
        """A refusal of this proxy."""
        return Refusal(self.part, reason, message, status)
