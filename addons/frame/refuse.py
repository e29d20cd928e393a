"""How a proxy refuses: an answer where one is still possible, else both connections of the flow are cut."""

from __future__ import annotations

from mitmproxy import http, tcp, udp

from addons.frame.decision_log import log_decision, log_refusal
from addons.http.flow_end import end_flow
from claude_bottle.policy.model_api import status_of
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.targets import is_git_fetch_request

REASON_HEADER = "x-pipelock-block-reason"  # the name the upstream pipelock uses (its block-reason guide, v2.4)
_HELD_FOR_A_REFUSAL = 32 << 20  # bytes


def answer(flow: http.HTTPFlow, refusal: Refusal) -> None:
    """Answer with the refusal, and log it. Git prints text answers to its user, so it gets text.

    http.c of git: the body of an error is shown, line by line behind `remote: `, where its type is text/plain.
    """
    headers = {"content-type": "application/json", REASON_HEADER: refusal.reason, "cache-control": "no-store"}
    body = refusal.body(method=flow.request.method, host=flow.request.host, path=flow.request.path)
    if refusal.reason == "git_push" or is_git_fetch_request(flow.request.path):
        headers["content-type"], body = "text/plain", refusal.text()
    flow.response = http.Response.make(status_of(flow.request.path, refusal.status, refusal.reason), body, headers)
    log_refusal(flow, refusal)


def refuse_large(flow: http.HTTPFlow, refusal: Refusal | None, length: int | None) -> None:
    """A refusal is answered when the request is whole; one that announces a large body is cut at once instead."""
    if refusal is not None and (length or 0) > _HELD_FOR_A_REFUSAL:
        log_refusal(flow, refusal, cut=True)
        flow.kill()


def cut(flow: http.HTTPFlow, refusal: Refusal) -> None:
    """Refuse what is on its way already: no answer is possible any more, so both sides see a broken message."""
    log_refusal(flow, refusal, streamed=True)
    end_flow(flow)


def refuse_raw(flow: tcp.TCPFlow | udp.UDPFlow, part: str) -> None:
    """Kill what is not HTTP. Tunnels that pass through are spliced below this and never come here."""
    log_decision(part, decision="refused", reason="not_http", host=str(flow.server_conn.address))
    flow.kill()  # type: ignore[no-untyped-call]
