"""Hears what answers of followed routes point to, and says which requests may follow. Policy: follow/named.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mitmproxy import http

from addons.follow import named as follow
from addons.frame.request import Request
from addons.frame.request_target import has_content
from claude_bottle.dlp.heard import Ears
from claude_bottle.policy.routes.follow import LINKS, REDIRECTS
from claude_bottle.policy.routes.table import Route, RouteTable

_REDIRECTS = (301, 302, 303, 307, 308)
_LIMIT, _MOST = 16 << 20, 1 << 14  # bytes of one answer's text, and addresses in it
Stream = bool | Callable[[bytes], Iterable[bytes]]


@dataclass(frozen=True)
class Rule:
    """By what an answer is heard. by, kind: as of follow.Named. hops: how many redirects have led to it."""

    by: follow.By
    kind: str
    hops: int = 0

    @classmethod
    def of(cls, route: Route | None, named: follow.Named | None) -> Rule | None:
        """For the answer to a request by a route, or to one that follows what was named; None: nothing is heard."""
        if named is not None:
            return cls(named.by, REDIRECTS, named.hops + 1)
        return cls((route.host, route.paths), route.follow) if route is not None and route.follow else None


def may_name(table: RouteTable, named: follow.Named) -> bool:
    """Whether the route that has named an address is there, has not ended, and may name it still."""
    kinds = {route.follow for route in table.live_routes() if (route.host, route.paths) == named.by}
    return LINKS in kinds or named.kind in kinds


class Follower:
    """Of one proxy. declared: whether a host has a route, or had one: then what is declared holds, and nothing else."""

    def __init__(self, declared: Callable[[str], bool]) -> None:
        self._declared, self._named = declared, follow.Followed()

    def finds(self, flow: http.HTTPFlow, request: Request) -> follow.Named | None:
        """By whom exactly this address was named, where the request only reads it and its host has no route."""
        if has_content(flow.request) or flow.request.trailers or self._declared(request.host):
            return None
        return self._named.find(request)

    def spend(self, request: Request) -> bool:
        """As of follow.Followed."""
        return self._named.spend(request)

    def hear(
        self, flow: http.HTTPFlow, request: Request, response: http.Response, rule: Rule, passing: Stream
    ) -> Stream:
        """Note what the head points to; how the body is to be passed on. passing: how it would be without this."""
        if rule.hops == 0 and not follow.may_hear(request, has_content(flow.request)):
            return passing
        # What was followed was sent without a part of the agent's, and named with what it had then.
        sent = frozenset() if rule.hops else follow.sent_in(request.path, flow.request.headers.fields)
        locations = response.headers.get_all("location")
        if response.status_code in _REDIRECTS and len(locations) == 1:
            self._note(request, locations, sent, Rule(rule.by, REDIRECTS, rule.hops))
        if rule.kind != LINKS or rule.hops or response.status_code != 200 or request.method != "GET":
            return passing
        kind, encoding = response.headers.get("content-type", ""), response.headers.get("content-encoding", "")
        ears = Ears(kind, encoding, limit=_LIMIT, links=True)
        if not ears.listens:
            return passing

        left = _MOST

        def stream(chunk: bytes) -> Iterable[bytes]:
            nonlocal left
            if ears.listens and left:
                urls = ears.feed(chunk, last=not chunk).urls[:left]
                left -= len(urls)
                self._note(request, urls, sent, rule)
            if callable(passing):
                return passing(chunk)
            return [chunk] if chunk else []

        return stream

    def _note(self, request: Request, urls: Iterable[str], sent: follow.Sent, rule: Rule) -> None:
        for url in urls:
            found = follow.target(request, url, sent)
            if found is not None and not self._declared(found.host):
                self._named.name(rule.by, rule.kind, found, rule.hops)
