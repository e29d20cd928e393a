"""The egress proxy: its part of the frame, built on claude_bottle/policy/routes and claude_bottle/dlp/tokens.

Guarantees: a request leaves only by a declared route, or to an address named by the response of a followed route. The
owner's credential is injected and the agent's is stripped, unless the route allows the agent's own. No known spelling
of a token value leaves in a request of the agent's or comes back in a response. Without a route table it denies
everything.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote_to_bytes

from mitmproxy import http
from mitmproxy.websocket import WebSocketMessage

from addons.egress import aws, bodies, checks
from addons.egress import record as egress_record
from addons.egress.next_hop import NextHop
from addons.egress.repositories import Repositories, heard
from addons.egress.token_masks import TokenMasks, read_masks
from addons.follow.answers import Follower, Rule, may_name
from addons.follow.named import fixed_head
from addons.frame import request_rules as rules
from addons.frame.proxy import DECISION, ProxyAddon
from addons.frame.reload import ReloadingFile
from addons.frame.request import Decision, Outcome, Request, refused
from addons.http.dial_time import limit_dials
from addons.http.fresh_leaves import own_certificates
from claude_bottle.dlp.packed.decoders import readable_part
from claude_bottle.dlp.tokens.reflection import TokenMask
from claude_bottle.policy.names.files import PROXY_RUN, ROUTES, TOKENS
from claude_bottle.policy.record import Record
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes import injection
from claude_bottle.policy.routes import table as core
from claude_bottle.policy.routes.aws_sigv4 import scope_of
from claude_bottle.policy.routes.route import Route

EGRESS_ROUTES = Path(os.environ.get("EGRESS_ROUTES", ROUTES))
EGRESS_TOKENS = Path(os.environ.get("EGRESS_TOKENS", TOKENS))
RUN = Path(os.environ.get("CLAUDE_BOTTLE_RUN", PROXY_RUN))
_RANGE = re.compile(rb"(?i)(?:^|[-_])range\Z")  # also If-Range, Request-Range, X-Ms-Range
_WAITING = 60.0  # seconds that requests wait for an unresponsive next hop
BUFFERED_BODY = 256 << 10  # bytes: a body up to this size is read before it is sent, so that it can still be refused


class Egress(ProxyAddon):
    """The agent's proxy: routes, credentials, token values."""

    part = "egress"
    own_host = core.INTROSPECTION_HOST

    def __init__(self, routes: Path = EGRESS_ROUTES, tokens: Path = EGRESS_TOKENS, run: Path = RUN) -> None:
        super().__init__(ReloadingFile(routes, self._load, run / "status.json"))
        self._tokens_path = tokens
        host, _, port = os.environ.get("EGRESS_UPSTREAM", "").partition(":")
        self._next = NextHop(host, int(port), self._lost) if port else None
        self._record = Record(Path(os.environ.get("CLAUDE_BOTTLE_RECORD") or run / "record"))
        self._follower = Follower(self._is_declared)
        self._repositories = Repositories()
        self._masks: TokenMasks | None = None  # until it is set, no request passes
        self._compiler = ThreadPoolExecutor(1, "compile")

    def running(self) -> None:
        limit_dials(asyncio.get_running_loop())
        if self._next is not None:
            self._next.start()
        super().running()

    def prepare(self) -> None:
        super().prepare()
        self._masks = read_masks(self._tokens_path, self._compiler)

    def done(self) -> None:
        self._compiler.shutdown(wait=False, cancel_futures=True)
        if self._next is not None:
            self._next.stop()
        super().done()

    def use_tokens(self, tokens: Mapping[str, str]) -> None:
        """Set slots and their values, for tests."""
        self._masks = TokenMasks(tokens)

    def is_ready(self) -> bool:
        return self._masks is not None and super().is_ready()

    def _load(self, data: bytes) -> core.RouteTable:
        table = core.RouteTable.parse(data)
        aws.load_signer(table)
        return self._masks.prepare(table) if self._masks is not None else table

    def _is_declared(self, host: str) -> bool:
        table: core.RouteTable | None = self._file.current
        return table is None or bool(table.candidates(host))

    def _known(self) -> TokenMasks:
        if self._masks is None:
            raise RuntimeError("the tokens are not loaded yet")  # the calling hook then fails closed
        return self._masks

    def decide(self, flow: http.HTTPFlow, request: Request) -> Decision:
        """By the route table. A token in the URL or a header is refused even so."""
        table: core.RouteTable | None = self._file.current
        if table is None:
            message = f"No valid route table is loaded, so egress refuses all requests: {self._file.error}."
            return refused(self.refusal("no_route_table", message), request)
        if self._next is not None and not self._next.answers:
            message = "pipelock, which forwards every request, does not answer. Try again in a minute."
            return refused(self.refusal("next_hop", message, 503 if self._next.is_brief else 502), request)
        verdict = table.decide(
            scheme=request.scheme, host=request.host, port=request.port, method=request.method, path=request.path
        )
        named = None
        if isinstance(verdict, Refusal):
            named = self._follower.finds(flow, request) if verdict.reason == "host_not_declared" else None
            if named is None or not may_name(table, named) or not self._follower.spend(request):
                return refused(verdict, request)
            verdict = Route(request.host, methods=(request.method,))
        refusal = checks.refuse_head(flow.request, request.host, verdict, bool(table.injected_headers(request.host)))
        if refusal is not None:
            return refused(refusal, request)
        head = b"\n".join([request.path.encode(), *(n + b": " + v for n, v in flow.request.headers.fields)])
        mask = self._known().all
        if mask and (mask.found_in(head) or mask.found_in(unquote_to_bytes(head))):
            message = "The URL or a header holds a credential of this bottle."
            return refused(self.refusal("token_in_request", message), request)
        verdict = checks.with_credential(flow.request, request.host, table, verdict)
        if isinstance(verdict, Refusal):
            return refused(verdict, request)
        if verdict.slot and verdict.slot not in self._known().tokens:
            message = f"No credential is configured for {request.host}; ask the bottle's owner to set it."
            return refused(self.refusal("token_missing", message, 502), request)
        if verdict.slot and (refusal := aws.refuse_head(flow.request, verdict, self._known().tokens[verdict.slot])):
            return refused(refusal, request)
        return Decision(Outcome.ALLOW, request, basis=verdict, named=named)

    def _lost(self, seconds: float) -> None:
        """End requests that have waited too long for the unresponsive next hop. They would wait for ever."""
        if seconds > _WAITING:
            self._open.end_refused(
                lambda _: self.refusal("next_hop", f"pipelock has not answered for {seconds:.0f} s.", 503),
                lambda *_: None,
            )

    # A body without a length is streamed at once, because streams in both directions need that. pipelock scans it.
    holds_unknown = False

    def held_bytes(self, flow: http.HTTPFlow, decision: Decision) -> int:
        return max(BUFFERED_BODY, aws.held_bytes(flow.request, decision.basis))

    async def inspect_stream(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        refusal = checks.refuse_stream(flow.request, decision.basis, BUFFERED_BODY) or aws.refuse_stream(
            flow.request, decision.basis
        )
        if refusal is None:
            bodies.watch_upload(flow, self._known().all, checks.form_scan(flow.request, decision.basis))
        return refusal

    async def inspect_body(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        assert decision.request is not None  # noqa: S101 - an allowed one was parsed
        host, stream = decision.request.host, flow.request.stream
        refusal = None if stream else checks.refuse_body(flow.request, host, decision.basis)
        if refusal is None:
            refusal = self._repositories.refuse(flow, host, decision.basis)
        if refusal is None and self._known().all and bodies.has_token(flow.request, self._known().all):
            refusal = self.refusal("token_in_request", "The body holds a credential of this bottle.")
        if refusal is None and not stream:
            self._sign(flow, decision, flow.request.raw_content or b"")
        return refusal

    def _sign(self, flow: http.HTTPFlow, decision: Decision, body: bytes) -> None:
        route: Route = decision.basis
        if decision.request and route.slot and (scope := scope_of(route.auth_scheme)) is not None:
            aws.sign(flow.request, decision.request.host, scope, self._known().tokens[route.slot], body)

    def rewrite_request(self, flow: http.HTTPFlow, decision: Decision) -> None:
        """Replace the agent's credentials by the owner's, or neither if the request may bring its own."""
        route: Route = decision.basis
        headers = flow.request.headers
        if decision.named is not None:
            headers.fields = tuple(fixed_head(route.host if "host" in headers else ""))
            return
        # If any path of a host has an injected credential, this applies to all its paths, so that none bypasses it.
        injected = self._file.current.injected_headers(route.host) if self._file.current else frozenset()
        replaced = frozenset() if route.own_credentials else injected
        own = frozenset([injection.MARK_HEADER]) | replaced
        headers.fields = tuple(
            rules.strip_head(headers.fields, has_token=bool(replaced), injected=own, allowed=route.allow_headers)
        )
        if route.slot and route.auth_scheme:
            name = injection.auth_header(route.auth_scheme)
            if route.inspected:
                headers[injection.MARK_HEADER] = name
            if scope_of(route.auth_scheme) is None:
                headers[name] = injection.auth_value(route.auth_scheme, self._known().tokens[route.slot])
            self._known().give(route.host, route.slot)
        if injected:
            # The response is masked, so it must be in a known encoding and whole: a range can split a token.
            if "accept-encoding" in headers:
                headers["accept-encoding"] = readable_part(headers["accept-encoding"])
            if not route.allow_ranges and not aws.only_signs(
                self._file.current, route.host, self._known().slots(route.host, self._file.current)
            ):
                headers.fields = tuple(field for field in headers.fields if not _RANGE.search(field[0]))
        if flow.request.stream:
            self._sign(flow, decision, b"")  # a streamed body is not part of the signature (inspect_stream)

    def about(self, decision: Decision) -> dict[str, object]:
        number = {"record": decision.number} if decision.number else {}
        own = {"own_credential": True} if decision.basis.own_credentials else {}
        own |= {"follows": decision.named.by[0]} if decision.named is not None else {}
        return {"route": decision.basis.host, "injected": bool(decision.basis.slot), **own, **number}

    def put_on_record(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        return egress_record.put_on_record(self._record, flow, decision, self.about(decision))

    def rewrite_response(self, flow: http.HTTPFlow, response: http.Response) -> None:
        mask, decision = self._mask_of(flow), flow.metadata[DECISION]
        ear = self._repositories.listen(flow, response)
        bodies.mask_response(flow, response, mask)
        response.stream = heard(response.stream, ear)
        rule = Rule.of(decision.basis, decision.named)
        if rule is not None and not mask and decision.request is not None:  # no credential is injected there
            response.stream = self._follower.hear(flow, decision.request, response, rule, True)

    def rewrite_trailers(self, flow: http.HTTPFlow, trailers: http.Headers) -> None:
        trailers.fields = tuple(self._mask_of(flow).mask_fields(trailers.fields))

    def _mask_of(self, flow: http.HTTPFlow) -> TokenMask:
        return self._known().of(flow.metadata[DECISION].basis.host, self._file.current)

    def has_expiry(self) -> bool:
        table: core.RouteTable | None = self._file.current
        return table is not None and any(route.until is not None for route in table.routes)

    def private_part(self, request: Request | http.Request) -> str:
        part = super().private_part(request)
        if part != "host" and self._known().all.found_in(request.path.encode("utf-8", "surrogateescape")):
            return "path"
        return part

    def refuse_open(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        table, request, route = self._file.current, decision.request, decision.basis
        if table is None or request is None:
            return self.refusal("no_route_table", "No valid route table is loaded.")
        if decision.named is not None and not table.candidates(request.host) and may_name(table, decision.named):
            return None
        verdict = table.decide(
            scheme=request.scheme, host=request.host, port=request.port, method=request.method, path=request.path
        )
        if isinstance(verdict, Refusal):
            return verdict
        if route.slot and (verdict.slot, verdict.auth_scheme) != (route.slot, route.auth_scheme):
            return self.refusal("credential_ended", "The credential of this request was removed from its route.")
        if route.own_credentials and not verdict.own_credentials:
            return self.refusal("credential_ended", "The route no longer allows a credential of your own.")
        return checks.refuse_open(
            flow.request, request.host, route, verdict, bool(table.injected_headers(request.host))
        )

    async def inspect_message(self, flow: http.HTTPFlow, message: WebSocketMessage) -> Refusal | None:
        # A token may be split across messages, so each direction keeps the end of the messages so far.
        mask = self._known().all if message.from_client else self._mask_of(flow)
        key = f"messages {message.from_client}"
        before: bytes = flow.metadata.get(key, b"")
        data = before + message.content
        flow.metadata[key] = data[-mask.hold :] if mask else b""
        if message.from_client:
            leaks = mask.found_in(data)
            return self.refusal("token_in_request", "A message holds a credential of this bottle.") if leaks else None
        masked = mask.mask(data)
        if masked is not data:
            message.content = masked[len(before) :]
            if before and mask.found_in(data) and not mask.found_in(data[len(before) :]):
                return self.refusal("token_in_response", "The messages hold a credential.", 502)  # its start has left
        return None

    def introspect(self, flow: http.HTTPFlow) -> None:
        table = self._file.current
        body: dict[str, object]
        if flow.request.path == "/health":
            # Alive and answering. Whether a table is loaded is reported too, because without one everything is refused.
            through = self._next is None or self._next.answers
            why = own_certificates()
            status = 200 if through and self.is_ready() and not why else 503
            body = {"status": self.state(), "error": self._file.error, "through": through, "certificates": why}
        elif flow.request.path in ("/", "/routes"):
            status, body = 200, table.describe() if table else {"routes": [], "error": self._file.error}
        else:
            status, body = 404, {"error": "not found", "try": ["/routes", "/health"]}
        data = json.dumps(body, indent=2).encode() + b"\n"
        flow.response = http.Response.make(status, data, {"content-type": "application/json"})


addons = [Egress()]
