"""The egress proxy as a mitmproxy addon: thin hooks around egress_core and reflection.

Guarantees: a request leaves only by a declared route, with the owner's credential put in and the agent's taken out; a
token value neither leaves in a request of the agent nor comes back in a response. Without a route table all is denied.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from mitmproxy import http, tcp, udp

from addons import egress_bodies as bodies
from addons import egress_core as core
from addons import injection
from addons.decoders import ACCEPTED_ENCODINGS
from addons.fail_closed import fails_closed
from addons.proxy_guard import (
    RUN,
    Tunnels,
    Watch,
    agreed_host,
    answer,
    cut,
    known_length,
    log_allowed,
    log_decision,
    log_refusal,
    open_tunnel,
    refuse_large,
    refuse_raw,
)
from addons.reflection import TokenMask
from addons.refusal import Refusal
from addons.reload import ReloadingFile

EGRESS_ROUTES = Path(os.environ.get("EGRESS_ROUTES", "/etc/claude-bottle/routes.json"))
EGRESS_TOKENS = Path(os.environ.get("EGRESS_TOKENS", "/etc/claude-bottle/tokens.json"))
BUFFERED_BODY = 256 << 10  # bytes: up to here a body is read before it goes, so that a refusal is an answer


def _refuse(reason: str, message: str, status: int = 403) -> Refusal:
    return Refusal("egress", reason, message, status)


class Egress:
    """The hooks, in the order in which mitmproxy calls them for one request."""

    def __init__(self, routes: Path = EGRESS_ROUTES, tokens: Path = EGRESS_TOKENS, run: Path = RUN) -> None:
        self._file = ReloadingFile(routes, core.RouteTable.parse, run / "status.json")
        self._watch = Watch("egress", self._file)  # type: ignore[arg-type]
        self._tokens_path = tokens
        self._tokens: dict[str, str] = {}
        self._mask = TokenMask(())
        self._tunnels = Tunnels()

    def running(self) -> None:
        try:
            self.use_tokens(dict(injection.parse_tokens(self._tokens_path.read_bytes())))
        except (OSError, ValueError) as error:
            # Not as an error of the log: mitmproxy would end for one at its start, and nobody could be told why.
            log_decision("egress", event="tokens", outcome="denying", error=str(error))
        self._watch.start()

    def done(self) -> None:
        self._watch.stop()

    def use_tokens(self, tokens: dict[str, str]) -> None:
        """Slots and their values; for `running` and for tests."""
        self._tokens = tokens
        values = [*tokens.values(), *(injection.auth_value("basic", t).removeprefix("Basic ") for t in tokens.values())]
        self._mask = TokenMask(values)

    def client_disconnected(self, client: object) -> None:
        self._tunnels.close(client)  # type: ignore[arg-type]

    @fails_closed("egress")
    def http_connect(self, flow: http.HTTPFlow) -> None:
        # What is refused for its host is refused inside the tunnel, where the client can read why.
        open_tunnel(flow, self._tunnels, "egress")

    def tcp_start(self, flow: tcp.TCPFlow) -> None:
        refuse_raw(flow, "egress")

    def udp_start(self, flow: udp.UDPFlow) -> None:
        refuse_raw(flow, "egress")

    @fails_closed("egress")
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response or flow.error or not flow.live:
            return
        verdict = self._decide(flow)
        flow.metadata["egress"] = verdict
        length = known_length(flow.request)
        if not isinstance(verdict, core.Route):
            refuse_large(flow, verdict, length)
            return
        if length is None or length > BUFFERED_BODY:
            bodies.watch_upload(flow, self._mask)
        self._prepare(flow, verdict)

    @fails_closed("egress")
    def request(self, flow: http.HTTPFlow) -> None:
        if flow.response or flow.error or not flow.live:
            return None
        verdict = flow.metadata.get("egress")
        if isinstance(verdict, Refusal):
            return answer(flow, verdict)
        if not isinstance(verdict, core.Route):
            return self._introspect(flow)
        if self._mask and bodies.has_token(flow.request, self._mask):
            refusal = _refuse("token_in_request", "The body holds a credential of this bottle.")
            return cut(flow, refusal) if flow.request.stream else answer(flow, refusal)
        log_allowed(flow, "egress", route=verdict.host, injected=bool(verdict.slot))
        return None

    @fails_closed("egress")
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and isinstance(flow.metadata.get("egress"), core.Route):
            bodies.mask_response(flow, flow.response, self._mask)

    @fails_closed("egress")
    def response(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and flow.response.trailers and self._mask:
            bodies.mask_headers(flow.response.trailers, self._mask)

    @fails_closed("egress")
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        if not self._mask or flow.websocket is None:
            return
        message = flow.websocket.messages[-1]
        if not self._mask.found_in(message.content):
            return
        if message.from_client:
            log_refusal(flow, _refuse("token_in_request", "A message holds a credential of this bottle."))
            message.drop()
            flow.kill()
        else:
            message.content = self._mask.mask(message.content)

    def _decide(self, flow: http.HTTPFlow) -> core.Route | Refusal | str:
        """A route, a refusal, or the name of the introspection host."""
        request = flow.request
        try:
            host = agreed_host(flow, self._tunnels)
        except ValueError as error:
            return _refuse("host_mismatch", f"Refused: {error}.")
        if host == core.INTROSPECTION_HOST:
            return host
        if self._file.current is None:
            return _refuse("no_route_table", f"No valid route table is loaded, so nothing leaves: {self._file.error}.")
        verdict = self._file.current.decide(
            scheme=request.scheme, host=host, port=request.port, method=request.method, path=request.path
        )
        if isinstance(verdict, Refusal):
            return verdict
        head = b"\n".join([request.path.encode(), *(n + b": " + v for n, v in request.headers.fields)])
        if self._mask and self._mask.found_in(head):
            return _refuse("token_in_request", "The URL or a header holds a credential of this bottle.")
        if verdict.slot and verdict.slot not in self._tokens:
            return _refuse(
                "token_missing", f"The credential of {host} is not there; tell the owner of the bottle.", 502
            )
        return verdict

    def _prepare(self, flow: http.HTTPFlow, route: core.Route) -> None:
        """Take the agent's credentials out and put the owner's in."""
        headers = flow.request.headers
        injected = self._file.current.injected_headers(route.host) if self._file.current else frozenset()
        # On a host with an injected credential this holds for all of its paths: none is a way round it.
        for name in (*injection.CREDENTIAL_HEADERS, *injected) if injected else ("proxy-authorization",):
            headers.pop(name, None)
        headers.pop("proxy-connection", None)
        if route.slot and route.auth_scheme:
            name = injection.auth_header(route.auth_scheme)
            headers[name] = injection.auth_value(route.auth_scheme, self._tokens[route.slot])
        if self._mask and "accept-encoding" in headers:
            headers["accept-encoding"] = ACCEPTED_ENCODINGS

    def _introspect(self, flow: http.HTTPFlow) -> None:
        table = self._file.current
        body: dict[str, object]
        healthy = table is not None
        if flow.request.path == "/health":
            # Alive and answering; whether a table is loaded is told, for without one everything is refused.
            status, body = 200, {"status": "ok" if healthy else "denying", "error": self._file.error}
        elif flow.request.path in ("/", "/routes"):
            status, body = 200, table.describe() if table else {"routes": [], "error": self._file.error}
        else:
            status, body = 404, {"error": "not found", "try": ["/routes", "/health"]}
        data = json.dumps(body, indent=2).encode() + b"\n"
        flow.response = http.Response.make(status, data, {"content-type": "application/json"})


addons = [Egress()]
