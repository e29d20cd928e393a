"""The scheme `aws-sigv4:REGION/SERVICE`: what of a request egress can sign anew with the owner's keys. Pure.

The agent's program signs with placeholders; AWS says which headers say so (Signature Version 4, "Create a signed
request"; S3: "Authenticating requests: using the Authorization header"). What is signed for another region or service,
or in a way that nobody but the holder of the keys can mend, does not leave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SCHEME = re.compile(r"aws-sigv4:([a-z0-9-]{2,40})/([a-z0-9-]{2,60})\Z")
_KEYS = re.compile(r"[\w-]{3,128}:[!-~]{8,256}\Z")  # stores that speak S3 have other ids than AWS
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=[^/,\s]+/[0-9]{8}/([^/,\s]+)/([^/,\s]+)/aws4_request\s*(?:,|\Z)"
)
_HASH = re.compile(r"[0-9a-f]{64}\Z")
UNSIGNED = "UNSIGNED-PAYLOAD"
_UNSIGNED = (UNSIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
# They read an object of any bucket that the owner's keys can read, past the route's host and path.
_OTHER_OBJECTS = ("x-amz-copy-source", "x-amz-tagging-source", "x-amz-metadata-source")
BODY = "x-amz-content-sha256"


@dataclass(frozen=True)
class Scope:
    """What the owner's keys are used for on a route."""

    region: str
    service: str

    @property
    def is_s3(self) -> bool:
        """Whether the body may be left out of what is signed, and the path is signed as it is."""
        return self.service.split("-")[0] in ("s3", "s3express")


def scope_of(scheme: str | None) -> Scope | None:
    """The scope of such a scheme; None for any other."""
    match = _SCHEME.match(scheme or "")
    return Scope(match[1], match[2]) if match else None


def keys_of(token: str) -> tuple[str, str] | None:
    """Id and secret of `ACCESS_KEY_ID:SECRET_ACCESS_KEY`; None for what is no such pair."""
    if not _KEYS.match(token):
        return None
    identity, _, secret = token.partition(":")
    return identity, secret


def credential_id(value: str) -> str:
    """Whose keys an Authorization header of this kind names; "" for any other."""
    match = re.match(r"AWS4-[A-Z0-9-]+\s+Credential=([^/,\s]*)", value)
    return match[1] if match else ""


def needs_body(headers: Iterable[tuple[bytes, bytes]], scope: Scope) -> bool:
    """Whether the body has to be there before the head is signed."""
    return not scope.is_s3 and not any(name.lower() == BODY.encode() for name, _ in headers)


def wrong_head(headers: Sequence[tuple[bytes, bytes]], scope: Scope, allowed: frozenset[str]) -> str:
    """Why egress does not sign this head, as a sentence; "" where it does. allowed: headers that may pass."""
    bodies = 0
    for raw, content in headers:
        name, value = raw.decode("latin-1").lower(), content.decode("latin-1").strip()
        if name == "authorization" and value.startswith("AWS4-"):
            match = _AUTHORIZATION.match(value)
            if match is None:
                return (
                    "Egress signs anew what is signed with AWS4-HMAC-SHA256 for one region, and nothing else of AWS's."
                )
            if (match[1], match[2]) != (scope.region, scope.service):
                return (
                    f"The request is signed for {match[2][:60]} in {match[1][:40]}; the owner's keys are for"
                    f" {scope.service} in {scope.region} here."
                )
        elif name == BODY:
            bodies += 1
            if bodies > 1 or not (value in _UNSIGNED or _HASH.match(value)):
                return (
                    "The chunks of the body are signed, which egress cannot do anew; send it without signed chunks, as"
                    " AWS's SDKs do over https."
                )
        elif name in _OTHER_OBJECTS and name not in allowed:
            return f"The header {name} names another object; only the owner can name it in allow_headers."
    return ""
