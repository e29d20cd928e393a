"""pipelock's builtin engine as a mitmproxy addon: thin hooks around pipelock_core and dlp.

Guarantees: only hosts of the allowlist are dialled, at addresses that were vetted; whatever is not on passthrough is
read, and nothing leaves before the DLP engine has looked at it. It holds no credential. Without a policy all is denied.
"""

from __future__ import annotations

import asyncio
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from mitmproxy import http, tcp, tls, udp
from mitmproxy.proxy import server_hooks

from addons import pipelock_core as core
from addons.dlp import Dlp
from addons.dlp_recent import Recent
from addons.dlp_rules import RuleSet
from addons.fail_closed import fails_closed
from addons.hosts import is_ip_literal
from addons.pipelock_bodies import cut_body, found, look_at_body, stream_body
from addons.pipelock_once import PipelockOnce
from addons.proxy_guard import (
    RUN,
    Tunnels,
    Watch,
    agreed_host,
    answer,
    has_encrypted_hello,
    known_length,
    log_allowed,
    log_decision,
    log_refusal,
    open_tunnel,
    refuse_large,
    refuse_raw,
)
from addons.refusal import Refusal
from addons.reload import ReloadingFile
from addons.vetted_names import VettedNames

PIPELOCK_CONFIG = Path(os.environ.get("PIPELOCK_CONFIG", "/etc/pipelock/pipelock.yaml"))
HEALTH_HOST = "_pipelock.local"


@lru_cache(maxsize=2)
def _rules(disabled: tuple[str, ...], patterns: tuple[tuple[str, str], ...]) -> RuleSet:
    # Compiling takes half a second, and most changes of policy leave the rules as they are.
    return RuleSet(disabled=disabled, extra=patterns)


class Engine:
    """A policy and the DLP engine built from it: they change together."""

    def __init__(self, data: bytes) -> None:
        self.policy = core.Policy.parse(data)
        self.dlp = Dlp(_rules(self.policy.disabled_rules, self.policy.patterns), seed_phrases=self.policy.seed_phrases)


class Pipelock:
    """The hooks, in the order in which mitmproxy calls them for one request."""

    def __init__(self, config: Path = PIPELOCK_CONFIG, run: Path = RUN) -> None:
        self._file = ReloadingFile(config, Engine, run / "status.json")
        self._watch = Watch("pipelock", self._file)  # type: ignore[arg-type]
        self._tunnels = Tunnels()
        self._once = PipelockOnce(run / "once")
        self._recent = Recent()
        self._names = VettedNames(lambda: self._file.current.policy if self._file.current else None)

    def running(self) -> None:
        self._names.install(asyncio.get_running_loop())
        self._watch.start()

    def done(self) -> None:
        self._watch.stop()

    def client_disconnected(self, client: Any) -> None:
        self._tunnels.close(client)

    @fails_closed("pipelock")
    async def http_connect(self, flow: http.HTTPFlow) -> None:
        target, engine = open_tunnel(flow, self._tunnels, "pipelock"), self._file.current
        if target is not None and engine is not None and engine.policy.passes_through(target[0]):
            # Spliced: this is the last moment at which it can be refused.
            refusal = engine.policy.refuse_target("https", *target) or await self._names.vet(*target)
            if refusal is not None:
                answer(flow, refusal)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        engine, target = self._file.current, self._tunnels.target(data.context.client)
        sni = (data.client_hello.sni or "").lower()
        if engine is None or target is None or target[0] != sni or not engine.policy.passes_through(sni):
            return  # intercepted; a name that differs is refused with the request
        if engine.policy.refuse_target("https", sni, target[1]) or has_encrypted_hello(data):
            return
        data.ignore_connection = True
        log_decision("pipelock", decision="allowed", host=sni, passthrough=True)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        # The resolver below sees names only; an address that got here came round it.
        if data.server.address is None or is_ip_literal(data.server.address[0]):
            data.server.error = "an address is not dialled, only a vetted name"

    def tcp_start(self, flow: tcp.TCPFlow) -> None:
        refuse_raw(flow, "pipelock")

    def udp_start(self, flow: udp.UDPFlow) -> None:
        refuse_raw(flow, "pipelock")

    @fails_closed("pipelock")
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response or flow.error or not flow.live:
            return
        verdict = self._decide(flow)
        flow.metadata["pipelock"] = verdict
        engine = self._file.current
        length = known_length(flow.request)
        if isinstance(verdict, Refusal) or engine is None or verdict == HEALTH_HOST:
            refuse_large(flow, verdict, length)
            return
        if length is None or length > engine.policy.max_body_bytes:
            # The connection is opened before the body is there, so this is the last moment to look at the address.
            refusal = await self._names.vet(verdict, flow.request.port)
            if refusal is not None:
                flow.metadata["pipelock"] = refusal
            else:
                stream_body(engine.dlp, flow)

    @fails_closed("pipelock")
    async def request(self, flow: http.HTTPFlow) -> None:
        if flow.response or flow.error or not flow.live:
            return None
        verdict = self._once.judge(flow, flow.metadata.get("pipelock"))
        if isinstance(verdict, Refusal):
            return answer(flow, verdict)
        engine = self._file.current
        if verdict == HEALTH_HOST or engine is None or verdict is None:
            return self._health(flow)
        if not flow.request.stream:
            refusal = None
            if "once" not in flow.metadata:  # else this body is part of what the owner has let through
                refusal = self._once.judge(flow, await look_at_body(engine.dlp, self._recent, flow))
            if not isinstance(refusal, Refusal):
                refusal = await self._names.vet(verdict, flow.request.port)
            if refusal is not None:
                return answer(flow, refusal)
        if flow.request.trailers:
            finding = engine.dlp.look_at_headers(flow.request.trailers.fields)
            if finding:
                return answer(flow, found(finding)) if not flow.request.stream else cut_body(flow, finding)
        log_allowed(flow, "pipelock", **({"once": flow.metadata["once"]} if "once" in flow.metadata else {}))
        return None

    @fails_closed("pipelock")
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and isinstance(flow.metadata.get("pipelock"), str):
            flow.response.stream = True

    @fails_closed("pipelock")
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        engine = self._file.current
        if flow.websocket is None or not flow.websocket.messages[-1].from_client:
            return
        message = flow.websocket.messages[-1]
        finding = engine.dlp.look_at_body(message.content, "text/plain", "") if engine else None
        if engine is None or finding is not None:
            log_refusal(flow, found(finding) if finding else core.refuse("no_policy", "No policy is loaded."))
            message.drop()
            flow.kill()

    def _decide(self, flow: http.HTTPFlow) -> str | Refusal:
        """The canonical host of a request that may go on (its body is still to be looked at), or the refusal."""
        request = flow.request
        try:
            host = agreed_host(flow, self._tunnels)
        except ValueError as error:
            return core.refuse("host_mismatch", f"Refused: {error}.")
        if host == HEALTH_HOST:
            return host
        engine = self._file.current
        if engine is None:
            return core.refuse("no_policy", f"No valid policy is loaded, so nothing leaves: {self._file.error}.")
        policy = engine.policy
        refusal = policy.refuse_target(request.scheme, host, request.port) or policy.refuse_url(request.path)
        if refusal is not None:
            return refusal
        unscanned = policy.unscanned_headers(host)
        headers = [(n, v) for n, v in request.headers.fields if n.decode("latin-1").lower() not in unscanned]
        edges: list[bytes] = flow.metadata.setdefault("edges", [])
        in_url = engine.dlp.look_at_url(host, request.path, edges)
        in_headers = engine.dlp.look_at_headers(headers)
        finding = in_headers or in_url
        if finding is not None:
            flow.metadata["in_headers"] = in_headers is not None  # nothing to let through once
            return found(finding)
        request.headers.pop("proxy-authorization", None)
        request.headers.pop("proxy-connection", None)
        return host

    def _health(self, flow: http.HTTPFlow) -> None:
        body = {"status": "ok" if self._file.current else "denying", "error": self._file.error}
        flow.response = http.Response.make(200, json.dumps(body) + "\n", {"content-type": "application/json"})


addons = [Pipelock()]
