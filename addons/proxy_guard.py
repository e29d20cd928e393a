"""What both proxies do alike around a request: whom the client says it talks to, the log, the refusal."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
from pathlib import Path

from mitmproxy import connection, ctx, http, tcp, tls, udp

from addons.egress_core import ALLOWED_PORTS
from addons.hosts import canonical_host, split_authority
from addons.refusal import Refusal
from addons.reload import ReloadingFile

RUN = Path("/run/claude-bottle")
REASON_HEADER = "x-pipelock-block-reason"  # the name the upstream pipelock uses (its block-reason guide, v2.4)
_HELD_FOR_A_REFUSAL = 32 << 20  # bytes
_IN_THE_PATH = ("dlp_match", "token_in_request")  # what was refused may be in the path, and a log is no place for it
_TOKEN, _CONTROL = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z"), re.compile(rb"[\x00-\x1f\x7f]")
_ECH = 0xFE0D  # encrypted_client_hello (RFC 9849)


def log_decision(part: str, **fields: object) -> None:
    """One JSON object on standard output, which is the container's log. The caller leaves secrets out."""
    record = {"time": round(time.time(), 3), "part": part, **fields}
    sys.stdout.write(json.dumps(record, default=str) + "\n")
    sys.stdout.flush()


class Tunnels:
    """Remembers the CONNECT target of each client connection."""

    def __init__(self) -> None:
        self._targets: dict[str, tuple[str, int]] = {}

    def open(self, client: connection.Client, host: str, port: int) -> None:
        self._targets[client.id] = (host, port)

    def target(self, client: connection.Client) -> tuple[str, int] | None:
        return self._targets.get(client.id)

    def close(self, client: connection.Client) -> None:
        self._targets.pop(client.id, None)


def open_tunnel(flow: http.HTTPFlow, tunnels: Tunnels, part: str) -> tuple[str, int] | None:
    """Note the target of a CONNECT, or answer with the refusal of `part` and give None. Nothing is dialled."""
    try:
        host, port = connect_target(flow)
    except ValueError as error:
        answer(flow, Refusal(part, "bad_host", f"CONNECT is refused: {error}."))
        return None
    if port not in ALLOWED_PORTS.values():
        answer(flow, Refusal(part, "port_not_allowed", f"CONNECT to port {port} is refused; use 443."))
        return None
    tunnels.open(flow.client_conn, host, port)
    return host, port


def connect_target(flow: http.HTTPFlow) -> tuple[str, int]:
    """Host and port of a CONNECT; raises ValueError unless both spellings of them agree and are plain."""
    host, port = split_authority(flow.request.authority, 443)
    if (canonical_host(flow.request.host), flow.request.port) != (host, port):
        raise ValueError("the target is not clear")
    named = flow.request.headers.get_all("host")
    if len(named) > 1 or (named and split_authority(named[0], port) != (host, port)):
        raise ValueError("the target and the Host header differ")
    return host, port


def check_plain(request: http.Request) -> None:
    """Raise ValueError for a head that two servers could read differently: a bare CR in a value ends the line for some.

    Names and methods are tokens, values and targets without control characters (RFC 9110, 5.5 and 5.6.2).
    """
    if not _TOKEN.match(request.data.method):
        raise ValueError("the method is not a plain word")
    if _CONTROL.search(request.data.path) or b" " in request.data.path:
        raise ValueError("a control character or a space in the URL")
    for name, value in request.headers.fields:
        if not _TOKEN.match(name) or _CONTROL.search(value.replace(b"\t", b" ")):
            raise ValueError("a header that is not plain")


def agreed_host(flow: http.HTTPFlow, tunnels: Tunnels) -> str:
    """The one host that CONNECT, SNI, request target and Host header name; raises ValueError where they differ."""
    request = flow.request
    check_plain(request)
    host = canonical_host(request.host)
    target = tunnels.target(flow.client_conn)
    if target is not None and target != (host, request.port):
        raise ValueError("the request names another host than its CONNECT")
    if request.scheme == "https" and flow.client_conn.sni is None:
        raise ValueError("a TLS connection without a server name")
    if flow.client_conn.sni is not None and flow.client_conn.sni.lower() != host:
        raise ValueError("the TLS server name and the request differ")
    named = request.headers.get_all("host")
    if len(named) > 1:
        raise ValueError("more than one Host header")
    for name in (*named, *([request.authority] if request.authority else [])):
        if split_authority(name, request.port) != (host, request.port):
            raise ValueError("the Host header and the connection differ")
    return host


def answer(flow: http.HTTPFlow, refusal: Refusal) -> None:
    """Answer with the refusal, and log it. Git prints text answers to its user, so it gets text."""
    headers = {"content-type": "application/json", REASON_HEADER: refusal.reason, "cache-control": "no-store"}
    body = refusal.body(method=flow.request.method, host=flow.request.host, path=flow.request.path)
    if refusal.reason == "git_push":
        headers["content-type"], body = "text/plain", f"{refusal.by}: {refusal.message}\n".encode()
    flow.response = http.Response.make(refusal.status, body, headers)
    log_refusal(flow, refusal)


def log_refusal(flow: http.HTTPFlow, refusal: Refusal, **more: object) -> None:
    """Log what was refused, by whom and why."""
    where = _where(flow.request)
    if refusal.reason in _IN_THE_PATH:
        del where["path"]
    log_decision(refusal.by, decision="refused", reason=refusal.reason, status=refusal.status, **where, **more)


def log_allowed(flow: http.HTTPFlow, part: str, **more: object) -> None:
    """Log what `part` let through."""
    log_decision(part, decision="allowed", **more, **_where(flow.request))


def _where(request: http.Request) -> dict[str, object]:
    # Without the query, which may hold what was refused.
    return {"method": request.method, "host": request.host, "path": request.path.partition("?")[0][:300]}


def refuse_large(flow: http.HTTPFlow, verdict: object, length: int | None) -> None:
    """A refusal is answered when the request is whole; one that announces a large body is cut at once instead."""
    if isinstance(verdict, Refusal) and (length or 0) > _HELD_FOR_A_REFUSAL:
        log_refusal(flow, verdict, cut=True)
        flow.kill()


def known_length(message: http.Message) -> int | None:
    """The declared body length in bytes; None where the end is known only when it comes."""
    if "transfer-encoding" in message.headers:
        return None
    value = message.headers.get("content-length")
    return int(value) if value is not None and value.isdigit() else None


def abort(flow: http.HTTPFlow) -> None:
    """Cut both connections of a flow whose body is on its way: neither side may take what was sent for whole."""
    servers = ctx.master.addons.get("proxyserver").connections
    for handler in list(servers.values()):
        for end in (flow.server_conn, flow.client_conn):
            io = handler.transports.get(end)
            if io is not None and io.writer is not None:
                transport = getattr(io.writer, "transport", None)
                (transport.abort if transport is not None else io.writer.close)()


def cut(flow: http.HTTPFlow, refusal: Refusal) -> None:
    """Refuse what is on its way already: no answer is possible any more, so both sides see a broken connection."""
    log_refusal(flow, refusal, streamed=True)
    abort(flow)


def has_encrypted_hello(data: tls.ClientHelloData) -> bool:
    """True if the client hides a second server name in its hello."""
    return any(kind == _ECH for kind, _ in data.client_hello.extensions)


class Watch:
    """Polls a policy file while the proxy runs."""

    INTERVAL = 0.1  # seconds: what a change of policy waits at most

    def __init__(self, part: str, file: ReloadingFile[object]) -> None:
        self._part, self._file = part, file
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.look()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def look(self) -> None:
        if self._file.poll():
            outcome = "live" if not self._file.error else "refused" if self._file.live else "denying"
            log_decision(self._part, event="policy", outcome=outcome, live=self._file.live, error=self._file.error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.INTERVAL)
            try:
                self.look()
            except Exception:
                logging.exception("the policy file could not be looked at; the last good one stays")


def refuse_raw(flow: tcp.TCPFlow | udp.UDPFlow, part: str) -> None:
    """Kill what is not HTTP. Tunnels that pass through are spliced below this and never come here."""
    log_decision(part, decision="refused", reason="not_http", host=str(flow.server_conn.address))
    flow.kill()  # type: ignore[no-untyped-call]
