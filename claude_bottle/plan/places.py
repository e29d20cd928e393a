"""Rights that a plan gives, place by place, by evaluating its route table at every place that any rule names. Pure.

A place is a host pattern, a path prefix and a method. A place has a set of rights, each with the spans of time in which
it applies. Rules are not compared as written: two plans with different rules and the same effect have the same rights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from claude_bottle.policy.names.hosts import any_match, host_matches
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.expiry import ended, parse_until
from claude_bottle.policy.routes.injection import auth_header
from claude_bottle.policy.routes.paths import by_path
from claude_bottle.policy.routes.route import KEYS, Route, route_of, row_of
from claude_bottle.policy.routes.table import RouteTable, carried
from claude_bottle.policy.routes.values import DEFAULT_METHODS

Plan = Mapping[str, Any]
Right = tuple[str, ...]
OTHER_METHOD = "any other method"
DISGUISES = frozenset(["PUT", "PATCH", "DELETE"])  # see addons/egress/checks.py: a form may name one if all are allowed
_OVER = 0.0
_NAME = "zz9"  # for a host below a wildcard, and for a path that no rule names
UNCLEAR = f"/{_NAME}%5C{_NAME}"  # a path that servers may read as any other


@dataclass(frozen=True)
class Place:
    """method: "" for rights of the whole host. unsure: servers read the path in more than one way."""

    host: str
    path: str = ""
    method: str = ""
    unsure: bool = False


@dataclass
class Ground:
    """All that some plans distinguish. ends: future ends in seconds since the epoch, sorted."""

    plans: Sequence[Plan]
    ends: list[float] = field(init=False)
    hosts: dict[str, str] = field(init=False)  # pattern to a host that it matches and no longer pattern does

    def __post_init__(self) -> None:
        routes = [route for plan in self.plans for route in plan["egress"]["routes"]]
        times = [route.get("until") for route in routes]
        times += [when for plan in self.plans for when in plan["pipelock"]["until"].values()]
        self.ends = sorted({when for text in times if text and not ended(when := parse_until(text))})
        patterns = dict.fromkeys(route["host"] for route in routes)
        for plan in self.plans:
            pipelock = plan["pipelock"]
            for one in (*pipelock["allowlist"], *pipelock["passthrough"], *pipelock["trusted"]):
                patterns.setdefault(one)
        self.hosts = {one: _stands_for(one, patterns) for one in patterns if "." in one}  # not egress itself

    def routes(self, host: str) -> list[Mapping[str, Any]]:
        """The routes of all plans whose pattern matches a host."""
        return [route for plan in self.plans for route in plan["egress"]["routes"] if host_matches(route["host"], host)]

    def above(self, pattern: str) -> str | None:
        """The longest other pattern that matches everything that this one does."""
        name = pattern.removeprefix("*.")
        wild = [one for one in self.hosts if one.startswith("*.") and one != pattern]
        wider = [one for one in wild if host_matches(one, name)]
        return max(wider, key=len, default=None)


def rights(plan: Plan, ground: Ground) -> dict[Place, dict[Right, frozenset[int]]]:
    """Place to right to the spans in which it applies: span 0 is now, span n starts at the nth of `ground.ends`."""
    by_place: dict[Place, dict[Right, frozenset[int]]] = {}
    for span, at in enumerate([_OVER, *ground.ends]):
        look = _Look.of(plan, at)
        for pattern, host in ground.hosts.items():
            for place, right in _at_host(look, ground, pattern, host):
                held = by_place.setdefault(place, {})
                held[right] = held.get(right, frozenset()) | {span}
    return by_place


@dataclass(frozen=True)
class _Look:
    """One plan at one time."""

    plan: Plan
    table: RouteTable
    allowed: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan, at: float) -> _Look:
        pipelock = plan["pipelock"]
        over = {host for host, text in pipelock["until"].items() if _is_over(text, at)}
        allowed = tuple(one for one in pipelock["allowlist"] if one not in over)
        return cls(plan, RouteTable(tuple(planned_route(route, at) for route in plan["egress"]["routes"]), ""), allowed)

    @property
    def routed(self) -> bool:
        return bool(self.plan["agent"]["proxy"] == "egress")


def planned_route(route: Mapping[str, Any], at: float = _OVER) -> Route:
    """A route of a plan as a row of egress's table at a time. Tokens have their names instead of slots."""
    return replace(route_of(row_of(route)), until=_OVER if _is_over(route.get("until"), at) else None)


def paths(ground: Ground, host: str) -> dict[str, bool]:
    """The prefixes that rules of a host name, each also in the spelling of another, and with a suffix that some servers
    strip. Path to whether it is such a spelling.
    """
    routes = ground.routes(host)
    named = [path for route in routes for path in route["path"]]
    # `/` covers every path that servers read alike. Without a rule on paths, "" also covers the others.
    plain = dict.fromkeys(named if "/" in named and all(route["path"] for route in routes) else ["", *named], False)
    if not named:
        return plain
    spelled = [one + path[len(one) :] for path in plain for one in plain if path.lower().startswith(one.lower())]
    spelled += [f"{path.rstrip('/')};{_NAME}" for path in plain if path.rstrip("/")]
    return {**dict.fromkeys((*spelled, UNCLEAR), True), **plain}


def _at_host(look: _Look, ground: Ground, pattern: str, host: str) -> Iterator[tuple[Place, Right]]:
    pipelock = look.plan["pipelock"]
    unread = any_match(pipelock["passthrough"], host)
    if not any_match(look.allowed, host):
        return
    reached = False
    if look.routed:
        for place, right in _by_routes(look, ground, pattern, host):
            reached = True
            yield place, right
    else:
        reached = True
        pushes = unread or pipelock["engine"] != "builtin"
        for place, right in product(_everywhere(ground, pattern, host), _all_rights(ground, host, pushes)):
            yield place, right
    if not reached:
        return
    if unread:
        yield Place(pattern), ("unread",)
    if any_match(pipelock["trusted"], host):
        yield Place(pattern), ("internal",)
    injected = look.table.injected_headers(host) if look.routed else frozenset()
    if not injected:
        yield Place(pattern), ("own",)
    filled = {auth_header(route.get("auth_scheme")) for route in ground.routes(host)} - {""}
    yield from ((Place(pattern), ("own", name)) for name in sorted(filled - injected) if injected)


def _everywhere(ground: Ground, pattern: str, host: str) -> Iterator[Place]:
    for path, unsure in paths(ground, host).items():
        yield from (Place(pattern, path, method, unsure) for method in _methods(ground, host))


def _all_rights(ground: Ground, host: str, pushes: bool) -> Iterator[Right]:
    """All rights at a host of a bottle without egress, where only the host is judged."""
    yield from (("pass", ""), ("free",), ("disguise",))
    routes = ground.routes(host)
    for key in KEYS.values():
        if key.right and key.by_host:
            values = [key.read(route[key.name]) for route in routes if key.name in route]
            yield from {(key.right, *one) for value in values for one in key.rights(value)}
    yield from (("forge", name, "") for name in {name for route in routes for name in route.get("forge", ())})
    yield from _nameable(_named(routes), None)
    if pushes:
        yield ("push",)


def _by_routes(look: _Look, ground: Ground, pattern: str, host: str) -> Iterator[tuple[Place, Right]]:
    routes = look.table.candidates(host)
    named = {capability for route in routes for capability in route.forge}
    repositories = _named(ground.routes(host))
    graphql = [path for route in ground.routes(host) if route.get("repositories") for path in route["path"]]
    if not routes:
        return
    for path, unsure in paths(ground, host).items():
        readings = by_path(routes, path or f"/{_NAME}")
        if isinstance(readings, Refusal):
            continue
        for method in _methods(ground, host):
            place = Place(pattern, path, method, unsure)
            verdict = carried(readings, "https", host, method, frozenset())
            if isinstance(verdict, Route):
                # pipelock does not read the responses of passthrough hosts, so nothing is followed.
                unread = any_match(look.plan["pipelock"]["passthrough"], host)
                yield from ((place, right) for right in _rights(verdict) if right[0] != "follow" or not unread)
                if unsure or any(path.lower().startswith(one.lower()) for one in graphql):
                    yield from ((place, right) for right in _nameable(repositories, verdict.repositories))
            for capability in named:
                verdict = carried(readings, "https", host, method, frozenset([capability]))
                if isinstance(verdict, Route) and capability in verdict.forge:
                    yield place, ("forge", capability, _credential(verdict))


def _rights(route: Route) -> Iterator[Right]:
    yield "pass", _credential(route)
    if set(route.methods) >= DISGUISES:
        yield ("disguise",)
    for key in KEYS.values():
        if key.right:
            yield from ((key.right, *one) for one in key.rights(getattr(route, key.column)))


def _named(routes: Iterable[Mapping[str, Any]]) -> set[str]:
    return {name for route in routes for name in route.get("repositories", ())}


def _nameable(repositories: set[str], limit: frozenset[str] | None) -> Iterator[Right]:
    """The repositories that GraphQL may name, of all that some plan names. limit: as in Route.repositories."""
    yield from (("repository", name) for name in sorted(repositories if limit is None else limit))
    if limit is None and repositories:
        yield ("repositories",)


def _credential(route: Route) -> str:
    return f"{route.auth_scheme} {route.slot}" if route.slot else ""


def _methods(ground: Ground, host: str) -> list[str]:
    routed = all(plan["agent"]["proxy"] == "egress" for plan in ground.plans)
    more = [] if routed else [*DEFAULT_METHODS, OTHER_METHOD]
    return list(dict.fromkeys([*(method for route in ground.routes(host) for method in route["methods"]), *more]))


def _is_over(text: str | None, at: float) -> bool:
    return text is not None and (ended(end := parse_until(text)) or end <= at)


def _stands_for(pattern: str, others: Iterable[str]) -> str:
    if not pattern.startswith("*."):
        return pattern
    taken = set(others)
    names = (f"{_NAME}{'x' * more}.{pattern[2:]}" for more in range(len(taken) + 1))
    return next(name for name in names if not taken & {name, f"*.{name}"})
