"""Scans request bodies: whole before any of it is sent or, if too long, as a stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mitmproxy import http

from addons.frame.body_encoding import body_encoding
from addons.frame.refuse import cut
from addons.frame.request import Decision, Outcome
from addons.http.body_pauses import FLUSH
from addons.http.flow_end import LONG_WAIT
from addons.pipelock import core
from claude_bottle.dlp.engine import Dlp, Finding, StreamScan
from claude_bottle.dlp.recent import Recent
from claude_bottle.dlp.redact import is_bound, redacted
from claude_bottle.dlp.views import Unscannable
from claude_bottle.policy.forge.body import reads_body
from claude_bottle.policy.held_budget import SMALL, STEP
from claude_bottle.policy.refusal import Refusal

_PIECE = 256 << 10  # bytes
_IN_THREAD = 64 << 10  # bytes: larger bodies are scanned outside the event loop, so that streams continue


_one_large = asyncio.Lock()

P = ParamSpec("P")
R = TypeVar("R")


async def beside(size: int, look: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Scan in a thread. Large bodies are scanned one at a time, because a scan takes several times their memory."""
    async with _one_large if size > SMALL else contextlib.nullcontext():
        return await asyncio.to_thread(look, *args, **kwargs)


async def inspect_body(dlp: Dlp, recent: Recent, flow: http.HTTPFlow, decision: Decision) -> Refusal | None:
    """Why a complete body may not be sent, or None. recent: the requests before it."""
    request = flow.request
    kind, encoding = request.headers.get("content-type", ""), body_encoding(request.headers)
    return await _inspect(dlp, recent, request.raw_content or b"", kind, encoding, decision, lambda: flow.live)


async def redact_body(dlp: Dlp, recent: Recent, flow: http.HTTPFlow, decision: Decision, edges: list[bytes]) -> bool:
    """Mask each finding in a complete body. False, with the body unchanged, if not every finding can be masked.

    edges: of the head, which is sent unchanged.
    """
    request = flow.request
    body, kind = request.raw_content or b"", request.headers.get("content-type", "")
    if is_bound({name.lower(): value for name, value in request.headers.items()}):
        return False
    if reads_body(request.method, request.path):  # egress has judged this body; the masked one might ask for more
        return False
    masked = await beside(len(body), redacted, dlp, body, kind, body_encoding(request.headers))
    if masked is None:
        return False
    decision.edges = edges  # another request may continue what is really sent
    if await _inspect(dlp, recent, masked.body, kind, "", decision) is not None:
        return False
    request.headers.pop("content-encoding", None)
    request.content = masked.body
    decision.redacted = tuple(sorted({finding.rule for finding in masked.findings}))
    return True


async def inspect_message(dlp: Dlp, recent: Recent, content: bytes) -> Refusal | None:
    """Why a WebSocket message may not be sent, or None. recent: the messages before it."""
    return await _inspect(dlp, recent, content, "", "", Decision(Outcome.ALLOW))


async def _inspect(
    dlp: Dlp,
    recent: Recent,
    body: bytes,
    kind: str,
    encoding: str,
    decision: Decision,
    goes_on: Callable[[], bool] = lambda: True,
) -> Refusal | None:
    edges = decision.edges
    try:
        match: Finding | None
        try:
            if len(body) > _IN_THREAD or encoding:
                match = await beside(len(body), dlp.look_at_body, body, kind, encoding, edges)
            else:
                match = dlp.look_at_body(body, kind, encoding, edges)
        except Unscannable as error:
            if error.reason != "too_large_to_scan" or len(body) < SMALL:  # a short one would cost as much as a long one
                raise
            match = await _in_pieces(dlp, body, kind, encoding, edges, goes_on)
        match = match or recent.look(dlp, edges)
    except Unscannable as error:
        return core.refuse(error.reason, f"The body cannot be scanned, so it is not sent: {error}.")
    return dlp_refusal(match) if match else None


async def _in_pieces(
    dlp: Dlp, body: bytes, kind: str, encoding: str, edges: list[bytes], goes_on: Callable[[], bool]
) -> Finding | None:
    """Scan a body that unpacks to more than can be held, as a stream like a longer one."""
    scan = StreamScan(dlp, encoding, kind)
    for start in range(0, len(body) + _PIECE, _PIECE):
        await asyncio.to_thread(scan.feed, body[start : start + _PIECE])  # the last one is empty, which ends the stream
        if scan.verdict is not None:
            break
        if not goes_on():
            raise Unscannable("too_large_to_scan", "its sender has not waited")
    if isinstance(scan.verdict, Unscannable):
        raise scan.verdict
    edges += scan.edges
    return scan.verdict


def stream_body(dlp: Dlp, recent: Recent, flow: http.HTTPFlow, decision: Decision) -> None:
    """Stream the body, each piece once it is scanned. A finding ends the flow.

    If the body pauses, the bytes so far are scanned and sent, because the other side may have to answer first.
    """
    headers = flow.request.headers
    scan = StreamScan(dlp, body_encoding(headers), headers.get("content-type", ""))
    ended = False

    def stream(chunk: bytes) -> list[bytes]:
        if ended:
            return []
        return judged(scan.feed(chunk), last=not chunk)

    def flush() -> list[bytes]:
        return [] if ended else judged(scan.flush(), last=False)

    def judged(ready: list[bytes], *, last: bool) -> list[bytes]:
        nonlocal ended
        if scan.waiting > STEP:
            flow.metadata.setdefault(LONG_WAIT, True)
        verdict = scan.verdict
        if verdict is None and last:
            try:
                verdict = recent.look(dlp, [*decision.edges, *scan.edges])
            except Unscannable as error:
                verdict = error
        if verdict is None:
            return ready
        ended = True
        cut_body(flow, verdict)
        return []

    flow.request.stream = stream
    flow.metadata[FLUSH] = flush


def cut_body(flow: http.HTTPFlow, verdict: Finding | Unscannable) -> None:
    """End a request of which a part has been sent."""
    refusal = dlp_refusal(verdict) if isinstance(verdict, Finding) else core.refuse(verdict.reason, str(verdict))
    cut(flow, refusal)


def dlp_refusal(finding: Finding) -> Refusal:
    """The refusal for a finding. It never holds the secret."""
    return core.refuse(
        "dlp_match",
        f"The request holds a value that looks like a secret (rule {finding.rule}, found in: {finding.where}). Remove"
        " it.",
    )
