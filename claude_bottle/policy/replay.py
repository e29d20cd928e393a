"""Sends a refused request again as the agent would: through its proxy, without a credential or a body."""

from __future__ import annotations

import http.client
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from claude_bottle.policy.names.files import SUPERVISE_CA

# Safe methods only (RFC 9110, 9.2.1). PUT and DELETE are idempotent too, but have effects; POST may have them twice.
SAFE = ("GET", "HEAD", "OPTIONS")
CA = Path(SUPERVISE_CA)
_BLOCKED = "x-pipelock-block-reason"
_REASON = re.compile(r"[a-z_]{1,40}\Z")


def can_be_replayed(request: Mapping[str, Any]) -> bool:
    """Whether a refused request can be sent again by somebody else."""
    return request.get("method") in SAFE and bool(request.get("host"))


def replay(request: Mapping[str, Any]) -> dict[str, Any]:
    """`status` and, if a part of the bottle still refuses, its `reason`; or `error`."""
    if not can_be_replayed(request):
        return {"error": "not a request that is safe to send again"}
    proxy = urlsplit(os.environ["BOTTLE_PROXY"])
    try:
        trusted = ssl.create_default_context(cafile=str(CA))
        connection = http.client.HTTPSConnection(str(proxy.hostname), proxy.port, timeout=15, context=trusted)
        connection.set_tunnel(str(request["host"]), 443)
        path = quote(str(request.get("path") or "/"), safe="/%:@!$&'()*+,;=-._~")
        connection.request(str(request["method"]), path, headers={"User-Agent": "claude-bottle-replay"})
        answer = connection.getresponse()
        # A host that is not inspected can send such a header itself.
        reason = _REASON.match(answer.headers.get(_BLOCKED, ""))
        connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"[:200]}
    return {"status": answer.status, **({"reason": reason[0]} if reason else {})}
