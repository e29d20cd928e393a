"""The request bodies that pass pipelock: looked at whole before anything leaves, or, where too long, as they pass."""

from __future__ import annotations

import asyncio

from mitmproxy import http

from addons import pipelock_core as core
from addons.dlp import Dlp, Finding, StreamScan
from addons.dlp_recent import Recent
from addons.dlp_views import Unscannable
from addons.proxy_guard import cut
from addons.refusal import Refusal

_IN_THREAD = 64 << 10  # bytes: larger bodies are looked at beside the event loop, so that streams go on


async def look_at_body(dlp: Dlp, recent: Recent, flow: http.HTTPFlow) -> Refusal | None:
    """Why a body that is all there may not leave, or None. recent: the requests before it."""
    request, edges = flow.request, flow.metadata.pop("edges", [])
    body = request.raw_content or b""
    kind, encoding = request.headers.get("content-type", ""), request.headers.get("content-encoding", "")
    try:
        if len(body) > _IN_THREAD:
            finding = await asyncio.to_thread(dlp.look_at_body, body, kind, encoding, edges)
        else:
            finding = dlp.look_at_body(body, kind, encoding, edges)
    except Unscannable as error:
        return core.refuse(error.reason, f"The body cannot be read, so it does not leave: {error}.")
    finding = finding or recent.look(dlp, edges)
    return found(finding) if finding else None


def stream_body(dlp: Dlp, flow: http.HTTPFlow) -> None:
    """Let the body pass in pieces, each once it was looked at; both connections are cut at a finding."""
    scan = StreamScan(dlp, flow.request.headers.get("content-encoding", ""))

    def stream(chunk: bytes) -> list[bytes]:
        before = scan.verdict
        ready = scan.feed(chunk)
        if scan.verdict is not None and before is None:
            cut_body(flow, scan.verdict)
        return ready

    flow.request.stream = stream


def cut_body(flow: http.HTTPFlow, verdict: Finding | Unscannable) -> None:
    """End a request of which a part has left."""
    refusal = found(verdict) if isinstance(verdict, Finding) else core.refuse(verdict.reason, str(verdict))
    cut(flow, refusal)


def found(finding: Finding) -> Refusal:
    """The refusal that a finding makes; it never holds the secret."""
    return core.refuse(
        "dlp_match",
        f"The request holds what looks like a secret (rule {finding.rule}, found in: {finding.where}). "
        "Take it out; if it is no secret, ask the owner of the bottle to let exactly this through once.",
    )
