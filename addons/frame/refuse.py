"""How a proxy refuses: with a response if one is still possible, otherwise by cutting the flow."""

from __future__ import annotations

from mitmproxy import http, tcp, udp

from addons.frame.decision_log import log_decision, log_refusal
from addons.http.flow_end import end_flow
from claude_bottle.policy.model_api import status_of
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.targets import is_git_fetch_request

REASON_HEADER = "x-pipelock-block-reason"  # the upstream pipelock's name for it (its block-reason guide, v2.4)
_HELD_FOR_A_REFUSAL = 32 << 20  # bytes


def answer(flow: http.HTTPFlow, refusal: Refusal) -> None:
    """Answer with the refusal, and log it. Git gets plain text, because it shows that to its user.

    git's http.c shows the body of an error, line by line after `remote: `, if its type is text/plain.
    """
    headers = {"content-type": "application/json", REASON_HEADER: refusal.reason, "cache-control": "no-store"}
    body = refusal.body(method=flow.request.method, host=flow.request.host, path=flow.request.path)
    if refusal.reason == "git_push" or is_git_fetch_request(flow.request.path):
        headers["content-type"], body = "text/plain", refusal.text()
    flow.response = http.Response.make(status_of(flow.request.path, refusal.status, refusal.reason), body, headers)
    log_refusal(flow, refusal)


def refuse_large(flow: http.HTTPFlow, refusal: Refusal | None, length: int | None) -> None:
    """Cut a refused request that announces a large body. Other refusals are answered when the request is complete."""
    if refusal is not None and (length or 0) > _HELD_FOR_A_REFUSAL:
        log_refusal(flow, refusal, cut=True)
        flow.kill()


def cut(flow: http.HTTPFlow, refusal: Refusal) -> None:
    """Refuse a flow that is under way. No response is possible any more, so both sides see a broken message."""
    log_refusal(flow, refusal, streamed=True)
    end_flow(flow)


def refuse_raw(flow: tcp.TCPFlow | udp.UDPFlow, part: str) -> None:
    """Kill a flow that is not HTTP. Passthrough tunnels are spliced at a lower layer and never get here."""
    log_decision(part, decision="refused", reason="not_http", host=str(flow.server_conn.address))
    flow.kill()  # type: ignore[no-untyped-call]
