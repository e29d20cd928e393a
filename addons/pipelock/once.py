"""Requests that DLP refused and their owner allows once: by the digest of method, URL, headers and body."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from mitmproxy import http

from addons.frame.body_encoding import body_encoding
from addons.frame.decision_log import log_decision, where
from addons.frame.request import Decision
from addons.pipelock.bodies import beside
from addons.pipelock.same_content import body_parts, is_signed
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.verdict import Unscannable
from claude_bottle.policy.once import Once, digest_of
from claude_bottle.policy.refusal import Refusal

# Headers that differ between tries and do not affect a server's action. All others are in the digest.
_VOLATILE = frozenset(
    """accept-encoding connection content-length date expect host if-modified-since if-none-match priority
    sentry-trace te tracestate traceparent transfer-encoding user-agent x-amzn-trace-id x-b3-parentspanid x-b3-sampled
    x-b3-spanid x-b3-traceid x-cloud-trace-context x-correlation-id x-request-id x-stainless-retry-count
    x-stainless-timeout""".split()  # noqa: SIM905
)
_SHOWN = 4 << 10  # bytes of headers, all of which are shown to the owner
_FINDINGS = 20
ASK_SECONDS, ASKING = 120.0, 8  # seconds; requests: clients wait longer for a response, and each holds its body
_LOOK = 0.2  # seconds between two checks for the owner's answer
_ONCE = "If it is not a secret, ask the owner of the bottle to allow exactly this once."
_SIGNED = "The address is signed: fetch it by its host's own redirect or link, unchanged."


class PipelockOnce:
    """Holds refused requests, and uses up grants."""

    def __init__(self, folder: Path) -> None:
        self._once = Once(folder)
        self._asking = 0

    async def judge(
        self, flow: http.HTTPFlow, decision: Decision, refusal: Refusal, dlp: Dlp, *, asks: bool = False
    ) -> Refusal | None:
        """None if the owner allows exactly this once; otherwise the refusal, with the digest by which to ask.

        Only DLP refusals can be allowed once. The refusal is returned unchanged if the owner could not be shown
        everything: for a finding in a header (headers differ between tries) or in a streamed body, for too many
        findings, and for too long headers. So it is, with a hint, for a signed address, which will have changed when
        the owner answers.

        asks: wait for the owner's answer, at most ASK_SECONDS and for ASKING requests at a time.
        """
        request, unread, judged = flow.request, decision.unread, decision.request
        if refusal.reason != "dlp_match" or request.stream or decision.in_headers or judged is None:
            return refusal
        if is_signed(request.path):
            return replace(refusal, message=f"{refusal.message} {_SIGNED}")
        kind, pieces = body_parts(request.headers.get("content-type", ""), request.raw_content or b"")
        lines = [
            _line(name, kind.encode("utf-8", "surrogateescape") if name.lower() == b"content-type" else value, unread)
            for name, value in request.headers.fields
        ]
        kept = sorted(line for line in lines if line.partition(b":")[0].decode("latin-1") not in _VOLATILE)
        body = request.raw_content or b""
        named = (request.method, request.scheme, judged.host, request.path)
        digest = digest_of(*(text.encode("utf-8", "surrogateescape") for text in named), *kept, b"", *pieces)
        if self._once.take(digest):
            decision.once = digest
            return None
        places = await beside(len(body), _places, dlp, judged.host, request)
        if not places or sum(map(len, kept)) > _SHOWN:
            return refusal
        self._once.hold(
            digest,
            {
                "what": f"{request.method} {request.scheme}://{judged.host}{request.path}",
                "headers": b"\n".join(kept).decode(errors="replace"),
                "why": refusal.message,
                "size": len(body),
                "excerpt": places,
            },
        )
        if asks and self._asking < ASKING and await self._wait(flow, digest, refusal):
            decision.once = digest
            return None
        return replace(refusal, content=digest, message=f"{refusal.message} {_ONCE}")

    async def _wait(self, flow: http.HTTPFlow, digest: str, refusal: Refusal) -> bool:
        """Ask the owner, who sees the question among the decisions, and wait. Whether the answer is yes."""
        log_decision("pipelock", decision="asking", content=digest, reason=refusal.reason, **where(flow))
        self._asking += 1
        try:
            until = time.monotonic() + ASK_SECONDS
            while time.monotonic() < until and flow.live and not flow.error and self._once.held(digest) is not None:
                if self._once.take(digest):
                    return True
                await asyncio.sleep(_LOOK)
            return False
        finally:
            self._asking -= 1


def _line(name: bytes, value: bytes, unread: frozenset[str]) -> bytes:
    lowered = name.lower()
    # The owner's own credential is not kept. Nor is it in the digest, which the agent sees.
    return lowered + b": " + (b"(put in by egress)" if lowered.decode("latin-1") in unread else value)


def _places(dlp: Dlp, host: str, request: http.Request) -> str:
    """The surroundings of each finding, decoded; "" if there are too many findings or the request is unscannable."""
    kind, encoding = request.headers.get("content-type", ""), body_encoding(request.headers)
    body = request.raw_content or b""
    try:
        findings = dlp.every_in_request(host, request.path, body, kind, encoding, _FINDINGS)
    except Unscannable:
        return ""
    # Each place is one line, so that the agent's text cannot fake a heading.
    excerpts = [
        f"[{one.rule}, {one.where}]\n{' '.join(one.place.decode(errors='replace').split())}" for one in findings or ()
    ]
    return "\n\n".join(excerpts)
