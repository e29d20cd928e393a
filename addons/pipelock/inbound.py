"""Responses that instruct an agent: a header warns of them, or they are blocked. Rules:
claude_bottle/dlp/rules/inbound.py.

A short text response is held until it is scanned, so that a header can be added. A longer one, one without a length,
and an event stream are scanned as they pass: then a finding is only logged, or ends the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mitmproxy import http

from addons.frame.decision_log import log_decision, where
from addons.frame.refuse import answer, cut
from claude_bottle.dlp.packed.decoder import DecodeError
from claude_bottle.dlp.packed.decoders import decoder_for, is_identity
from claude_bottle.dlp.rules.inbound import LIMIT, OVERLAP, instructions_in, is_text
from claude_bottle.policy.refusal import Refusal

HEADER = "x-claude-bottle-inbound"
HELD = "inbound"  # key of a flow's metadata: the mode in which its response is held
_MOST_HELD = 32  # responses, of LIMIT bytes each

Stream = bool | Callable[[bytes], Iterable[bytes]]


class Inbound:
    """The responses that one proxy holds or watches."""

    def __init__(self) -> None:
        self._held = 0

    def begin(self, flow: http.HTTPFlow, response: http.Response, mode: str, passing: Stream) -> Stream:
        """How the response's body is streamed; False to hold it. passing: how it is streamed without this check."""
        response.headers.pop(HEADER, None)  # only this proxy may set it
        if mode == "off" or not is_text(response.headers.get("content-type", "")):
            return passing
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) <= LIMIT and self._held < _MOST_HELD and flow.request.method != "HEAD":
            self._held += 1
            flow.metadata[HELD] = mode
            return False
        return self._watched(flow, response, mode, passing)

    def finish(self, flow: http.HTTPFlow, passing: Callable[[bytes], object]) -> None:
        """Scan a held response. passing: who scans it as it passes."""
        mode, response = self.forget(flow), flow.response
        if not mode or response is None or response.raw_content is None:
            return
        rules = instructions_in(_Plain(response).of(response.raw_content))
        if rules:
            log_decision("pipelock", event="inbound", rules=rules, action=mode, **where(flow))
            if mode == "block":
                answer(flow, refusal(rules))
                return
            response.headers[HEADER] = ", ".join(rules)
        passing(response.raw_content)

    def forget(self, flow: http.HTTPFlow) -> str:
        """Note that a flow is no longer held. Returns its mode, or "" if it was not held."""
        mode = str(flow.metadata.pop(HELD, ""))
        self._held -= bool(mode)
        return mode

    def _watched(self, flow: http.HTTPFlow, response: http.Response, mode: str, passing: Stream) -> Stream:
        plain, tail, over = _Plain(response), b"", False

        def stream(chunk: bytes) -> Iterable[bytes]:
            nonlocal tail, over
            out = passing(chunk) if callable(passing) else [chunk]
            if over:
                return [] if mode == "block" else out
            text = plain.of(chunk)
            rules = instructions_in(tail + text) if text else []
            tail = (tail + text)[-OVERLAP:]
            if not rules:
                return out
            over = True
            log_decision("pipelock", event="inbound", rules=rules, action=mode, streamed=True, **where(flow))
            if mode == "block":
                cut(flow, refusal(rules))
                return []
            return out

        return stream


class _Plain:
    """A response's decoded body, up to LIMIT bytes. The rest, and broken data, are not scanned."""

    def __init__(self, response: http.Response) -> None:
        encoding = response.headers.get("content-encoding", "")
        self._left = LIMIT
        try:
            self._decoder = None if is_identity(encoding) else decoder_for(encoding)
        except DecodeError:
            self._decoder, self._left = None, 0

    def of(self, chunk: bytes) -> bytes:
        parts = []
        try:
            for part in [chunk] if self._decoder is None or not chunk else self._decoder.feed_parts(chunk):
                if self._left <= 0:
                    break
                parts.append(part[: self._left])
                self._left -= len(part)
        except DecodeError:
            self._left = 0
        return b"".join(parts)


def refusal(rules: list[str]) -> Refusal:
    """The refusal in place of a blocked response."""
    return Refusal(
        "pipelock",
        "inbound_instructions",
        f"The answer holds text that reads as instructions to an agent ({', '.join(rules)}), so pipelock refuses it.",
    )
