"""A proxy's response in place of mitmproxy's error page: JSON that names the part and a remedy. Pure.

mitmproxy's own pages quote the upstream's data, which no mask has seen; none of that is here. A failure on the way to a
model's API is final for its clients (claude_bottle/policy/model_api.py), unless it may end by itself within seconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from claude_bottle.policy.model_api import in_its_form, is_model_call
from claude_bottle.policy.refusal import Refusal

CONNECT_REFUSED = "the next proxy refused CONNECT: "  # followed by the next proxy's reason
NOT_TRUSTED = "upstream_not_trusted"
# mitmproxy's messages (proxy/layers/tls.py, proxy/tunnel.py, proxy/server.py of 12.2) to reasons.
_REASONS = (
    (re.compile(r"Certificate verify failed: ([A-Za-z0-9 ,.()'-]{1,90})\Z"), NOT_TRUSTED),
    # Messages of addons/pipelock/upstream_proxy.py: names that the owner wrote, and numbers.
    (re.compile(r"(the forward proxy[\w.:\[\] '()-]{1,600}(?:; it wants a login: pipelock\.upstream_proxy_ref)?)\Z"),
     "upstream_proxy"),
    (re.compile(rf"{CONNECT_REFUSED}([a-z_]{{1,40}})\Z"), "connect_refused"),
    (re.compile(r"The remote server (?:does not speak TLS\.|and mitmproxy)|OpenSSL |.*\balert\b"), "upstream_tls"),
    (re.compile(r"\[Errno 110\]|.*timed out"), "upstream_timeout"),
    (re.compile(r"\[Errno|Multiple exceptions|Connection killed|connection cancelled"), "upstream_unreachable"),
    (re.compile(r"server closed connection|connection closed|The connection was closed"), "upstream_closed"),
    (re.compile(r"Error connecting to "), "upstream_failed"),
)  # fmt: skip
_WORDS = {
    "upstream_tls": "does not speak TLS as it should",
    "upstream_timeout": "did not answer in time",
    "upstream_unreachable": "cannot be reached",
    "upstream_closed": "closed the connection before its answer was whole",
    "upstream_failed": "cannot be reached, or its answer is not valid HTTP",
}
_OF_A_REFUSED_CONNECT = {
    "unresolvable": "The name {host} cannot be resolved.",
    "ssrf_private_ip": "{host} resolves to an internal address.",
}
_BRIEF = frozenset(["starting", "busy"])  # reasons of the next proxy after which a retry may succeed at once
_HELP = {
    "egress": "Try again. If it lasts, the bottle's owner sees on the dashboard which part is down: bottle repair NAME",
    "pipelock": "Try again; the host itself may be down. No approval changes this.",
}


class Failure(str):
    """mitmproxy's message for a failure, with the request that it ended."""

    method: str
    host: str
    path: str

    @classmethod
    def of(cls, message: str, method: str, host: str, path: str) -> Failure:
        failure = cls(message)
        failure.method, failure.host, failure.path = method, host, path
        return failure


@dataclass(frozen=True)
class _Cause:
    """reason: see `_REASONS`; "" for an error of the client. detail: words without data of others."""

    reason: str
    detail: str = ""


def reason_of(message: str) -> str:
    """The reason, for the log, why the other side could not be reached; "" if the message is about something else."""
    cause = _cause(message, 0)
    return cause.detail if cause.reason == "connect_refused" else cause.reason


def is_final(part: str, message: str) -> bool:
    """Whether a retry within seconds is useless. False if the next part may just be restarting."""
    cause = _cause(message, 0)
    if cause.reason == "connect_refused":
        return cause.detail not in _BRIEF
    return bool(cause.reason) and not (part == "egress" and cause.reason == "upstream_unreachable")


def error_page(part: str, status: int, message: str = "") -> bytes:
    """The body of a response with this status. message: mitmproxy's; a Failure also names its request."""
    method, host, path = (getattr(message, key, "") for key in ("method", "host", "path"))
    who = host or "the host"
    cause = _cause(message, status)
    if cause.reason == NOT_TRUSTED:
        text = (
            f"The certificate of {who} is not trusted: {cause.detail}. Where a network re-signs TLS, the bottle's owner"
            " names its root in pipelock.ca_files."
        )
        return Refusal(part, NOT_TRUSTED, text, status).body(method=method, host=host, path=path)
    if cause.reason == "connect_refused":
        text = _OF_A_REFUSED_CONNECT.get(cause.detail, "pipelock refuses the connection to {host}.").format(host=who)
        return Refusal("pipelock", cause.detail, text, status).body(method=method, host=host, path=path)
    if status < 500 and not cause.reason:
        text = "The request is not valid HTTP, or two servers could read it differently."
    else:
        behind = f"pipelock, or {who} behind it," if part == "egress" else host or "The host"
        words = _WORDS.get(cause.reason, _WORDS["upstream_failed"])
        text = f"{behind} cannot be reached: {cause.detail}." if cause.detail else f"{behind} {words}."
    reason = cause.reason or ("invalid_request" if status < 500 else "upstream_failed")
    payload = {"error": "failed", "failed_at": part, "reason": reason, "status": status, "message": text}
    if host:
        payload |= {"method": method, "host": host, "path": path.partition("?")[0][:300]}
    if status >= 500 or cause.reason:
        payload["help"] = _HELP.get(part, "Try again.")
    return json.dumps(in_its_form(path, payload, status), indent=2).encode() + b"\n"


def ends_the_try(part: str, message: str, path: str) -> bool:
    """Whether a model's client is to learn that a retry is useless."""
    return is_model_call(path) and is_final(part, message)


def _cause(message: str, status: int) -> _Cause:
    for pattern, reason in _REASONS:
        if match := pattern.match(message):
            return _Cause(reason, match[1] if pattern.groups else "")
    return _Cause("upstream_failed" if status >= 500 else "")
