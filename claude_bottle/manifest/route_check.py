"""Compares two sets of routes by evaluating both tables: requests that pass by one and not by the other. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.names.hosts import host_matches
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.expiry import ended, parse_until
from claude_bottle.policy.routes.paths import below
from claude_bottle.policy.routes.route import Route, gives_no_more, route_of, row_of
from claude_bottle.policy.routes.table import RouteTable

_NAME = "zz9"  # for a host below a wildcard, and a path below or beside a prefix
OVER = 0.0  # an end in the past, whatever the time
_PORTS = {"https": 443, "http": 80}
# Paths that need a capability of a forge, below any prefix.
_FORGE_PATHS = ("/pulls/1/merge", "/contents/f", "/keys", "/issues")


@dataclass(frozen=True)
class Asked:
    """One request, with the parts that routes judge."""

    scheme: str
    host: str
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.scheme}://{self.host}{self.path}"


def ends_at(route: EgressRoute) -> float | None:
    """The end of a route in seconds since the epoch; None if it has none."""
    return parse_until(route.until) if route.until else None


def is_over(route: EgressRoute) -> bool:
    """Whether a route has expired."""
    return ended(ends_at(route))


def table(routes: Sequence[EgressRoute], at: float = 0.0) -> RouteTable:
    """The table that egress makes of routes, as of a time. Tokens have their names instead of slots."""
    live = [not is_over(route) and (ends_at(route) or at + 1) > at for route in routes]
    pairs = zip(routes, live, strict=True)
    return RouteTable(tuple(replace(in_table(route), until=None if lives else OVER) for route, lives in pairs), "")


def in_table(route: EgressRoute) -> Route:
    """A route of the manifest as a row of egress's table."""
    return route_of(row_of(route.words))


def decide(routes: RouteTable, asked: Asked) -> Route | Refusal:
    """The table's decision about a request."""
    port = _PORTS.get(asked.scheme, 443)
    return routes.decide(scheme=asked.scheme, host=asked.host, port=port, method=asked.method, path=asked.path)


def instance(pattern: str) -> str:
    """A host that a pattern matches."""
    return f"{_NAME}.{pattern[2:]}" if pattern.startswith("*.") else pattern


def times(*sets: Sequence[EgressRoute]) -> list[float]:
    """A moment in each span in which no route of these sets ends. The first is now."""
    return [0.0, *sorted({when for routes in sets for route in routes if (when := ends_at(route)) and not ended(when)})]


def representatives(before: Sequence[EgressRoute], after: Sequence[EgressRoute]) -> Iterator[Asked]:
    """A request of each kind on which the two sets can differ: each declared host and a name below each wildcard; every
    prefix, paths below and beside it, and other spellings; every method that is named.

    All use https: a request that passes without a credential passes by http too, and one with a credential never does.
    Hosts with the same routes in both sets are left out.
    """
    routes = [*before, *after]
    for host in dict.fromkeys(instance(route.host) for route in routes):
        was, now = ([route for route in one if host_matches(route.host, host)] for one in (before, after))
        if was != now:
            methods = dict.fromkeys(method for route in (*was, *now) for method in route.methods)
            for path in dict.fromkeys(_paths([*was, *now])):
                yield from (Asked("https", host, method, path) for method in methods)


def _paths(routes: Sequence[EgressRoute]) -> Iterator[str]:
    """Paths, plain ones first, because one of these is named in messages."""
    yield from (prefix for route in routes for prefix in route.path)
    yield from ("/", f"/{_NAME}", f"/{_NAME}?q=1", f"/{_NAME}%2F{_NAME}", f"/{_NAME}/../x", "*")
    forge = any(route.forge for route in routes)
    for prefix in dict.fromkeys(prefix for route in routes for prefix in route.path or ["/"]):
        bare = prefix.rstrip("/")
        yield from (prefix, bare or "/", f"{bare}/", f"{bare}/{_NAME}", f"{bare}/{_NAME}/{_NAME}", f"{prefix}{_NAME}")
        yield from (f"/{prefix}", prefix.swapcase(), f"{bare};{_NAME}", f"{bare}./{_NAME}", f"{bare}%2F{_NAME}")
        yield f"{bare.rpartition('/')[0]}/"
        yield from (f"{bare}{suffix}" for suffix in _FORGE_PATHS if forge)


def lost(before: Sequence[EgressRoute], after: Sequence[EgressRoute]) -> Asked | None:
    """A request that passes by the first set and not by the second, or with another credential; None if there is none.

    Evaluated at every time, because routes end.
    """
    asked = list(representatives(before, after))
    for at in times(before, after):
        was, now = table(before, at), table(after, at)
        for one in asked:
            passed = decide(was, one)
            if isinstance(passed, Route) and not _goes_on(passed, decide(now, one)):
                return one
    return None


def gained(before: Sequence[EgressRoute], after: Sequence[EgressRoute], wish: EgressRoute) -> Asked | None:
    """A request that passes only by the second set, or may do more, and that the wish does not name; None if there is
    none. The wish also names a request with two readings if one passed before and the wish names the other.
    """
    for at in times(before, after):
        was, now = table(before, at), table(after, at)
        for one in representatives(before, after):
            new = decide(now, one)
            if not isinstance(new, Route):
                continue
            old = decide(was, one)
            if not (_names(wish, one, old, new) if isinstance(old, Refusal) else _lends(wish, one, old, new)):
                return one
    return None


def _lends(wish: EgressRoute, asked: Asked, was: Route, by: Route) -> bool:
    """Whether a request that passed before may do no more, or only what the wish names for it."""
    more = by.forge - was.forge
    named = asked.method in wish.methods and host_matches(wish.host, asked.host) and more <= set(wish.forge)
    return (not more or named) and gives_no_more(by, was, "forge")


def _names(wish: EgressRoute, asked: Asked, was: Refusal, by: Route) -> bool:
    path, two_ways = asked.path.partition("?")[0], was.reason == "ambiguous_path"
    path_fits = two_ways or not wish.path or any(prefix == "/" or below(prefix, path) for prefix in wish.path)
    rest = asked.method in wish.methods and (by.slot, by.auth_scheme) == (wish.token_ref, wish.scheme)
    rest = rest and host_matches(wish.host, asked.host) and gives_no_more(by, in_table(wish), "forge")
    return path_fits and rest


def needless(routes: Sequence[EgressRoute], index: int) -> bool:
    """Whether one route has no effect: without it nothing passes more or less, and no more credentials are stripped."""
    without = [*routes[:index], *routes[index + 1 :]]
    alike = lost(routes, without) is None and lost(without, routes) is None
    return alike and strips_more(without, routes) is None


def strips_more(before: Sequence[EgressRoute], after: Sequence[EgressRoute]) -> str | None:
    """A host on which a credential of the agent's would now be stripped; None if there is none."""
    was, now = table(before), table(after)
    for host in dict.fromkeys(instance(route.host) for route in (*before, *after)):
        if was.candidates(host) and now.injected_headers(host) - was.injected_headers(host):
            return host
    return None


def _goes_on(before: Route, after: Route | Refusal) -> bool:
    """Whether a request still passes, with the same credential and no fewer rights."""
    return (
        isinstance(after, Route)
        and (after.slot, after.auth_scheme) == (before.slot, before.auth_scheme)
        and set(after.methods) >= set(before.methods)  # a form may ask for another method if all are allowed
        and gives_no_more(before, after)
    )
