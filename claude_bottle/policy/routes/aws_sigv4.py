"""The scheme `aws-sigv4:REGION/SERVICE`: which requests egress can sign again with the owner's keys. Pure.

The agent's program signs with placeholders, and AWS's headers declare that (Signature Version 4, "Create a signed
request"; S3: "Authenticating requests: using the Authorization header"). A request that is signed for another region or
service, or in a way that only the holder of the keys can repeat, is refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_to_bytes

from claude_bottle.policy.names.header_names import plain_name
from claude_bottle.policy.routes.paths import below

_SCHEME = re.compile(r"aws-sigv4:([a-z0-9-]{2,40})/([a-z0-9-]{2,60})\Z")
_KEYS = re.compile(r"[\w-]{3,128}:[!-~]{8,256}\Z")  # other stores with an S3 API have other ids than AWS
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=[^/,\s]+/[0-9]{8}/([^/,\s]+)/([^/,\s]+)/aws4_request\s*(?:,|\Z)"
)
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_CHECKSUM = re.compile(r"x-amz-checksum-[a-z0-9]+\Z", re.IGNORECASE)  # one name: a list could add other headers
UNSIGNED = "UNSIGNED-PAYLOAD"
_UNSIGNED = (UNSIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
# From S3's API reference: headers and parameters that read, write and list objects by their own path. Any other may
# name another object (x-amz-copy-source, x-amz-rename-source), other readers (x-amz-acl, ?acl, ?policy), or other keys
# (?session, ?delete): the owner can list it in allow_headers.
_HEADERS = """
x-amz-date x-amz-content-sha256 x-amz-decoded-content-length x-amz-trailer x-amz-te x-amz-sdk-checksum-algorithm
x-amz-server-side-encryption x-amz-storage-class x-amz-request-payer x-amz-expected-bucket-owner x-amz-user-agent
x-amz-max-parts
x-amz-part-number-marker x-amz-object-attributes x-amz-optional-object-attributes x-amz-mp-object-size
x-amz-bucket-region x-amz-api-version x-amz-server-side-encryption-bucket-key-enabled
x-amz-if-match-size x-amz-if-match-last-modified-time x-amz-if-match-initiated-time x-amzn-trace-id
"""
# Left out: -aws-kms-key-id and -context, because a key of another account writes the context to that account's log.
# MinIO unpacks an upload anywhere in the bucket if its metadata says so (x-amz-meta-snowball-auto-extract,
# cmd/api-router.go), and so does RustFS.
_ORDERS = "snowball"
# Headers of HTTP, and those by which programs describe themselves. Any other may be an order to a store: Swift's
# x-copy-from, MinIO's x-minio-force-delete, SeaweedFS's seaweed-x-amz-acl, IBM's ibm-sse-kp-customer-root-key-crn.
_OF_HTTP = frozenset(
    """
    accept accept-charset accept-encoding accept-language authorization cache-control connection content-disposition
    content-encoding content-language content-length content-md5 content-type cookie date dnt expect expires host
    if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive origin pragma priority range
    referer te trailer transfer-encoding upgrade-insecure-requests user-agent via
    traceparent tracestate baggage b3 sentry-trace
    """.split()  # noqa: SIM905 - a list of names
)
_LIKE_THESE = ("amz-sdk-", "sec-", "access-control-request-")  # of SDKs; of browsers and node's fetch
_S3_FAMILIES = ("x-amz-meta-", "x-amz-checksum-", "x-amz-server-side-encryption-customer-")
_PARAMETERS = """
list-type prefix delimiter max-keys continuation-token start-after fetch-owner encoding-type marker versionId partNumber
uploadId uploads part-number-marker max-parts key-marker upload-id-marker max-uploads location versions
version-id-marker attributes x-id max-buckets bucket-region response-cache-control response-content-disposition
response-content-encoding response-content-language response-content-type response-expires
"""
_S3_HEADERS, _S3_PARAMETERS = frozenset(_HEADERS.split()), frozenset(_PARAMETERS.split())
# These add no readers beyond the object's own account and the bucket's. rclone sends one with each upload.
_S3_VALUES = frozenset(("x-amz-acl", acl) for acl in ("private", "bucket-owner-read", "bucket-owner-full-control"))
_POSTS = frozenset(("uploads", "uploadId"))  # the operations of S3's POST on an object by its path
_METHODS = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"))
# APIs that MinIO (cmd/admin-router.go), RustFS (server/prefix.rs) and CloudServer (routeBackbeat.js) serve beside S3,
# at each name of their host and for an S3 signature. MinIO's /minio/admin/v3/export-iam reveals the keys of all users.
_OTHER_APIS = ("/minio", "/rustfs", "/iceberg/v1", "/_iceberg", "/_")
SIGNED = ("content-type", "content-md5")  # beside Host and all of x-amz-*; none of them may be changed by a hop
BODY = "x-amz-content-sha256"


@dataclass(frozen=True)
class Scope:
    """The use of the owner's keys on a route."""

    region: str
    service: str

    @property
    def is_s3(self) -> bool:
        """Whether the signature may leave out the body, and covers the path as it is."""
        return self.service.split("-")[0] in ("s3", "s3express")


def scope_of(scheme: str | None) -> Scope | None:
    """The scope of such a scheme; None for any other."""
    match = _SCHEME.match(scheme or "")
    return Scope(match[1], match[2]) if match else None


def keys_of(token: str) -> tuple[str, str] | None:
    """Id and secret of `ACCESS_KEY_ID:SECRET_ACCESS_KEY`; None for any other text."""
    if not _KEYS.match(token):
        return None
    identity, _, secret = token.partition(":")
    return identity, secret


def credential_id(value: str) -> str:
    """The key id in an AWS Authorization header; "" for any other value."""
    match = re.match(r"AWS4-[A-Z0-9-]+\s+Credential=([^/,\s]*)", value)
    return match[1] if match else ""


def needs_body(headers: Iterable[tuple[bytes, bytes]], scope: Scope) -> bool:
    """Whether the body must be complete before the head can be signed."""
    return not scope.is_s3 and not any(name.lower() == BODY.encode() for name, _ in headers)


def wrong_head(headers: Sequence[tuple[bytes, bytes]], path: str, scope: Scope, allowed: frozenset[str]) -> str:
    """Why egress does not sign this head, as a sentence; "" if it does. path: with the query. allowed: headers and
    parameters that may pass."""
    seen: set[str] = set()
    for raw, content in headers:
        name, value = raw.decode("latin-1").lower(), content.decode("latin-1").strip()
        if plain_name(raw).startswith("x-amz-") or name in SIGNED:
            # Signed and sent in one form for every reader: if an upstream reads it differently, it rejects the
            # signature.
            if name in seen or plain_name(raw) != name or not value.isascii() or value != " ".join(value.split()):
                return f"The header {name[:60]} is there twice, or is written in a way that servers read differently."
            seen.add(name)
        known = not scope.is_s3 or name in _OF_HTTP or name.startswith(_LIKE_THESE) or _is_known(name, value)
        if not known and name not in allowed:
            return _by_the_owner(f"header {name[:60]}")
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
        elif name == BODY and not (value in _UNSIGNED or _HASH.match(value)):
            return (
                "The chunks of the body are signed, which egress cannot do anew; send it without signed chunks, as"
                " AWS's SDKs do over https."
            )
    for name in _parameters(path) if scope.is_s3 else ():
        if name not in _S3_PARAMETERS and name.lower() not in allowed:
            return _by_the_owner(f"parameter {name[:60]}")
    return ""


def another_api(method: str, path: str, kind: str, prefixes: Sequence[str], allowed: frozenset[str]) -> str:
    """Why a request addresses another API that a store serves beside S3, as a sentence; "" if it does not.

    path, allowed: as in wrong_head. kind: the content type. prefixes: the paths of the route.
    """
    plain = posixpath.normpath("/" + unquote(path.partition("?")[0]).lstrip("/")).lower()
    names = _parameters(path)
    # The body of any other POST holds an order (of STS or IAM: AssumeRole or CreateAccessKey of RustFS and SeaweedFS,
    # which accept an S3 signature) or a form that names object and readers (Ceph requires no policy in it).
    of_an_object = plain != "/" and not _POSTS.isdisjoint(names) and "form-data" not in kind.lower()
    if method == "POST" and not of_an_object and allowed.isdisjoint(name.lower() for name in names):
        return (
            "Of S3's POSTs egress signs those of an upload in parts (?uploads, ?uploadId), and those whose parameter"
            " the owner names in allow_headers."
        )
    owners = [prefix.replace("%2F", "/").lower() for prefix in prefixes if prefix != "/"]
    named = any(below(prefix, plain) for prefix in owners)
    if not named and (method not in _METHODS or any(below(prefix, plain) for prefix in _OTHER_APIS)):
        return f"{method} of this path is no request of S3's; only the owner can name it, by a path of the route."
    return ""


def as_read(path: str, scope: Scope) -> str:
    """A path and its query in the spelling that is signed, whatever the client's (curl leaves a slash in a query):
    servers decode a request and encode it again. Services other than S3 encode the path as it is sent."""
    raw, _, query = path.partition("?")
    pairs = [one.replace("+", " ").partition("=") for one in query.split("&") if one]
    plain = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, _, value in pairs)
    return (_encoded(raw, "/") if scope.is_s3 else raw) + (f"?{plain}" if plain else "")


def _encoded(text: str, safe: str = "") -> str:
    return quote(unquote_to_bytes(text), safe=safe)


def _parameters(path: str) -> list[str]:
    """The names in a query. Some servers split it at `;` too."""
    return [unquote(one.partition("=")[0]) for one in re.split("[&;]", path.partition("?")[2]) if one]


def _is_known(name: str, value: str) -> bool:
    """Whether a header concerns only an object by its path."""
    if name == "x-amz-trailer":
        return bool(_CHECKSUM.match(value))
    listed = name in _S3_HEADERS or (name, value) in _S3_VALUES
    return listed or (name.startswith(_S3_FAMILIES) and _ORDERS not in name)


def _by_the_owner(what: str) -> str:
    return f"The {what} may ask S3 for more than an object by its path; only the owner can name it in allow_headers."
