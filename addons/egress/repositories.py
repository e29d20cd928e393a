"""Limits GraphQL to the repositories named by its route. Policy: claude_bottle/policy/forge/graphql/scope.py."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

from mitmproxy import http

from addons.egress.checks import refuse_repository
from addons.frame.body_encoding import body_encoding
from claude_bottle.dlp.packed.decoder import DecodeError
from claude_bottle.dlp.packed.decoders import decode, is_identity
from claude_bottle.policy.forge.fields import is_json
from claude_bottle.policy.forge.graphql.answer import learn
from claude_bottle.policy.forge.graphql.ids import KnownIds, OutsideError
from claude_bottle.policy.forge.graphql.request import Query, read_queries
from claude_bottle.policy.forge.graphql.scope import Scope
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.route import Route
from claude_bottle.policy.strict_json import read_json

_ASKED = "graphql"  # key of a flow's metadata: the scope, and the queries that it allowed
# Bytes of one response, as sent and decoded, and of all responses held at a time. No ids are learned beyond that.
_LONGEST, _IN_ALL = 1 << 20, 8 << 20
Passing = bool | Callable[[bytes], Iterable[bytes] | bytes]  # the type of mitmproxy's `stream`
Ear = Callable[[bytes], None]


class Repositories:
    """The ids in responses, by host, for one proxy. A restart forgets them, and unknown ids are refused."""

    def __init__(self) -> None:
        self._known: dict[str, KnownIds] = {}
        self._held = 0

    def refuse(self, flow: http.HTTPFlow, host: str, route: Route) -> Refusal | None:
        """Why a request with a complete body may not leave. host: canonical."""
        if route.repositories is None:
            return None
        request, body = flow.request, flow.request.raw_content or b""
        if request.stream or not is_identity(body_encoding(request.headers)):
            return refuse_repository(host, route, "its body is not sent plain and whole")
        scope = Scope(route.repositories, self._known.setdefault(host, KnownIds()))
        queries = read_queries(request.path, request.headers.get("content-type", ""), body)
        try:
            scope.check(queries, in_two_places=bool(body) and "?" in request.path)
        except OutsideError as error:
            return refuse_repository(host, route, str(error))
        flow.metadata[_ASKED] = scope, queries or []
        return None

    def listen(self, flow: http.HTTPFlow, response: http.Response) -> Ear | None:
        """A callback for the pieces of a response, and b"" at its end, which learns its ids; None if it has none."""
        scope, queries = flow.metadata.get(_ASKED, (None, []))
        if not queries or response.status_code != 200 or not is_json(response.headers.get("content-type", "")):
            return None
        encoding, length = body_encoding(response.headers), response.headers.get("content-length", "")
        whole = int(length) if length.isdecimal() and len(length) < 10 else -1
        held: list[bytes] | None = []
        size = 0

        def forget() -> None:
            nonlocal held
            taken, held = sum(map(len, held or ())), None
            self._held -= taken  # one step, because the garbage collector may call this for another flow at any time

        def ear(chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)
            if held is None:
                return
            if size > _LONGEST or self._held + len(chunk) > _IN_ALL:
                forget()
                return
            held.append(chunk)
            self._held += len(chunk)
            # With a length, the client has the complete response before the end is reported here.
            if size == whole or not chunk:
                body = b"".join(held)
                forget()
                _learn(scope, queries, body, encoding)

        weakref.finalize(flow, forget)  # a response may end before it is complete
        return ear


def heard(passing: Passing, ear: Ear | None) -> Passing:
    """The stream of a response with a listening ear. passing: the stream without it."""
    if ear is None:
        return passing

    def stream(chunk: bytes) -> Iterable[bytes] | bytes:
        ear(chunk)
        if callable(passing):
            return passing(chunk)
        return [chunk]

    return stream


def _learn(scope: Scope, queries: list[Query], body: bytes, encoding: str) -> None:
    try:
        learn(scope, queries, read_json(decode(body, encoding, _LONGEST)))
    except DecodeError:
        return  # it cannot be decoded, so no ids are learned
