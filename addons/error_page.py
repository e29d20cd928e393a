"""What a proxy answers where mitmproxy would show a page: JSON that names the part, and what helps. Pure.

mitmproxy's own pages quote what the upstream has sent, which no mask has seen; nothing of that is here.
"""

from __future__ import annotations

import json
import re

_KEPT_MESSAGE = re.compile(
    r"(Certificate verify failed: [A-Za-z0-9 ,.()'-]{1,90}|server closed connection"
    # Of addons/upstream_proxy.py: names that the owner has written, and numbers.
    r"|the forward proxy[\w.:\[\] '()-]{1,600}(; it wants a login: pipelock\.upstream_proxy_ref)?)\Z"
)
_BEHIND = {"egress": "pipelock, or the host behind it,", "pipelock": "The host"}
_HELP = {
    "egress": "Try again. If it lasts, the bottle's owner sees on the dashboard which part is down: make repair",
    "pipelock": "Try again; the host itself may be down. No approval changes this.",
}


def error_page(part: str, status: int, message: str = "") -> bytes:
    """The body of an answer with this status. message: mitmproxy's; the few that hold nothing of others are kept."""
    if _KEPT_MESSAGE.match(message):
        text = f"{_BEHIND.get(part, 'The upstream')} did not answer as it should: {message}."
    elif status < 500:
        text = "The request is not valid HTTP, or two servers could read it differently."
    else:
        text = f"{_BEHIND.get(part, 'The upstream')} cannot be reached, or its answer is not valid HTTP."
    told = {"error": "failed", "failed_in": part, "status": status, "message": text}
    if status >= 500:
        told["help"] = _HELP.get(part, "Try again.")
    return json.dumps(told, indent=2).encode() + b"\n"
