"""Refusals of requests that their route allows: another request in disguise, or code for a forge in a body."""

from __future__ import annotations

from dataclasses import replace

from mitmproxy import http

from addons.egress import forms, placeholders
from addons.frame import request_rules as rules
from addons.frame.body_encoding import body_encoding
from claude_bottle.dlp.packed.decoder import DecodeError
from claude_bottle.dlp.packed.decoders import decode, is_identity
from claude_bottle.policy.forge import body as forge_body
from claude_bottle.policy.forge.capabilities import CAPABILITIES, UNREADABLE
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.route import Route
from claude_bottle.policy.routes.table import RouteTable, refuse_forge

_MAX_READ = 4 << 20  # bytes of JSON, decoded
_ALL_CAPABILITIES = frozenset(CAPABILITIES)
# Methods that frameworks accept in a form's `_method`: a route that allows all of them has nothing to lose.
_DISGUISES = frozenset(["PUT", "PATCH", "DELETE"])


def refuse_head(request: http.Request, host: str, route: Route, has_token: bool) -> Refusal | None:
    """Why a head is refused that the route allows. has_token: a credential is injected for some path of the host."""
    allowed = route.allow_headers | (rules.METHOD_PARAMETERS if set(route.methods) >= _DISGUISES else frozenset())
    why = rules.judge_head(request.headers.fields, request.path, has_token=has_token, allowed=allowed)
    if not why and "upgrade" in request.headers:
        if route.repositories is not None:
            return refuse_repository(host, route, "messages on a WebSocket are not inspected")
        if forge_body.asks_on_websockets(request.path) and not route.forge >= _ALL_CAPABILITIES:
            return refuse_forge(host, UNREADABLE)
    return Refusal("egress", *why) if why else None


def refuse_repository(host: str, route: Route, why: str) -> Refusal:
    """The refusal of GraphQL that reaches outside its route's repositories."""
    named = " and ".join(sorted(route.repositories or ())) or "no repository"
    return Refusal("egress", "repository_not_declared", f"GraphQL of {host} is limited to {named} here: {why}.")


def with_credential(request: http.Request, host: str, table: RouteTable, route: Route) -> Route | Refusal:
    """The route with the credential for the request: the owner's, or none if it brings its own and may
    (`own_credentials` is then true). A refusal if it brings one and may not, or has a placeholder where nothing
    replaces it. host: canonical.
    """
    fields = request.headers.fields
    injected, here = table.injected_headers(host), table.placeholders(host)
    lost = placeholders.misplaced(fields, request.path, here=here, everywhere=table.placeholders(), injected=injected)
    if lost is not None:
        if lost in here:
            where = " or ".join(sorted(injected))
            message = f"{lost} is a placeholder, and at {host} egress replaces it in the header {where} alone."
        else:
            message = f"{lost} is a placeholder for another host's credential; egress replaces none by that at {host}."
        return Refusal("egress", "misplaced_placeholder", message)
    own = placeholders.own_credentials(fields, here, injected=injected, allowed=route.allow_headers) if injected else []
    if own and not route.own_credentials:
        message = f"The header {own[0]} holds a credential of your own, and {host} has the owner's injected."
        return Refusal("egress", "other_credential", message)
    return replace(route, slot=None, auth_scheme=None) if own else replace(route, own_credentials=False)


def refuse_stream(request: http.Request, route: Route, limit: int) -> Refusal | None:
    """Why a body may not be streamed. limit: bytes up to which a body is buffered."""
    by_forge = forge_body.reads_body(request.method, request.path) and not route.forge >= _ALL_CAPABILITIES
    by_forge = by_forge or route.repositories is not None
    packed = not is_identity(body_encoding(request.headers))
    if packed and _looks_into_form(request, route):
        return encoded()
    if by_forge:
        return Refusal(
            "egress", "too_large", f"A request of this kind is read whole, so it may have at most {limit >> 10} KB."
        )
    return None


def refuse_open(request: http.Request, host: str, before: Route, now: Route, has_token: bool) -> Refusal | None:
    """Why a request in progress may not continue by the route that applies now."""
    if forge_body.reads_body(request.method, request.path) and not now.forge >= before.forge:
        return Refusal("egress", "forge_write", "The route has lost a capability.")
    if now.repositories is not None and not (before.repositories and before.repositories <= now.repositories):
        return refuse_repository(host, now, "the route named more when this began")
    return refuse_head(request, host, now, has_token) if before.allow_headers - now.allow_headers else None


def form_scan(request: http.Request, route: Route) -> forms.FormOverrideScan | None:
    """The scan of a streamed form for another method or user; None if it needs none."""
    looks = _looks_into_form(request, route) and is_identity(body_encoding(request.headers))
    kind = request.headers.get("content-type", "")
    return forms.FormOverrideScan(kind, _tells_caller(request, route)) if looks else None


def refuse_body(request: http.Request, host: str, route: Route) -> Refusal | None:
    """Why a complete body may not leave. host: canonical."""
    by_forge, in_form = forge_body.reads_body(request.method, request.path), _looks_into_form(request, route)
    if not by_forge and not in_form:
        return None
    kind, plain = request.headers.get("content-type", ""), request.raw_content or b""
    if not is_identity(encoding := body_encoding(request.headers)):
        # A server that does not decode it reads other data: the chunk lines of aws-chunked, or a comment of gzip's.
        if by_forge or forms.is_form(kind):
            return encoded()
        try:
            plain = decode(plain, encoding, _MAX_READ)
        except DecodeError:
            return other_method()
    missing = (
        forge_body.needed_by_body(host, request.path, kind, plain, route.paths) - route.forge
        if by_forge
        else frozenset()
    )
    if missing:
        return refuse_forge(host, missing)
    caller = _tells_caller(request, route)
    return other_method() if in_form and forms.method_override_in_form(plain, kind, caller) else None


def encoded() -> Refusal:
    """The refusal of an encoded body that must be sent plain, because it is inspected."""
    return Refusal("egress", "ambiguous_request", "A body of this kind is sent plain, without Content-Encoding.")


def other_method() -> Refusal:
    """The refusal of a form that asks for another method or another user than the inspected ones."""
    message = "A field of the form names another method or another user. Use that method, and leave this field out."
    return Refusal("egress", "ambiguous_request", message)


def _looks_into_form(request: http.Request, route: Route) -> bool:
    # Frameworks read a method field only in a POST.
    disguised = request.method == "POST" and not set(route.methods) >= _DISGUISES
    has_fields = forms.has_fields(request.headers.get("content-type", ""))
    return has_fields and (disguised or _tells_caller(request, route))


def _tells_caller(request: http.Request, route: Route) -> bool:
    """Whether a field could change whom the request acts as, as headers and parameters can."""
    allowed = not route.slot or "sudo" in route.allow_headers
    return not allowed and forge_body.tells_caller(request.path)
