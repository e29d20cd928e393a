"""The content encoding of a request's body, by every header that servers consider. Pure but for the type of a head."""

from __future__ import annotations

from mitmproxy import http

from claude_bottle.policy.names.header_names import plain_name


def body_encoding(headers: http.Headers) -> str:
    """The value of Content-Encoding, with `aws-chunked` added as the outermost layer if only S3's own header declares
    it.

    S3 and compatible stores decode the chunks by that header alone, and some clients omit the encoding (localstack,
    issue 8704; Apache Ozone, pull request 8366).
    """
    said: str = headers.get("content-encoding", "")
    if "aws-chunked" in said.lower():
        return said
    for name, value in headers.fields:
        if plain_name(name) == "x-amz-content-sha256" and value.strip().upper().startswith(b"STREAMING-"):
            return f"{said}, aws-chunked" if said else "aws-chunked"
    return said
