"""The egress policy: which requests may leave, and which credential is injected. Pure: no pulumi, no mitmproxy.

Order of decisions, which the addon follows: introspection host, git push, route match, strip, inject.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from claude_bottle.policy.forge.api import needed as needed_by_head
from claude_bottle.policy.forge.capabilities import CAPABILITIES, UNREADABLE
from claude_bottle.policy.names.hosts import canonical_pattern, host_matches
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.expiry import ended, write_until
from claude_bottle.policy.routes.follow import READS
from claude_bottle.policy.routes.injection import SLOT, auth_header
from claude_bottle.policy.routes.paths import by_path, unclear_path
from claude_bottle.policy.routes.route import FIELDS, Route, narrowest, route_of, with_lent
from claude_bottle.policy.routes.targets import check_target, is_git_push_request

INTROSPECTION_HOST = "_egress.local"
TABLE_VERSION = 1
ALLOWED_PORTS = {"https": 443, "http": 80}


class TableError(ValueError):
    """A route table that is not understood as a whole. The message says where."""


@dataclass(frozen=True)
class RouteTable:
    """A validated set of routes. digest: SHA-256, in hexadecimal, of the bytes it was parsed from."""

    routes: tuple[Route, ...]
    digest: str

    @classmethod
    def parse(cls, data: bytes) -> RouteTable:
        """Parse the JSON table. Raises TableError unless every part of it is understood."""
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
        """The routes of the most specific pattern that matches the host: an exact name before the longest wildcard.

        Ended routes are included.
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
        """Lower-case names of the headers that some route of this host fills in, ended ones included."""
        return frozenset(auth_header(r.auth_scheme) for r in self.candidates(host) if r.auth_scheme)

    def slots(self, host: str) -> frozenset[str]:
        """The slots of the tokens that some route of this host injects, ended ones included."""
        return frozenset(route.slot for route in self.candidates(host) if route.slot)

    def placeholders(self, host: str | None = None) -> frozenset[str]:
        """The names of the placeholders of a host, or of all hosts, those of ended routes included."""
        routes = self.routes if host is None else self.candidates(host)
        return frozenset().union(*(route.placeholders for route in routes))

    def decide(self, *, scheme: str, host: str, port: int, method: str, path: str) -> Route | Refusal:
        """The route that permits the request, or why none does. `host` is canonical; `path` has its query."""
        if is_git_push_request(path):
            return _refuse(
                "git_push",
                "git push over HTTP is refused on every host. Push to the git-gate remote instead: "
                "git://git-gate/<name>.git, which scans the commits and forwards them upstream.",
            )
        routes = self.candidates(host)
        if all(ended(route.until) for route in routes):
            over = ", or its route has ended" if routes else ""
            return _refuse("host_not_declared", f"{host} is not among the declared routes of this bottle{over}.")
        if ALLOWED_PORTS.get(scheme) != port:
            return _refuse("port_not_allowed", f"{scheme} is allowed on port {ALLOWED_PORTS.get(scheme, 443)} only.")
        unclear = check_target(path)
        if unclear is not None:
            return _refuse("ambiguous_path", unclear)
        readings = by_path(routes, path)
        if isinstance(readings, Refusal):
            return readings
        return carried(readings, scheme, host, method, needed_by_head(method, path, host))

    def describe(self) -> dict[str, object]:
        """The part of the table that the agent may see: no slot, no token."""
        keys = [key for key in FIELDS.values() if key.shown]
        return {
            "digest": self.digest,
            "routes": [
                {
                    "host": r.host,
                    "paths": list(r.paths),
                    "methods": list(r.methods),
                    "credential": "injected" if r.slot else "none",
                    **{key.name: key.write(value) for key in keys if (value := getattr(r, key.column)) != key.empty},
                    "description": r.description,
                    **({"until": write_until(r.until)} if r.until is not None else {}),
                }
                for r in self.live_routes()
            ],
        }


def _refuse(reason: str, message: str) -> Refusal:
    return Refusal("egress", reason, message)


def carried(
    readings: Sequence[list[Route]], scheme: str, host: str, method: str, needed: frozenset[str]
) -> Route | Refusal:
    """The route that permits a method, or why none does. readings: from `by_path`. needed: capabilities for a forge."""
    verdicts = [_carried(matched, scheme, host, method, needed) for matched in readings]
    if len(verdicts) == 1:
        return verdicts[0]
    # Servers read this path in more than one way: it passes if each reading passes, and with the same credential.
    return _narrowest(verdicts) or unclear_path(host)


def _carried(matched: list[Route], scheme: str, host: str, method: str, needed: frozenset[str]) -> Route | Refusal:
    matched = [route for route in matched if not ended(route.until)]
    if not matched:
        return _refuse("path_not_declared", f"The route for this path of {host} has ended.")
    if missing := needed.difference(*(route.forge for route in matched)):
        return refuse_forge(host, missing)  # first, as a corrected method alone would be refused again
    carrying = [route for route in matched if method in route.methods]
    if carrying and needed:
        # No route lends a capability to another one's credential.
        carrying = [route for route in carrying if needed <= with_lent(route, carrying).forge]
        if not carrying:
            return refuse_forge(host, needed)
    if carrying:
        route = carrying[0]
        if route.slot and scheme != "https":
            return _refuse("tls_required", f"{host} has an injected credential, so only https is allowed.")
        return with_lent(route, carrying)
    methods = ", ".join(sorted({m for route in matched for m in route.methods}))
    return _refuse("method_not_declared", f"{method} is not declared for this path of {host}; declared: {methods}.")


def _narrowest(verdicts: list[Route | Refusal]) -> Route | None:
    """What all verdicts permit with one credential; None if one refuses, or if credentials differ."""
    routes = [verdict for verdict in verdicts if isinstance(verdict, Route)]
    if len(routes) < len(verdicts) or len({(route.slot, route.auth_scheme) for route in routes}) > 1:
        return None
    return narrowest(routes)


def refuse_forge(host: str, missing: frozenset[str]) -> Refusal:
    """The refusal of a call to a forge's API that needs capabilities which no route names."""
    if missing >= UNREADABLE:
        message = f"The effect of this call of {host} is ambiguous, because servers read it in more than one way."
        return Refusal("egress", "unclear_forge_call", message)
    names = [name for name in CAPABILITIES if name in missing]
    means = ", and ".join(CAPABILITIES[name] for name in names)
    return Refusal(
        "egress",
        "forge_write",
        f"This call of {host} can {means}, so it is refused. Push code to the git-gate remote, "
        f"git://git-gate/<name>.git; for anything else ask for the route with forge: [{', '.join(names)}].",
        forge=", ".join(names),
    )


def _route(index: int, item: object) -> Route:
    where = f"routes[{index}]"
    if not isinstance(item, dict) or not set(item) <= set(FIELDS) or not isinstance(item.get("host"), str):
        raise TableError(f"{where} is not an object with a host and no other keys than {sorted(FIELDS)}")
    try:
        item = {**item, "host": canonical_pattern(item["host"])}
    except ValueError as error:
        raise TableError(f"{where}.host: {error}") from error
    for name, value in item.items():
        if not FIELDS[name].holds(value):
            raise TableError(f"{where}.{name}: {FIELDS[name].wants}")
    scheme, slot = item.get("auth_scheme"), item.get("slot")
    if (scheme is None) != (slot is None):
        raise TableError(f"{where}: auth_scheme and slot go together")
    if slot is not None and (not isinstance(slot, str) or not SLOT.match(slot) or auth_header(scheme) == ""):
        raise TableError(f"{where}: unknown slot or auth_scheme")
    route = route_of(item)
    if route.follow and (slot is not None or not set(route.methods) <= set(READS)):
        raise TableError(f"{where}.follow: {FIELDS['follow'].wants}")
    return route
