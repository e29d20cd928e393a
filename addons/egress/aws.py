"""Signs requests again for AWS, with the owner's keys, using botocore."""

from __future__ import annotations

from functools import cache
from typing import Any

from mitmproxy import http

from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.aws_sigv4 import (
    BODY,
    SIGNED,
    UNSIGNED,
    Scope,
    another_api,
    as_read,
    keys_of,
    needs_body,
    scope_of,
    wrong_head,
)
from claude_bottle.policy.routes.route import Route
from claude_bottle.policy.routes.table import RouteTable

HELD_BODY = 4 << 20  # bytes of a signed body, which must be read before the head is sent


def load_signer(table: RouteTable) -> None:
    """Import botocore if a route of the table needs it, because that takes a quarter of a second and 20 MB."""
    if any(scope_of(route.auth_scheme) for route in table.routes):
        _signers()


def only_signs(table: RouteTable | None, host: str, slots: frozenset[str]) -> bool:
    """Whether this host was and is sent only signatures and no secret. Then no range of a response can contain a
    secret.

    slots: all for which its responses are masked, including those of earlier tables.
    """
    routes = [route for route in table.candidates(host) if route.slot] if table else []
    signing = {route.slot for route in routes if scope_of(route.auth_scheme)}
    return bool(routes) and slots | {route.slot for route in routes} <= signing


def refuse_head(request: http.Request, route: Route, token: str) -> Refusal | None:
    """Why this head cannot be signed again. route: with its credential."""
    if (scope := scope_of(route.auth_scheme)) is None:
        return None
    if keys_of(token) is None:
        return Refusal(
            "egress", "token_missing", "The secret of this route is no ACCESS_KEY_ID:SECRET_ACCESS_KEY.", 502
        )
    why = wrong_head(request.headers.fields, request.path, scope, route.allow_headers)
    if not why and scope.is_s3:
        kind = request.headers.get("content-type", "")
        why = another_api(request.method, request.path, kind, route.paths, route.allow_headers)
    return Refusal("egress", "cannot_sign", why) if why else None


def held_bytes(request: http.Request, route: Route) -> int:
    """Bytes of a body that must be read before the head is signed; 0 if none."""
    scope = scope_of(route.auth_scheme) if route.slot else None
    return HELD_BODY if scope is not None and needs_body(request.headers.fields, scope) else 0


def refuse_stream(request: http.Request, route: Route) -> Refusal | None:
    """Why a body may not be streamed: the signature covers it and is sent before it."""
    if not held_bytes(request, route):
        return None
    words = f"The signature is over the body, which may have {HELD_BODY >> 20} MB then, with a length or an end."
    return Refusal("egress", "too_large", words)


def sign(request: http.Request, host: str, scope: Scope, token: str, body: bytes) -> None:
    """Set Authorization, X-Amz-Date and the headers that go with them. All other headers must be final. host:
    canonical. body: complete if `needs_body` says so.
    """
    plain, for_s3, awsrequest, credentials = _signers()
    keys = keys_of(token)
    assert keys is not None  # noqa: S101 - refuse_head has checked it
    # The signed host: a server that gets another Host answers with the expected signature, which others could use.
    if "host" in request.headers:
        request.headers["host"] = host
    if request.data.authority:
        request.data.authority = host.encode("ascii")
    if scope.is_s3 and BODY not in request.headers:
        request.headers[BODY] = UNSIGNED
    names = {name.lower() for name in request.headers}
    chosen = {n: request.headers[n] for n in sorted(names) if n in SIGNED or n.startswith("x-amz-")}
    asked = awsrequest.AWSRequest(
        method=request.method,
        url=f"https://{host}{as_read(request.path, scope)}",
        headers=chosen | {"host": host},
        data=body,
    )
    kind = for_s3 if scope.is_s3 else plain
    kind(credentials.Credentials(*keys), scope.service, scope.region).add_auth(asked)
    for name in ("Authorization", "X-Amz-Date"):
        request.headers[name] = asked.headers[name]


@cache
def _signers() -> tuple[Any, Any, Any, Any]:
    from botocore import auth, awsrequest, credentials

    class ForS3(auth.SigV4Auth):  # type: ignore[misc]
        """S3 alone signs the path as sent, and has a header that says whether the body is signed."""

        def _normalize_url_path(self, path: str) -> str:
            return path

    return auth.SigV4Auth, ForS3, awsrequest, credentials
