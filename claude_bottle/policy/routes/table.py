"""The egress policy: which request may leave, and what is put into it. Pure: no pulumi, no mitmproxy.

Order of decisions (the addon follows it): introspection host, git push, route match, strip, inject.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from claude_bottle.policy.forge import api as forge_api
from claude_bottle.policy.names.hosts import canonical_pattern, host_matches
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.follow import KINDS, READS
from claude_bottle.policy.routes.injection import SLOT, auth_header
from claude_bottle.policy.routes.paths import by_path, unclear_path
from claude_bottle.policy.routes.targets import check_target, checked_path, is_git_push_request
from claude_bottle.policy.routes.until import ended, parse_until, write_until

INTROSPECTION_HOST = "_egress.local"
TABLE_VERSION = 1
DEFAULT_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ALLOWED_PORTS = {"https": 443, "http": 80}

_METHOD = re.compile(r"[A-Z][A-Z-]{0,30}\Z")


class TableError(ValueError):
    """A route table that is not understood as a whole; the message says where."""


@dataclass(frozen=True)
class Route:
    """One declared way out. Empty `paths` stands for every path. until: seconds since the epoch; from then on it lets
    nothing through, and holds its place: what a wider route allows does not fill it.

    allow_headers: lower-case names that the owner lets through (frame/request_rules.py). allow_ranges: whether Range
    may pass where a token is put in. inspected: whether pipelock reads what is sent there. forge: the capabilities of
    policy/forge/api.py that the owner has named. placeholders: names of the variables that stand for its token in the
    agent's environment. own_credentials: whether a request may bring a credential of its own in place of the owner's.
    follow: what of its answers may be followed to hosts without a route, one of addons/follow/named.py's kinds, or "".
    repositories: what its GraphQL may name, `owner/name` in lower case (policy/forge/graphql_scope.py); None: anything.
    """

    host: str
    paths: tuple[str, ...] = ()
    methods: tuple[str, ...] = DEFAULT_METHODS
    auth_scheme: str | None = None
    slot: str | None = None
    description: str = ""
    until: float | None = None
    allow_headers: frozenset[str] = frozenset()
    allow_ranges: bool = False
    inspected: bool = False
    forge: frozenset[str] = frozenset()
    placeholders: frozenset[str] = frozenset()
    own_credentials: bool = False
    follow: str = ""
    repositories: frozenset[str] | None = None


@dataclass(frozen=True)
class RouteTable:
    """A validated set of routes; `digest` is the SHA-256 of the bytes it was read from."""

    routes: tuple[Route, ...]
    digest: str

    @classmethod
    def parse(cls, data: bytes) -> RouteTable:
        """Read the JSON table. Raises TableError unless every part of it is understood."""
        try:
            table = json.loads(data)
        except ValueError as error:
            raise TableError(f"the route table is not JSON: {error}") from error
        if not isinstance(table, dict) or set(table) != {"version", "routes"} or table["version"] != TABLE_VERSION:
            raise TableError(f"the route table is not an object of version {TABLE_VERSION} with routes")
        if not isinstance(table["routes"], list):
            raise TableError("routes is not a list")
        return cls(tuple(_route(i, item) for i, item in enumerate(table["routes"])), hashlib.sha256(data).hexdigest())

    def candidates(self, host: str) -> list[Route]:
        """Routes of the most specific pattern that stands for the host: an exact name before the longest wildcard.

        Those that have ended are among them.
        """
        patterns = {route.host for route in self.routes if host_matches(route.host, host)}
        if not patterns:
            return []
        best = max(patterns, key=lambda pattern: (not pattern.startswith("*."), len(pattern)))
        return [route for route in self.routes if route.host == best]

    def live_routes(self) -> list[Route]:
        """The routes whose time has not ended."""
        return [route for route in self.routes if not ended(route.until)]

    def injected_headers(self, host: str) -> frozenset[str]:
        """Lower-case names of the headers that some route of this host fills in, or did before it ended."""
        return frozenset(auth_header(r.auth_scheme) for r in self.candidates(host) if r.auth_scheme)

    def slots(self, host: str) -> frozenset[str]:
        """The slots of the tokens that some route of this host puts in, or did before it ended."""
        return frozenset(route.slot for route in self.candidates(host) if route.slot)

    def placeholders(self, host: str | None = None) -> frozenset[str]:
        """The names of the placeholders of a host, or of all hosts; those of ended routes are among them."""
        routes = self.routes if host is None else self.candidates(host)
        return frozenset().union(*(route.placeholders for route in routes))

    def decide(self, *, scheme: str, host: str, port: int, method: str, path: str) -> Route | Refusal:
        """The route that carries the request, or why there is none. `host` is canonical; `path` has its query."""
        if is_git_push_request(path):
            return _refuse(
                "git_push",
                "git push over HTTP is refused on every host. Push to the git-gate remote instead: "
                "git://git-gate/<name>.git, which scans the commits and forwards them upstream.",
            )
        routes = self.candidates(host)
        if all(ended(route.until) for route in routes):
            over = ", or what was declared has ended" if routes else ""
            return _refuse("host_not_declared", f"{host} is not among the declared routes of this bottle{over}.")
        if ALLOWED_PORTS.get(scheme) != port:
            return _refuse("port_not_allowed", f"{scheme} leaves on port {ALLOWED_PORTS.get(scheme, 443)} only.")
        unclear = check_target(path)
        if unclear is not None:
            return _refuse("ambiguous_path", unclear)
        readings = by_path(routes, path)
        if isinstance(readings, Refusal):
            return readings
        return carried(readings, scheme, host, method, forge_api.needed(method, path, host))

    def describe(self) -> dict[str, object]:
        """What the agent may know of the table: no slot, no token."""
        return {
            "digest": self.digest,
            "routes": [
                {
                    "host": r.host,
                    "paths": list(r.paths),
                    "methods": list(r.methods),
                    "credential": "injected" if r.slot else "none",
                    **({"placeholder": sorted(r.placeholders)} if r.placeholders else {}),
                    **({"own_credentials": "pass"} if r.own_credentials else {}),
                    **({"follow": r.follow} if r.follow else {}),
                    **({"repositories": sorted(r.repositories)} if r.repositories is not None else {}),
                    "description": r.description,
                    **({"until": write_until(r.until)} if r.until is not None else {}),
                }
                for r in self.live_routes()
            ],
        }


def _refuse(reason: str, message: str) -> Refusal:
    return Refusal("egress", reason, message)


def carried(
    readings: Sequence[list[Route]], scheme: str, host: str, method: str, needed: str | None
) -> Route | Refusal:
    """The route that carries a method, or why none does. readings: as of `by_path`. needed: the forge's capability."""
    verdicts = [_carried(matched, scheme, host, method, needed) for matched in readings]
    if len(verdicts) == 1:
        return verdicts[0]
    # Servers read this path in more than one way: it passes if each reading passes, and with the same credential.
    return _narrowest(verdicts) or unclear_path(host)


def _carried(matched: list[Route], scheme: str, host: str, method: str, needed: str | None) -> Route | Refusal:
    matched = [route for route in matched if not ended(route.until)]
    if not matched:
        return _refuse("path_not_declared", f"What was declared for this path of {host} has ended.")
    if needed is not None and not any(needed in route.forge for route in matched):
        return refuse_forge(host, needed)  # before the method: with that alone the agent would be refused again
    carrying = [route for route in matched if method in route.methods]
    if carrying and needed is not None:
        # Nobody lends a capability to another route's credential.
        carrying = [route for route in carrying if needed in _granted(route, carrying)]
        if not carrying:
            return refuse_forge(host, needed)
    if carrying:
        route = carrying[0]
        if route.slot and scheme != "https":
            return _refuse("tls_required", f"{host} has an injected credential, so it is reached by https only.")
        return replace(route, forge=_granted(route, carrying), repositories=_nameable(route, carrying))
    methods = ", ".join(sorted({m for route in matched for m in route.methods}))
    return _refuse("method_not_declared", f"{method} is not declared for this path of {host}; declared: {methods}.")


def _narrowest(verdicts: list[Route | Refusal]) -> Route | None:
    """What all of them allow with one credential; None if one refuses, or has another credential."""
    routes = [verdict for verdict in verdicts if isinstance(verdict, Route)]
    if len(routes) < len(verdicts) or len({(route.slot, route.auth_scheme) for route in routes}) > 1:
        return None
    limits = [route.repositories for route in routes if route.repositories is not None]
    return replace(
        routes[0],
        methods=tuple(m for m in routes[0].methods if all(m in route.methods for route in routes)),
        allow_headers=frozenset.intersection(*(route.allow_headers for route in routes)),
        allow_ranges=all(route.allow_ranges for route in routes),
        forge=frozenset.intersection(*(route.forge for route in routes)),
        own_credentials=all(route.own_credentials for route in routes),
        follow=routes[0].follow if len({route.follow for route in routes}) == 1 else "",
        repositories=frozenset.intersection(*limits) if limits else None,
    )


def _granted(route: Route, others: list[Route]) -> frozenset[str]:
    """The capabilities that routes with this route's credential name."""
    same = [other.forge for other in others if (other.slot, other.auth_scheme) == (route.slot, route.auth_scheme)]
    return frozenset().union(*same)


def _nameable(route: Route, others: list[Route]) -> frozenset[str] | None:
    """The repositories that routes with this route's credential name; None where one of them lets any be named."""
    same = [
        other.repositories for other in others if (other.slot, other.auth_scheme) == (route.slot, route.auth_scheme)
    ]
    limits = [one for one in same if one is not None]
    return frozenset().union(*limits) if len(limits) == len(same) else None


def refuse_forge(host: str, capability: str) -> Refusal:
    """The refusal of a call to a forge's API that needs a capability which no route names."""
    means = forge_api.CAPABILITIES[capability]
    return Refusal(
        "egress",
        "forge_write",
        f"This call of {host} can {means}, so it is refused. Push code to the git-gate remote, "
        f"git://git-gate/<name>.git; for anything else ask for the route with forge: [{capability}].",
        forge=capability,
    )


def _route(index: int, item: object) -> Route:
    where = f"routes[{index}]"
    known = {"host", "paths", "methods", "auth_scheme", "slot", "description", "until"}
    known |= {"allow_headers", "allow_ranges", "inspected", "forge", "placeholders", "own_credentials", "follow"}
    known |= {"repositories"}
    if not isinstance(item, dict) or not set(item) <= known or not isinstance(item.get("host"), str):
        raise TableError(f"{where} is not an object with a host and no other keys than {sorted(known)}")
    try:
        host = canonical_pattern(item["host"])
    except ValueError as error:
        raise TableError(f"{where}.host: {error}") from error
    paths, methods = item.get("paths", []), item.get("methods", list(DEFAULT_METHODS))
    if not isinstance(paths, list) or not all(isinstance(p, str) and p == checked_path(p) for p in paths):
        raise TableError(f"{where}.paths: not a list of plain absolute paths")
    if (
        not isinstance(methods, list)
        or not methods
        or not all(isinstance(m, str) and _METHOD.match(m) for m in methods)
    ):
        raise TableError(f"{where}.methods: not a list of method names")
    scheme, slot = item.get("auth_scheme"), item.get("slot")
    if (scheme is None) != (slot is None):
        raise TableError(f"{where}: auth_scheme and slot go together")
    if slot is not None and (not isinstance(slot, str) or not SLOT.match(slot) or auth_header(scheme) == ""):
        raise TableError(f"{where}: unknown slot or auth_scheme")
    try:
        until = parse_until(str(item["until"])) if "until" in item else None
    except ValueError as error:
        raise TableError(f"{where}.until: {error}") from error
    headers, flags = item.get("allow_headers", []), (item.get("allow_ranges", False), item.get("inspected", False))
    if not isinstance(headers, list) or not all(isinstance(h, str) and auth_header(f"header:{h}") for h in headers):
        raise TableError(f"{where}.allow_headers: not a list of header names")
    if not all(isinstance(flag, bool) for flag in flags):
        raise TableError(f"{where}: allow_ranges and inspected are true or false")
    forge = item.get("forge", [])
    if not isinstance(forge, list) or not set(forge) <= set(forge_api.CAPABILITIES):
        raise TableError(f"{where}.forge: not a list of {', '.join(forge_api.CAPABILITIES)}")
    names, own = item.get("placeholders", []), item.get("own_credentials", "refuse")
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise TableError(f"{where}.placeholders: not a list of names")
    if own not in ("refuse", "pass"):
        raise TableError(f"{where}.own_credentials: refuse or pass")
    follow = item.get("follow", "")
    if follow not in ("", *KINDS) or (follow and (slot is not None or not set(methods) <= set(READS))):
        raise TableError(f"{where}.follow: {' or '.join(KINDS)}, for GET and HEAD without a slot")
    named = item.get("repositories")
    if named is not None and (not isinstance(named, list) or not all(isinstance(n, str) and "/" in n for n in named)):
        raise TableError(f"{where}.repositories: not a list of owner/name")
    described = str(item.get("description", ""))
    allowed = frozenset(h.lower() for h in headers)
    return Route(
        host, tuple(paths), tuple(methods), scheme, slot, described, until, allowed, *flags, frozenset(forge),
        frozenset(names), own == "pass", follow, None if named is None else frozenset(n.lower() for n in named),
    )  # fmt: skip
