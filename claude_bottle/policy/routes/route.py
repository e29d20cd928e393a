"""A route: the single declaration of its keys, and operations on one or several routes. Pure.

A new key is a field here plus the check in addons/egress that enforces it. No other place lists the keys one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from claude_bottle.policy.declared.keys import Choice, Flag, Key, Limit, Listed, Names, Time, Words, declared, keys_of
from claude_bottle.policy.forge.capabilities import CAPABILITIES
from claude_bottle.policy.routes import values
from claude_bottle.policy.routes.follow import KINDS, SAYS
from claude_bottle.policy.routes.injection import auth_header
from claude_bottle.policy.routes.targets import is_prefix

_METHOD = re.compile(r"[A-Z][A-Z-]{0,30}\Z")


@dataclass(frozen=True)
class Route:
    """One declared way out. Empty `paths` means every path. until: seconds since the epoch; from then on the route lets
    nothing through but keeps its place, so that a wider route does not replace it."""

    host: str = declared(Key(
        doc="Exact host name, or *. and a name for everything below it.",
        example="api.github.com", required=True, check=values.host_pattern, always=True, shown=False,
        asks="Exact host name, or *. and a name; default: that of the refusal.",
    ))  # fmt: skip
    paths: tuple[str, ...] = declared(Listed(
        name="path", doc="Path prefixes; empty: every path.", example="[/repos/acme]",
        check=values.path_prefix, always=True, shown=False, asks="Path prefixes, as narrow as will do.",
        fits=is_prefix, wants="not a list of plain absolute paths",
    ))  # fmt: skip
    methods: tuple[str, ...] = declared(Listed(
        doc="HTTP methods.", example="[GET, POST]", default=[*values.DEFAULT_METHODS], empty=values.DEFAULT_METHODS,
        check=values.method, bounds={"min_length": 1}, always=True, shown=False,
        fits=_METHOD.match, wants="not a list of method names", asks="HTTP methods, as few as will do.",
    ))  # fmt: skip
    auth_scheme: str | None = declared(Key(
        doc="How the token is injected: bearer (default), basic, header:<Name>, aws-sigv4:<region>/<service>.",
        example="bearer", check=values.auth_scheme, needs=values.scheme_needs, always=True, shown=False,
    ))  # fmt: skip
    slot: str | None = declared(Key(
        name="token_ref",
        doc="Name of the secret that egress injects: a secret of the stack, else a variable of the host.",
        example="GITHUB_TOKEN", check=values.token_ref, needs=values.token_needs, always=True, shown=False,
    ))  # fmt: skip
    placeholders: frozenset[str] = declared(Names(
        name="placeholder",
        doc="Variables of the agent that hold a placeholder, for programs that need a token to start; egress replaces"
        " it with the token. A single name is the same as a list of it.",
        example="[GH_TOKEN]", check=values.env_name, bounds={"max_length": 20}, also=(str, values.several),
        needs=values.placeholder_needs, fits=bool, wants="not a list of names", of_requests=False,
    ))  # fmt: skip
    own_credentials: bool = declared(Flag(
        doc="Action on a request with another credential than a placeholder, where a token is injected. pass: send it"
        " with that credential, so with somebody else's account at that host, and without yours.",
        example="pass", options=("refuse", "pass"), default="refuse", wants="refuse or pass",
        right="brings", says="may send a credential of its own instead".format,
    ))  # fmt: skip
    description: str = declared(Key(
        doc="For people and for the agent.", example="the project's repository", default="", empty="",
        check=values.plain, bounds={"max_length": 200}, always=True, shown=False,
    ))  # fmt: skip
    until: float | None = declared(Time(
        doc="UTC time at which the route ends by itself; from then on it refuses its requests.",
        example='"2026-01-31T12:00:00Z"', check=values.until, shown=False,
    ))  # fmt: skip
    # In lower case (addons/frame/request_rules.py).
    allow_headers: frozenset[str] = declared(Names(
        doc="Headers to allow that are otherwise refused or stripped (docs/headers.md).",
        example="[X-HTTP-Method-Override]", check=values.header, lower=True, sorts=False, shown=False,
        fits=lambda name: auth_header(f"header:{name}"), wants="not a list of header names",
        right="header", says="may send {}".format, widens=lambda names: f", sending {', '.join(names)}",
    ))  # fmt: skip
    allow_ranges: bool = declared(Flag(
        doc="Allow Range where a token is injected. A slice can hold part of an echoed token, or all of it if the"
        " answer is compressed.",
        example="true", shown=False, right="ranges", says="may ask for ranges".format, widens=lambda _: ", in ranges",
    ))  # fmt: skip
    follow: str = declared(Choice(
        doc="Allow the addresses that its answers name on hosts without a route: exactly those, by GET and HEAD,"
        " without a credential (docs/presets.md). links, or true: those in their text and in redirects; redirects:"
        " those in redirects alone.",
        example="redirects", options=KINDS, also=(bool, values.followed), needs=values.follow_needs,
        wants=f"{' or '.join(KINDS)}, for GET and HEAD without a slot", of_requests=False,
        # pipelock.allow alone reaches no other host.
        right="follow", says=SAYS.__getitem__, by_host=False, widens=lambda _: ", and addresses that its answers name",
    ))  # fmt: skip
    forge: frozenset[str] = declared(Names(
        doc="Actions allowed on a forge past git-gate (docs/forges.md): merge, releases, pipelines, …",
        example="[merge]", check=values.capability, sorts=False, shown=False, lends=True,
        fits=CAPABILITIES.__contains__, wants=f"not a list of {', '.join(CAPABILITIES)}",
        widens=lambda names: f", and {' and '.join(CAPABILITIES.get(str(one), str(one)) for one in names)}",
        asks="For reason forge_write: the capability that the refusal names.",
    ))  # fmt: skip
    # `owner/name` in lower case (claude_bottle/policy/forge/graphql/scope.py).
    repositories: frozenset[str] | None = declared(Limit(
        doc="Repositories of GitHub that GraphQL may name on this route; its path is then that of GraphQL alone"
        " (docs/forges.md). Empty: any that the token reaches.",
        example="[acme/project]", check=values.repository, bounds={"max_length": 50}, lower=True, lends=True,
        needs=values.repositories_need, fits=lambda name: "/" in name, wants="not a list of owner/name",
        widens=lambda names: f", in GraphQL naming {' or '.join(map(str, names))} alone",
    ))  # fmt: skip
    inspected: bool = declared(Flag(shown=False))  # whether pipelock inspects its traffic; not a key of the manifest


# By their names in the table, and in the manifest, which has only those with a documented meaning.
FIELDS: Mapping[str, Key] = keys_of(Route)
KEYS: Mapping[str, Key] = {key.name: key for key in FIELDS.values() if key.doc}


def row_of(words: Words) -> dict[str, Any]:
    """A route of a manifest or plan under the table's names, without keys that are not given."""
    return {
        key.column: value
        for key in KEYS.values()
        if (value := words.get(key.name)) is not None and (key.always or value != key.default)
    }


def route_of(item: Mapping[str, Any]) -> Route:
    """A route from its row in a table. The row must be valid."""
    return Route(**{name: FIELDS[name].read(value) for name, value in item.items()})


def gives_no_more(one: Route, other: Route, *but: str) -> bool:
    """Whether one route's keys permit a request no more than another's, some keys aside."""
    kept = [key for key in FIELDS.values() if key.of_requests and key.name not in but]
    return all(key.within(getattr(one, key.column), getattr(other, key.column)) for key in kept)


def narrowest(routes: Sequence[Route]) -> Route:
    """What all of the routes permit. Host, path and credential are those of the first."""
    common = {name: key.common([getattr(route, name) for route in routes]) for name, key in FIELDS.items()}
    methods = tuple(method for method in routes[0].methods if all(method in route.methods for route in routes))
    return replace(routes[0], **{**common, "methods": methods})


def with_lent(route: Route, others: Sequence[Route]) -> Route:
    """A route with the permissions that routes of the same credential lend it. It is itself among `others`."""
    same = [other for other in others if (other.slot, other.auth_scheme) == (route.slot, route.auth_scheme)]
    lent = {name: key.together([getattr(one, name) for one in same]) for name, key in FIELDS.items() if key.lends}
    return replace(route, **lent)
