"""The egress policy: which request may leave, and what is put into it. Pure: no pulumi, no mitmproxy.

Order of decisions (the addon follows it): introspection host, git push, route match, strip, inject.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from dataclasses import dataclass
from urllib.parse import unquote

from addons.hosts import canonical_pattern, host_matches
from addons.injection import SLOT, auth_header
from addons.refusal import Refusal
from addons.until import ended, parse_until, write_until

INTROSPECTION_HOST = "_egress.local"
TABLE_VERSION = 1
DEFAULT_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ALLOWED_PORTS = {"https": 443, "http": 80}

_METHOD = re.compile(r"[A-Z][A-Z-]{0,30}\Z")


class TableError(ValueError):
    """A route table that is not understood as a whole; the message says where."""


@dataclass(frozen=True)
class Route:
    """One declared way out. Empty `paths` stands for every path. until: seconds since the epoch; then it is gone."""

    host: str
    paths: tuple[str, ...] = ()
    methods: tuple[str, ...] = DEFAULT_METHODS
    auth_scheme: str | None = None
    slot: str | None = None
    description: str = ""
    until: float | None = None


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
        """Routes of the most specific pattern that stands for the host: an exact name before the longest wildcard."""
        there = self.live_routes()
        patterns = {route.host for route in there if host_matches(route.host, host)}
        if not patterns:
            return []
        best = max(patterns, key=lambda pattern: (not pattern.startswith("*."), len(pattern)))
        return [route for route in there if route.host == best]

    def live_routes(self) -> list[Route]:
        """The routes whose time has not ended."""
        return [route for route in self.routes if not ended(route.until)]

    def injected_headers(self, host: str) -> frozenset[str]:
        """Lower-case names of the headers that some route of this host fills in."""
        return frozenset(auth_header(r.auth_scheme) for r in self.candidates(host) if r.auth_scheme)

    def decide(self, *, scheme: str, host: str, port: int, method: str, path: str) -> Route | Refusal:
        """The route that carries the request, or why there is none. `host` is canonical; `path` has its query."""
        if is_git_push_request(path):
            return _refuse(
                "git_push",
                "git push over HTTP is refused on every host. Push to the git-gate remote instead: "
                "git://git-gate/<name>.git, which scans the commits and forwards them upstream.",
            )
        routes = self.candidates(host)
        if not routes:
            return _refuse("host_not_declared", f"{host} is not among the declared routes of this bottle.")
        if ALLOWED_PORTS.get(scheme) != port:
            return _refuse("port_not_allowed", f"{scheme} leaves on port {ALLOWED_PORTS.get(scheme, 443)} only.")
        matched = _by_path(routes, path)
        if isinstance(matched, Refusal):
            return matched
        for route in matched:
            if method in route.methods:
                if route.slot and scheme != "https":
                    return _refuse(
                        "tls_required", f"{host} has an injected credential, so it is reached by https only."
                    )
                return route
        methods = ", ".join(sorted({m for route in matched for m in route.methods}))
        return _refuse("method_not_declared", f"{method} is not declared for this path of {host}; declared: {methods}.")

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
                    "description": r.description,
                    **({"until": write_until(r.until)} if r.until is not None else {}),
                }
                for r in self.live_routes()
            ],
        }


def _refuse(reason: str, message: str) -> Refusal:
    return Refusal("egress", reason, message)


def _route(index: int, item: object) -> Route:
    where = f"routes[{index}]"
    known = {"host", "paths", "methods", "auth_scheme", "slot", "description", "until"}
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
    return Route(host, tuple(paths), tuple(methods), scheme, slot, str(item.get("description", "")), until)


def checked_path(path: str) -> str | None:
    """The path as every server reads it, or None where servers differ.

    None for dot segments (plain, encoded, with parameters), encoded slashes, backslashes, percent signs and control
    characters: with any of these, the prefix that is compared here need not be the one that the upstream serves.
    """
    raw = path.partition("?")[0].partition("#")[0]
    if not raw.startswith("/") or not raw.isascii() or "\\" in raw or re.search(r"%(?![0-9A-Fa-f]{2})", raw):
        return None
    if re.search(r"%(?:2f|5c|25|[01][0-9a-f]|7f)|[\x00-\x20\x7f]", raw, re.IGNORECASE):
        return None
    plain = unquote(raw, errors="surrogateescape")
    if any(segment.partition(";")[0] in (".", "..") for segment in plain.split("/")):
        return None
    return plain


def _by_path(routes: list[Route], path: str) -> list[Route] | Refusal:
    host = routes[0].host
    if not any(route.paths for route in routes):
        return routes
    plain = checked_path(path)
    if plain is None:
        return _refuse("ambiguous_path", f"{host} has path rules, and this path can be read in more than one way.")
    best = -1
    found: list[Route] = []
    for route in routes:
        longest = max((len(p) for p in route.paths or ("",) if _below(p, plain)), default=-1)
        if longest > best:
            best, found = longest, [route]
        elif longest == best and longest >= 0:
            found.append(route)
    return found or _refuse("path_not_declared", f"This path of {host} is not among the declared ones.")


def _below(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(prefix if prefix.endswith("/") or not prefix else prefix + "/")


def is_git_push_request(path: str) -> bool:
    """True for both requests of a smart-HTTP push, however they are spelled; fetch and clone are not pushes.

    A push asks for `…/info/refs?service=git-receive-pack` and posts to `…/git-receive-pack` (gitprotocol-http(5)).
    """
    location, _, query = path.partition("?")
    for _ in range(5):  # until nothing is left to decode; deeper nesting than this no server undoes
        location, query = unquote(location, errors="replace"), unquote(query.replace("+", " "), errors="replace")
    location = re.sub(r"[\x00-\x20\x7f]", "", location.replace("\\", "/").lower())
    bare = "/".join(segment.partition(";")[0] for segment in location.partition("#")[0].partition("?")[0].split("/"))
    last = posixpath.normpath("/" + bare)
    if last.endswith("/git-receive-pack"):
        return True
    return last.endswith("/info/refs") and "git-receive-pack" in (query + location).lower()
