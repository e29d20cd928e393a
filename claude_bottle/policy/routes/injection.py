"""The credentials that egress injects: which header, which value, from which slot. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

from claude_bottle.policy.routes.aws_sigv4 import scope_of

SLOT = re.compile(r"EGRESS_TOKEN_[0-9]+\Z")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\Z")
MIN_TOKEN_LENGTH = 8  # bytes: a shorter token could occur in any response by chance
# pipelock's `sensitive_headers`, without those that egress fills in (claude_bottle/manifest/render/pipelock.py).
CREDENTIAL_HEADERS = ("authorization", "x-api-key", "proxy-authorization", "cookie")
# With this header egress tells pipelock which header it has filled in; pipelock removes it.
MARK_HEADER = "x-claude-bottle-injected"
# A header that routes or frames a message cannot carry a token.
_FRAMING_HEADERS = frozenset(
    [
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)


class TokenFileError(ValueError):
    """A token file that is not understood. The message never holds a value."""


def auth_header(scheme: str | None) -> str:
    """Lower-case name of the header that a scheme fills in; empty for an unknown scheme."""
    if scheme in ("bearer", "basic") or scope_of(scheme) is not None:
        return "authorization"
    if scheme and scheme.startswith("header:") and _HEADER.match(scheme[7:]):
        name = scheme[7:].lower()
        return "" if name in _FRAMING_HEADERS else name
    return ""


def auth_value(scheme: str, token: str) -> str:
    """The value of that header. `basic` takes `user:password`, or a bare token as the password of `x-access-token`.

    Not for aws-sigv4, whose value depends on the request (addons/egress/aws.py).
    """
    if scheme == "bearer":
        return f"Bearer {token}"
    if scheme == "basic":
        pair = token if ":" in token else f"x-access-token:{token}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    return token


def parse_tokens(data: bytes) -> Mapping[str, str]:
    """Read the slots file: a JSON object of slot to token. Raises TokenFileError; no message holds a value."""
    try:
        tokens = json.loads(data)
    except ValueError:
        raise TokenFileError("the token file is not JSON") from None
    if not isinstance(tokens, dict) or not all(SLOT.match(k) and isinstance(v, str) and v for k, v in tokens.items()):
        raise TokenFileError("the token file is not an object of slots and tokens")
    return tokens
