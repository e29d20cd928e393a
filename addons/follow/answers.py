"""Learns addresses from the responses of followed routes, and finds the requests to them. Policy: follow/named.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mitmproxy import http

from addons.follow import named as follow
from addons.follow.sent import Sent, sent_in, stands_for
from addons.frame.request import Request
from addons.frame.request_target import has_content
from claude_bottle.dlp.heard import Ears
from claude_bottle.policy.routes.follow import LINKS, REDIRECTS
from claude_bottle.policy.routes.route import Route
from claude_bottle.policy.routes.table import RouteTable

_REDIRECTS = (301, 302, 303, 307, 308)
_LIMIT, _MOST = 16 << 20, 1 << 14  # bytes of one response's text, and addresses in it
Stream = bool | Callable[[bytes], Iterable[bytes]]


@dataclass(frozen=True)
class Rule:
    """How a response is read. by, kind: as in follow.Named. hops: number of redirects that led to it."""

    by: follow.By
    kind: str
    hops: int = 0

    @classmethod
    def of(cls, route: Route | None, named: follow.Named | None) -> Rule | None:
        """For the response to a request by a route, or to a followed address; None: it is not read."""
        if named is not None:
            return cls(named.by, REDIRECTS, named.hops + 1)
        return cls((route.host, route.paths), route.follow) if route is not None and route.follow else None


def may_name(table: RouteTable, named: follow.Named) -> bool:
    """Whether the route that named an address still exists, has not expired, and may still name it."""
    kinds = {route.follow for route in table.live_routes() if (route.host, route.paths) == named.by}
    return LINKS in kinds or named.kind in kinds


class Follower:
    """One proxy's followed addresses. declared: whether a host has or had a route; then only its routes apply."""

    def __init__(self, declared: Callable[[str], bool]) -> None:
        self._declared, self._named = declared, follow.Followed()

    def finds(self, flow: http.HTTPFlow, request: Request) -> follow.Named | None:
        """Who named exactly this address, if the request is a read without content and its host has no route."""
        if has_content(flow.request) or flow.request.trailers or self._declared(request.host):
            return None
        return self._named.find(request)

    def spend(self, request: Request) -> bool:
        """As follow.Followed.spend."""
        return self._named.spend(request)

    def hear(
        self, flow: http.HTTPFlow, request: Request, response: http.Response, rule: Rule, passing: Stream
    ) -> Stream:
        """Learn from the head, and return the stream that learns from the body. passing: the stream without this."""
        if rule.hops == 0 and not follow.may_hear(request, has_content(flow.request)):
            return passing
        locations = response.headers.get_all("location")
        moved = response.status_code in _REDIRECTS and len(locations) == 1
        kind, encoding = response.headers.get("content-type", ""), response.headers.get("content-encoding", "")
        named = rule.kind == LINKS and not rule.hops and response.status_code == 200 and request.method == "GET"
        ears = Ears(kind, encoding, limit=_LIMIT, links=_MOST) if named else None
        if not moved and (ears is None or not ears.listens):
            return passing
        # A followed request has no header of the agent's, and its address was counted when it was named.
        fields = () if rule.hops else flow.request.headers.fields
        sent = sent_in(request.path, fields, "" if rule.hops else stands_for(rule.by[0], request.host), not rule.hops)
        if sent.is_too_much:
            return passing
        if moved:
            self._note(request, locations, sent, Rule(rule.by, REDIRECTS, rule.hops))
        if ears is None or not ears.listens:
            return passing

        def stream(chunk: bytes) -> Iterable[bytes]:
            if ears.listens:
                self._note(request, ears.feed(chunk, last=not chunk).urls, sent, rule)
            if callable(passing):
                return passing(chunk)
            return [chunk] if chunk else []

        return stream

    def _note(self, request: Request, urls: Iterable[str], sent: Sent, rule: Rule) -> None:
        for url in dict.fromkeys(urls):
            target = follow.target(request, url, sent)
            if target is not None and not self._declared(target.host):
                self._named.name(rule.by, rule.kind, target, rule.hops)
