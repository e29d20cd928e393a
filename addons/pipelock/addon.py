"""pipelock's builtin engine: its part of the frame, built on addons/pipelock/core.py and claude_bottle/dlp.

Guarantees: it dials only hosts of the allowlist, and hosts named by the response of a followed route, at vetted
addresses. Except for passthrough hosts, it scans all traffic to them, and sends nothing before the DLP engine has
scanned it. It holds no credential. Without a policy it denies everything.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from mitmproxy import http, tls
from mitmproxy.proxy import server_hooks
from mitmproxy.websocket import WebSocketMessage

from addons.follow.answers import Follower, Rule, may_name
from addons.follow.named import fixed_head
from addons.frame.decision_log import log_decision
from addons.frame.proxy import DECISION, ProxyAddon
from addons.frame.refuse import REASON_HEADER
from addons.frame.reload import ReloadingFile
from addons.frame.request import Decision, Outcome, Request, refused
from addons.frame.request_target import has_encrypted_hello
from addons.http import transports
from addons.http.dial_time import limit_dials
from addons.http.fresh_leaves import own_certificates
from addons.pipelock.bodies import dlp_refusal, inspect_body, inspect_message, redact_body, stream_body
from addons.pipelock.inbound import Inbound
from addons.pipelock.once import PipelockOnce
from addons.pipelock.policy import LoadedPolicy
from addons.pipelock.said import Answers
from addons.pipelock.upstream_proxy import Dialer
from addons.pipelock.vetted_names import VettedNames
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.path_privacy import is_private
from claude_bottle.dlp.recent import Recent
from claude_bottle.dlp.views import Unscannable
from claude_bottle.policy.idle import IDLE_SECONDS
from claude_bottle.policy.names.files import PIPELOCK_CONFIG, PROXY_RUN
from claude_bottle.policy.names.hosts import is_ip_literal
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes import injection

CONFIG = Path(os.environ.get("PIPELOCK_CONFIG", PIPELOCK_CONFIG))
RUN = Path(os.environ.get("CLAUDE_BOTTLE_RUN", PROXY_RUN))
HEALTH_HOST = "_pipelock.local"
HEARS = "hears"  # key of a flow's metadata: who scans its response as it passes
MESSAGES = "messages"  # key of a flow's metadata: a Recent of its own


class Pipelock(ProxyAddon):
    """The outbound proxy: allowlist, vetted addresses, DLP."""

    part = "pipelock"
    own_host = HEALTH_HOST

    def __init__(self, config: Path = CONFIG, run: Path = RUN) -> None:
        super().__init__(ReloadingFile(config, LoadedPolicy, run / "status.json"))
        self._once = PipelockOnce(run / "once")
        self._recent = Recent()
        self._answers = Answers()
        self._follower = Follower(self._is_declared)
        self._inbound = Inbound()
        self._names = VettedNames(lambda: self._file.current.policy if self._file.current else None)

    def running(self) -> None:
        loop = asyncio.get_running_loop()
        self._names.install(loop)
        Dialer(self._upstream_proxy, self._names.check).install(loop)
        limit_dials(loop)
        transports.Handler.idle_seconds = self._idle_seconds
        super().running()

    def _is_declared(self, host: str) -> bool:
        loaded: LoadedPolicy | None = self._file.current
        return loaded is None or loaded.policy.is_declared(host) or loaded.policy.passes_through(host)

    def _upstream_proxy(self) -> tuple[str, int] | None:
        loaded: LoadedPolicy | None = self._file.current
        return loaded.policy.upstream_proxy if loaded is not None else None

    def _idle_seconds(self) -> float:
        loaded: LoadedPolicy | None = self._file.current
        return loaded.policy.idle_seconds if loaded is not None else IDLE_SECONDS

    async def refuse_tunnel(self, host: str, port: int) -> Refusal | None:
        loaded: LoadedPolicy | None = self._file.current
        if loaded is None or not loaded.policy.passes_through(host):
            return None
        if is_private(host, ""):  # before any name server is asked
            return self.refusal("dlp_match", "The host's name holds a value that looks like a secret.")
        # Spliced, so this is the last moment at which it can be refused.
        return loaded.policy.refuse_target("https", host, port) or await self._names.vet(host, port)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        loaded, target = self._file.current, self._tunnels.target(data.context.client)
        sni = (data.client_hello.sni or "").lower()
        if loaded is None or target is None or target[0] != sni or not loaded.policy.passes_through(sni):
            return  # intercepted; a name that differs is refused with the request
        if loaded.policy.refuse_target("https", sni, target[1]) or has_encrypted_hello(data):
            return
        data.ignore_connection = True
        self._open.add_tunnel(data.context.client, sni, target[1])
        log_decision("pipelock", decision="allowed", host=sni, passthrough=True)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        # The resolver sees names only, so an address here has bypassed it.
        if data.server.address is None or is_ip_literal(data.server.address[0]):
            data.server.error = "only a vetted name is dialled, not an address"

    def decide(self, flow: http.HTTPFlow, request: Request) -> Decision:
        """By the allowlist; then URL and headers are scanned."""
        loaded: LoadedPolicy | None = self._file.current
        if loaded is None:
            message = f"No valid policy is loaded, so pipelock refuses all requests: {self._file.error}."
            return refused(self.refusal("no_policy", message), request)
        policy = loaded.policy
        refusal, named = policy.refuse_target(request.scheme, request.host, request.port), None
        if refusal is not None and not policy.is_declared(request.host):
            named = self._follower.finds(flow, request)
            if named is not None and may_name(policy.follow, named) and self._follower.spend(request):
                refusal = None
        refusal = refusal or policy.refuse_url(request.path)
        if refusal is not None:
            return refused(refusal, request)
        # egress has removed the agent's own header of that name, so the mark tells which header egress has filled in.
        marked = flow.request.headers.pop(injection.MARK_HEADER, "")
        unread = policy.unscanned_headers(request.host) & {marked}
        headers = [(n, v) for n, v in flow.request.headers.fields if n.decode("latin-1").lower() not in unread]
        receiver = self._answers.receiver(request)
        decision = Decision(Outcome.ALLOW, request, basis=loaded, unread=unread, receiver=receiver, named=named)
        for name in unread:
            self._answers.put_in(request, flow.request.headers.get(name, "").encode("utf-8", "surrogateescape"))
        try:
            dlp = _dlp(decision)
            pointed = self._answers.is_pointed_to(flow, request)
            in_url = None if pointed else dlp.look_at_url(request.host, request.path, decision.edges)
            in_headers = dlp.look_at_headers(headers, decision.edges)
        except Unscannable as error:
            decision.refuse(
                self.refusal(error.reason, f"The head cannot be read, so the request is not sent: {error}.")
            )
            return decision
        match = in_headers or in_url
        if match is not None:
            decision.in_headers = in_headers is not None  # cannot be allowed once
            decision.refuse(dlp_refusal(match))
        return decision

    def rewrite_request(self, flow: http.HTTPFlow, decision: Decision) -> None:
        if decision.named is not None and decision.request is not None:
            host = decision.request.host if "host" in flow.request.headers else ""
            flow.request.headers.fields = tuple(fixed_head(host))

    def held_bytes(self, flow: http.HTTPFlow, decision: Decision) -> int:
        return int(decision.basis.policy.max_body_bytes)

    async def inspect_stream(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        # The connection is opened before the body is complete, so this is the last moment to vet the address.
        refusal = await self._vet(decision)
        if refusal is None:
            stream_body(_dlp(decision), self._recent, flow, decision)
        return refusal

    async def inspect_body(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        if flow.request.stream:
            return None
        head, dlp = list(decision.edges), _dlp(decision)
        refusal = await inspect_body(dlp, self._recent, flow, decision)
        if refusal is None or refusal.reason != "dlp_match" or _reaction(decision) != "redact":
            return refusal
        return None if await redact_body(dlp, self._recent, flow, decision, head) else refusal

    async def let_through_once(self, flow: http.HTTPFlow, decision: Decision, refusal: Refusal) -> Refusal | None:
        if decision.basis is None:
            return refusal
        asks = _reaction(decision) == "ask"
        refused_still = await self._once.judge(flow, decision, refusal, _dlp(decision), asks=asks)
        if refused_still is None and decision.request is not None:
            self._answers.let_through(decision.request)
        return refused_still

    async def inspect_end(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        # A streamed request has its connection already.
        refusal = None if flow.request.stream else await self._vet(decision)
        if refusal is None and flow.request.trailers:
            try:
                edges: list[bytes] = []
                dlp = _dlp(decision)
                match = dlp.look_at_headers(flow.request.trailers.fields, edges) or self._recent.look(dlp, edges)
                refusal = dlp_refusal(match) if match else None
            except Unscannable as error:
                refusal = self.refusal(error.reason, f"The trailers cannot be read, so they are not sent: {error}.")
        return refusal

    async def _vet(self, decision: Decision) -> Refusal | None:
        assert decision.request is not None  # noqa: S101 - an allowed one was parsed
        return await self._names.vet(decision.request.host, decision.request.port)

    def has_expiry(self) -> bool:
        loaded: LoadedPolicy | None = self._file.current
        # With a forward proxy, a connection may open before its name is resolved; the answer may end it.
        return loaded is not None and (bool(loaded.policy.until) or loaded.policy.upstream_proxy is not None)

    def refuse_open(self, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
        loaded, request = self._file.current, decision.request
        if loaded is None or request is None:
            return self.refusal("no_policy", "No policy is loaded.")
        refusal: Refusal | None = loaded.policy.refuse_target(request.scheme, request.host, request.port)
        follows = decision.named is not None and not loaded.policy.is_declared(request.host)
        if follows and may_name(loaded.policy.follow, decision.named):
            refusal = None
        peer = flow.server_conn.peername
        if refusal is None and loaded.policy.upstream_proxy is not None:
            refusal = self._names.refuse_known(request.host, request.port)
        elif refusal is None and peer is not None:
            refusal = loaded.policy.refuse_addresses(request.host, [peer[0]])
        return refusal

    def refuse_open_tunnel(self, host: str, port: int, addresses: list[str]) -> Refusal | None:
        loaded: LoadedPolicy | None = self._file.current
        if loaded is None:
            return self.refusal("no_policy", "No policy is loaded.")
        if not loaded.policy.passes_through(host):
            return self.refusal("passthrough_ended", f"{host} is inspected now.")
        refusal = loaded.policy.refuse_target("https", host, port)
        if refusal is None and loaded.policy.upstream_proxy is not None:
            return self._names.refuse_known(host, port)
        if refusal is not None or not addresses:
            return refusal
        return loaded.policy.refuse_addresses(host, addresses)

    def about(self, decision: Decision) -> dict[str, object]:
        once: dict[str, object] = {"once": decision.once} if decision.once else {}
        return {**once, **({"redacted": list(decision.redacted)} if decision.redacted else {})}

    async def inspect_message(self, flow: http.HTTPFlow, message: WebSocketMessage) -> Refusal | None:
        if not message.from_client:
            return None
        loaded: LoadedPolicy | None = self._file.current
        if loaded is None:
            return self.refusal("no_policy", "No policy is loaded.")
        # A secret may be split over messages, so each socket remembers the ends of its recent ones.
        recent = flow.metadata.setdefault(MESSAGES, Recent())
        decision: Decision | None = flow.metadata.get(DECISION)
        host = decision.request.host if decision and decision.request else ""
        receiver = decision.receiver if decision else None
        return await inspect_message(loaded.dlp(host, receiver), recent, message.content)

    def rewrite_response(self, flow: http.HTTPFlow, response: http.Response) -> None:
        """Stream the response, and collect its values and addresses."""
        decision: Decision = flow.metadata[DECISION]
        loaded: LoadedPolicy | None = self._file.current
        response.stream = True
        response.headers.pop(REASON_HEADER, None)  # a server could make its answer look like a refusal of the bottle's
        if loaded is not None and decision.request is not None and decision.basis is not None:
            heard = self._answers.listen(flow, decision.request, response, loaded)
            rule = Rule.of(loaded.policy.followed_by(decision.request), decision.named)
            if rule is not None:
                heard = self._follower.hear(flow, decision.request, response, rule, heard)
            response.stream = self._inbound.begin(flow, response, loaded.policy.inbound, heard)
            flow.metadata[HEARS] = heard

    def inspect_answer(self, flow: http.HTTPFlow) -> None:
        heard = flow.metadata.pop(HEARS, True)
        self._inbound.finish(flow, lambda data: [heard(data), heard(b"")] if callable(heard) else None)

    def forget(self, flow: http.HTTPFlow) -> None:
        self._inbound.forget(flow)

    def introspect(self, flow: http.HTTPFlow) -> None:
        why = own_certificates()
        body = {"status": self.state(), "error": self._file.error, "certificates": why}
        status = 200 if self.is_ready() and not why else 503
        flow.response = http.Response.make(status, json.dumps(body) + "\n", {"content-type": "application/json"})


def _reaction(decision: Decision) -> str:
    assert decision.request is not None  # noqa: S101 - an allowed one was parsed
    return str(decision.basis.policy.reaction(decision.request.host))


def _dlp(decision: Decision) -> Dlp:
    assert decision.request is not None  # noqa: S101 - an allowed one was parsed
    dlp: Dlp = decision.basis.dlp(decision.request.host, decision.receiver)
    return dlp


addons = [Pipelock()]
