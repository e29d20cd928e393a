"""Which parts of a request stay the same when a program generates it again. Pure."""

from __future__ import annotations

import re
from email.message import Message
from urllib.parse import parse_qsl

# Parameters that sign an address: AWS (Signature Version 4, query parameters), Google Cloud Storage (V4 signing
# process), Azure Storage (service SAS: sig), CloudFront and Alibaba OSS (Signature).
_SIGNATURES = frozenset(["x-amz-signature", "x-goog-signature", "sig", "signature", "x-oss-signature"])
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z")  # RFC 2046, 5.1.1


def body_parts(content_type: str, body: bytes) -> tuple[str, list[bytes]]:
    """A body's type and pieces, independent of the boundary if it is multipart.

    Two bodies with the same type and pieces differ only in their boundary. The boundary is in the header, which is
    scanned separately.
    """
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_maintype() != "multipart" or not boundary or content_type.count(boundary) != 1:
        return content_type, [body]
    mark = boundary.encode("utf-8", "replace")
    if not _BOUNDARY.match(mark) or not body.lstrip(b"\r\n").startswith(b"--" + mark):
        return content_type, [body]
    return content_type.replace(boundary, "*"), body.split(b"--" + mark)


def is_signed(path: str) -> bool:
    """Whether an address is signed, so that it differs each time."""
    return any(name.lower() in _SIGNATURES for name, _ in parse_qsl(path.partition("?")[2]))
