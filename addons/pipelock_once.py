"""What DLP refused, let through one time where the owner has said so: by the digest of method, URL and body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mitmproxy import http

from addons.once import Once, digest_of
from addons.refusal import Refusal

_SHOWN = 8 << 10  # bytes of a held body that its owner is shown


class PipelockOnce:
    """Holds refused requests, and uses grants up."""

    def __init__(self, folder: Path) -> None:
        self._once = Once(folder)

    def judge(self, flow: http.HTTPFlow, verdict: Any) -> Any:
        """For what DLP refused: its host if the owner lets exactly this through once, else with the digest to ask by.

        Any other verdict comes back as it is; so does a finding in a header, for headers differ from try to try, and
        one in a streamed body, which is not here as a whole.
        """
        request = flow.request
        if not isinstance(verdict, Refusal) or verdict.reason != "dlp_match" or request.stream:
            return verdict
        if flow.metadata.get("in_headers"):
            return verdict
        body, encoding = request.raw_content or b"", request.headers.get("content-encoding", "")
        named = (request.method, request.scheme, request.host, request.path, encoding)
        digest = digest_of(*(text.encode("utf-8", "surrogateescape") for text in named), body)
        if self._once.take(digest):
            flow.metadata.update(once=digest, pipelock=request.host)
            for name in ("proxy-authorization", "proxy-connection"):
                request.headers.pop(name, None)
            return request.host
        self._once.hold(
            digest,
            {
                "what": f"{request.method} {request.scheme}://{request.host}{request.path}",
                "why": verdict.message,
                "size": len(body),
                "excerpt": f"({encoding})" if encoding else body[:_SHOWN].decode(errors="replace"),
            },
        )
        return replace(verdict, content=digest)
