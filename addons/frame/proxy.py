"""The frame of both proxies: mitmproxy's hooks, the order of the steps for a request, and the shared parts.

The differences are in addons/frame/role.py, implemented by addons/egress/addon.py and addons/pipelock/addon.py. The
hooks here only read, ask the role, and act.
"""

from __future__ import annotations

import time
from typing import Any

from mitmproxy import connection, http, tcp, udp

from addons.frame.decision_log import PRIVATE, log_allowed, log_failed, log_unfinished
from addons.frame.error_page import NOT_TRUSTED, reason_of
from addons.frame.fail_closed import fails_closed
from addons.frame.hop_headers import check_trailers, end_to_end
from addons.frame.open_flows import OpenFlows
from addons.frame.policy_watcher import PolicyWatcher
from addons.frame.refuse import answer, cut, refuse_large, refuse_raw
from addons.frame.reload import ReloadingFile
from addons.frame.request import Decision, Outcome, refused
from addons.frame.request_rules import judge_head, strip_head
from addons.frame.request_target import (
    Tunnels,
    check_fields,
    connect_target,
    has_content,
    is_two_way,
    known_length,
    parse_request,
    use_host,
)
from addons.frame.role import ProxyRole
from addons.http.body_room import BodyRoom
from claude_bottle.dlp.path_privacy import is_private
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.injection import MARK_HEADER
from claude_bottle.policy.routes.table import ALLOWED_PORTS
from claude_bottle.policy.routes.targets import check_target

DECISION = "decision"  # key of a flow's metadata
_LONGEST_TARGET = 16 << 10  # letters
_EXPIRY = 0.5  # seconds between two checks whether an open flow's permission has expired


class ProxyAddon(ProxyRole):
    """The hooks, in the order in which mitmproxy calls them for one request."""

    def __init__(self, file: ReloadingFile[Any]) -> None:
        super().__init__(file)
        self._watcher = PolicyWatcher(self.part, file, self._narrow, self.prepare)
        self._tunnels = Tunnels()
        self._open = OpenFlows()
        self._room = BodyRoom(self.part)
        self._narrowed = 0.0

    def running(self) -> None:
        self._watcher.start()

    def done(self) -> None:
        self._watcher.stop()

    def client_disconnected(self, client: connection.Client) -> None:
        self._tunnels.close(client)
        for flow in self._open.remove_client(client):
            self._note_unfinished(flow)

    @fails_closed
    async def http_connect(self, flow: http.HTTPFlow) -> None:
        # A host is refused inside the tunnel, where the client can read the reason.
        private = not self.is_ready() or is_private(flow.request.host[:300], "")
        flow.metadata[PRIVATE] = "host" if private else ""
        try:
            host, port = connect_target(flow)
        except ValueError as error:
            return answer(flow, self.refusal("bad_host", f"CONNECT is refused: {error}."))
        use_host(flow.request, host)
        if port not in ALLOWED_PORTS.values():
            return answer(flow, self.refusal("port_not_allowed", f"CONNECT to port {port} is refused; use 443."))
        refusal = await self.refuse_tunnel(host, port)
        if refusal is not None:
            return answer(flow, refusal)
        self._tunnels.open(flow.client_conn, host, port)
        return None

    def tcp_start(self, flow: tcp.TCPFlow) -> None:
        refuse_raw(flow, self.part)

    def udp_start(self, flow: udp.UDPFlow) -> None:
        refuse_raw(flow, self.part)

    @fails_closed
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response or flow.error or not flow.live:
            return None
        decision = self._judge(flow)
        flow.metadata[DECISION] = decision
        flow.metadata[PRIVATE] = self.private_part(decision.request or flow.request)
        length = known_length(flow.request) if has_content(flow.request) else 0
        if not decision.allows:
            await self._room.take_refused(flow, decision, length)
            return refuse_large(flow, decision.refusal, length)
        self._open.add(flow)  # from here on it may wait, and ends if a new policy refuses it meanwhile
        held = self.held_bytes(flow, decision)
        holds_unknown = self.holds_unknown and not is_two_way(flow.request)
        if (length is None and holds_unknown) or (length is not None and length <= held):
            refusal = await self._room.take(flow, length, held)
            if refusal is not None:
                self._open.remove(flow)
                return decision.refuse(refusal)
        else:
            refusal = await self.inspect_stream(flow, decision) or self.put_on_record(flow, decision)
            if refusal is not None:
                flow.request.stream = False
                self._room.discard(flow)
                self._open.remove(flow)
                return decision.refuse(refusal)
        if flow.request.scheme == "https" and not flow.request.is_http2:
            flow.request.authority = ""  # origin form; the next proxy sees CONNECT (RFC 9112, 3.2)
        self.rewrite_request(flow, decision)
        return None

    @fails_closed
    async def request_overflow(self, flow: http.HTTPFlow) -> None:
        """A body of unknown length is longer than the part of it that is held."""
        decision: Decision = flow.metadata[DECISION]
        if not decision.allows:
            return cut(flow, decision.refusal or self.refusal("too_large", "The request is refused."))
        if self.holds_unknown and not self._room.has_more(flow, held := self.held_bytes(flow, decision)):
            refusal = await self._room.take_more(flow, held)
            return decision.refuse(refusal) if refusal else None
        refusal = await self.inspect_stream(flow, decision) or self.put_on_record(flow, decision)
        if refusal is not None:
            decision.refuse(refusal)
            return cut(flow, refusal)
        return None

    @fails_closed
    async def request_pause(self, flow: http.HTTPFlow) -> None:
        """A body of unknown length pauses: the other side may have to speak first, so it is streamed from now on."""
        decision: Decision = flow.metadata[DECISION]
        if not decision.allows or not self.holds_unknown:
            return
        refusal = await self.inspect_stream(flow, decision) or self.put_on_record(flow, decision)
        if refusal is not None:
            decision.refuse(refusal)
            cut(flow, refusal)

    @fails_closed
    async def request_room(self, flow: http.HTTPFlow) -> None:
        """A streamed body holds more than a small amount and needs room."""
        refusal = await self._room.take_stream(flow)
        if refusal is not None:
            flow.metadata[DECISION].refuse(refusal)
            cut(flow, refusal)

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        # A streamed body is inspected to its end, even if the upstream has answered already.
        if (flow.response and not flow.request.stream) or flow.error or not flow.live:
            return None
        decision: Decision = flow.metadata[DECISION]
        if decision.outcome is Outcome.INTROSPECT:
            return self.introspect(flow)
        refusal = await self.inspect_body(flow, decision) if decision.allows else decision.refusal
        if refusal is not None:
            refusal = await self.let_through_once(flow, decision, refusal)
            if refusal is None and not decision.allows:
                refusal = self.refuse_open(flow, decision)  # the body may have taken long, unwatched
            if refusal is None and not decision.allows:
                decision.allow()
                self.rewrite_request(flow, decision)
        refusal = (
            refusal
            or self._refuse_trailers(flow)
            or await self.inspect_end(flow, decision)
            or self.put_on_record(flow, decision)
        )
        if refusal is not None:
            decision.refuse(refusal)
            self._open.remove(flow)
            return cut(flow, refusal) if flow.request.stream else answer(flow, refusal)
        decision.logged = True
        log_allowed(flow, self.part, **self.about(decision))
        if flow.response is not None and flow.response.timestamp_end is not None:
            self._open.remove(flow)  # an early response that is complete
            self._room.free(flow)
        else:
            self._open.add(flow)
        return None

    @fails_closed
    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        decision = flow.metadata.get(DECISION)
        if flow.response is not None and decision is not None and decision.allows:
            self.rewrite_response(flow, flow.response)

    @fails_closed
    async def response(self, flow: http.HTTPFlow) -> None:
        decision = flow.metadata.get(DECISION)
        if flow.response is not None and flow.response.trailers and decision is not None and decision.allows:
            self.rewrite_trailers(flow, flow.response.trailers)
        if flow.response is not None and not flow.response.stream and decision is not None and decision.allows:
            self.inspect_answer(flow)
        if flow.websocket is None and flow.request.timestamp_end is not None:
            self._open.remove(flow)
            self._room.free(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self.forget(flow)
        self._room.free(flow)
        self._open.remove(flow)
        self._note_failed(flow)
        self._note_unfinished(flow)

    def _note_failed(self, flow: http.HTTPFlow) -> None:
        """Log why an allowed request has no response: otherwise the log would only say "allowed"."""
        decision = flow.metadata.get(DECISION)
        reason = reason_of(flow.error.msg) if flow.error else ""
        if reason and decision is not None and decision.allows and flow.response is None:
            log_failed(flow, self.part, reason, refused=reason == NOT_TRUSTED)

    def _note_unfinished(self, flow: http.HTTPFlow) -> None:
        """Log a request that was streamed in part and never completed."""
        decision = flow.metadata.get(DECISION)
        if decision is not None and decision.allows and flow.request.stream and not decision.logged:
            decision.logged = True
            log_unfinished(flow, self.part, **self.about(decision))

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        self._room.free(flow)
        self._open.remove(flow)

    @fails_closed
    async def websocket_message(self, flow: http.HTTPFlow) -> None:
        if flow.websocket is None:
            return
        message = flow.websocket.messages[-1]
        refusal = await self.inspect_message(flow, message)
        if refusal is not None:
            message.drop()
            cut(flow, refusal)

    # ---- helpers

    def _narrow(self, changed: bool) -> None:
        """End flows that the policy in force refuses: at once after a change, and within a second of an expiry."""
        now = time.monotonic()
        if not self._open or not (changed or (self.has_expiry() and now - self._narrowed >= _EXPIRY)):
            return
        self._narrowed = now
        self._open.end_refused(
            lambda flow: self.refuse_open(flow, flow.metadata[DECISION]),
            self.refuse_open_tunnel,
        )

    def _refuse_trailers(self, flow: http.HTTPFlow) -> Refusal | None:
        if not flow.request.trailers:
            return None
        try:
            check_fields(flow.request.trailers)
            check_trailers(flow.request.trailers.fields)
            fields = flow.request.trailers.fields
            if (why := judge_head(fields, "", has_token=False)) is not None:
                return self.refusal(*why)
            if len(strip_head(fields, has_token=True, injected=frozenset([MARK_HEADER]))) != len(fields):
                raise ValueError("a trailer that says who asks, or how")
        except ValueError as error:
            return self.refusal("ambiguous_request", f"Refused: {error}.")
        return None

    def _judge(self, flow: http.HTTPFlow) -> Decision:
        try:
            flow.request.headers.fields = end_to_end(flow.request.headers.fields)
            request = parse_request(flow, self._tunnels)
        except ValueError as error:
            return refused(self.refusal("host_mismatch", f"Refused: {error}."))
        use_host(flow.request, request.host)
        if len(request.path) > _LONGEST_TARGET:
            return refused(self.refusal("url_too_long", f"The URL is longer than {_LONGEST_TARGET} letters."), None)
        if (why := check_target(request.path)) is not None:
            return refused(self.refusal("ambiguous_path", why), request)
        if request.host == self.own_host:
            return Decision(Outcome.INTROSPECT, request)
        if not self.is_ready():
            message = f"{self.part} has just been started and is still reading its policy. Try again in some seconds."
            return refused(self.refusal("starting", message, 503), request)
        return self.decide(flow, request)
