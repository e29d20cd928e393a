"""Two sets of routes beside each other: what passes by one and not by the other. By evaluating both tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.names.hosts import host_matches
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.paths import below
from claude_bottle.policy.routes.route import Route, gives_no_more, route_of, row_of
from claude_bottle.policy.routes.table import RouteTable
from claude_bottle.policy.routes.until import ended, parse_until

_NAME = "zz9"  # for a host below a wildcard, and a path below or beside a prefix
OVER = 0.0  # an end that has come, whatever the time
_PORTS = {"https": 443, "http": 80}
# Some that need a capability of a forge, below any prefix.
_FORGE_PATHS = ("/pulls/1/merge", "/contents/f", "/keys", "/issues")


@dataclass(frozen=True)
class Asked:
    """One request, as far as routes look at it."""

    scheme: str
    host: str
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.scheme}://{self.host}{self.path}"


def ends_at(route: EgressRoute) -> float | None:
    """When a route ends, seconds since the epoch."""
    return parse_until(route.until) if route.until else None


def is_over(route: EgressRoute) -> bool:
    """Whether it has ended."""
    return ended(ends_at(route))


def table(routes: Sequence[EgressRoute], at: float = 0.0) -> RouteTable:
    """The table that egress makes of routes, as it stands at a time; tokens go by their names instead of slots."""
    live = [not is_over(route) and (ends_at(route) or at + 1) > at for route in routes]
    pairs = zip(routes, live, strict=True)
    return RouteTable(tuple(replace(in_table(route), until=None if lives else OVER) for route, lives in pairs), "")


def in_table(route: EgressRoute) -> Route:
    """A route of the manifest as egress has it."""
    return route_of(row_of(route.words))


def decide(routes: RouteTable, asked: Asked) -> Route | Refusal:
    """What a table says to a request."""
    port = _PORTS.get(asked.scheme, 443)
    return routes.decide(scheme=asked.scheme, host=asked.host, port=port, method=asked.method, path=asked.path)


def instance(pattern: str) -> str:
    """A host that a pattern stands for."""
    return f"{_NAME}.{pattern[2:]}" if pattern.startswith("*.") else pattern


def times(*sets: Sequence[EgressRoute]) -> list[float]:
    """A moment in each span in which no route of these ends; the first is now."""
    return [0.0, *sorted({when for routes in sets for route in routes if (when := ends_at(route)) and not ended(when)})]


def representatives(before: Sequence[EgressRoute], after: Sequence[EgressRoute]) -> Iterator[Asked]:
    """Requests of each kind that the two sets can tell apart: each declared host and a name below each wildcard; every
    prefix, below it, beside it, and spelled in other ways; every method that is named.

    By https: what passes there without a credential passes by http too, and with one never does. Hosts for which both
    have the same routes are left out.
    """
    routes = [*before, *after]
    for host in dict.fromkeys(instance(route.host) for route in routes):
        was, now = ([route for route in one if host_matches(route.host, host)] for one in (before, after))
        if was != now:
            methods = dict.fromkeys(method for route in (*was, *now) for method in route.methods)
            for path in dict.fromkeys(_paths([*was, *now])):
                yield from (Asked("https", host, method, path) for method in methods)


def _paths(routes: Sequence[EgressRoute]) -> Iterator[str]:
    """The plain ones first: one of these is named to people."""
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
    """A request that passes by the first and not by the second, or with another credential; None if there is none.

    At every time, for routes end.
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
    """A request that passes by the second alone, or may do more, and that the words of a wish do not name, or None.

    Named is one that servers read in two ways too, where one way passed before and the wish names the other.
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
    """Whether what passed before may do no more, or only what a wish names for it."""
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
    """Whether all is as it was without one route: nothing passes more, nor less, nor is taken out less."""
    without = [*routes[:index], *routes[index + 1 :]]
    alike = lost(routes, without) is None and lost(without, routes) is None
    return alike and strips_more(without, routes) is None


def strips_more(before: Sequence[EgressRoute], after: Sequence[EgressRoute]) -> str | None:
    """A host on which a credential of the agent's own would be taken out that passed before; None if there is none."""
    was, now = table(before), table(after)
    for host in dict.fromkeys(instance(route.host) for route in (*before, *after)):
        if was.candidates(host) and now.injected_headers(host) - was.injected_headers(host):
            return host
    return None


def _goes_on(before: Route, after: Route | Refusal) -> bool:
    """Whether what passed passes with the same credential and no less."""
    return (
        isinstance(after, Route)
        and (after.slot, after.auth_scheme) == (before.slot, before.auth_scheme)
        and set(after.methods) >= set(before.methods)  # a form may ask for another method where all are allowed
        and gives_no_more(before, after)
    )
