"""The smallest addition to a manifest's routes that allows one wish. Pure.

Guaranteed by evaluating both tables (manifest/route_check.py) for an agent's wish: the wish passes, and whatever passed
before still passes with the same credential, at every time. Nothing else is gained, because routes that a new prefix or
a new exact host would shadow are copied there. docs/manifest.md defines how paths and methods match.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from claude_bottle.manifest.route_check import (
    Asked,
    decide,
    gained,
    in_table,
    instance,
    is_over,
    lost,
    strips_more,
    table,
)
from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.names.hosts import host_matches
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.expiry import parse_until
from claude_bottle.policy.routes.paths import below, most_specific
from claude_bottle.policy.routes.route import gives_no_more

Credential = tuple[str | None, str | None]


class EditError(ValueError):
    """No edit grants the wish without removing access or allowing more. The message says why."""


@dataclass(frozen=True)
class Edit:
    """changed: index of a route to its replacement. added: routes to append. notes: for the owner."""

    changed: Mapping[int, EgressRoute]
    added: tuple[EgressRoute, ...]
    notes: tuple[str, ...] = ()

    def on(self, routes: Sequence[EgressRoute]) -> list[EgressRoute]:
        """The routes with this edit."""
        return [*(self.changed.get(index, route) for index, route in enumerate(routes)), *self.added]


def credential_around(routes: Sequence[EgressRoute], wish: EgressRoute) -> tuple[EgressRoute, str]:
    """The wish with the credential of the routes around it on the same host, and a remark about it for the owner.

    It gets none if there are no routes around it, or if they have different credentials.
    """
    own = [route for route in routes if route.host == wish.host]
    around = [route for path in wish.path or [""] for route in _live(_around(own, path))]
    if all(any(method in route.methods for route in around) for method in wish.methods):
        around = [route for route in around if not set(route.methods).isdisjoint(wish.methods)]
    if len({_credential(route) for route in around}) == 1:
        return _copy(wish, token_ref=around[0].token_ref, auth_scheme=around[0].auth_scheme), ""
    others = sorted({route.token_ref for route in _live(own) if route.token_ref})
    note = (
        f"requests to other paths of {wish.host} get your {' or '.join(others)}; requests to this one get no credential"
        if others
        else ""
    )
    return _copy(wish, token_ref=None, auth_scheme=None), note


def smallest(routes: Sequence[EgressRoute], wish: EgressRoute, *, owner: bool = False) -> Edit:
    """The edit that grants a wish: host, paths, methods, credential, capabilities, end. Raises EditError.

    owner: the wish is in the owner's own words. Then it may change the credential of what passes already, and access
    that it removes is noted instead of refused.
    """
    edit = _made(routes, wish, owner)
    after = edit.on(routes)
    gone = lost(routes, after)
    if gone and not owner:
        raise EditError(f"with this, {gone} would no longer pass as it does now; edit the routes yourself")
    if not owner and (more := gained(routes, after, wish)):
        raise EditError(f"with this, {more} would also pass, which was not requested; edit the routes yourself")
    notes = [*_ends(wish, edit, after), *(_exceptions(routes, wish) if after != list(routes) else ())]
    if gone:
        notes.append(f"this removes access: {gone} no longer passes as it does now")
    if host := strips_more(routes, after):
        notes.append(f"requests to {host} with a credential of the agent's own are refused from now on")
    return Edit(edit.changed, edit.added, (*notes, *_does_not_pass(after, wish)))


def _made(routes: Sequence[EgressRoute], wish: EgressRoute, owner: bool) -> Edit:
    """The edit. Expired routes keep their place, so that no other route takes or loses effect when a route expires."""
    after = _longer(list(routes), wish)
    for path in _prefixes(routes, wish):
        after = _give(after, wish, path, owner)
    return _as_edit(routes, after)


def _prefixes(routes: Sequence[EgressRoute], wish: EgressRoute) -> list[str]:
    """The prefixes of a wish, shortest first. Raises EditError if routes of the host have both `/` and no path.

    Both mean the same to people, but they conflict in a manifest, so the wish is written as the host's routes are.
    """
    base = [route for route in routes if route.host == wish.host] or _wider(routes, wish.host)
    whole, slash = any(not route.path for route in base), any("/" in route.path for route in base)
    everywhere = "" if whole else "/" if slash else None
    prefixes = sorted(wish.path, key=len) or [""]
    if whole and slash and not {"", "/"}.isdisjoint(prefixes):
        raise EditError(f"the routes of {wish.host} have both the path / and no path; merge them first")
    return [everywhere if path in ("", "/") and everywhere is not None else path for path in prefixes]


def _does_not_pass(after: Sequence[EgressRoute], wish: EgressRoute) -> Iterator[str]:
    routes = table(after)
    for path in (wish.path or ["/"]) if not is_over(wish) else ():
        for method in wish.methods:
            verdict = decide(routes, Asked("https", instance(wish.host), method, path))
            if isinstance(verdict, Refusal) and (wish.path or verdict.reason == "forge_write"):
                if verdict.reason != "forge_write":
                    raise EditError(f"no route allows {method} {path}: {verdict.message}")
                yield f"{method} of {path} itself stays refused: {verdict.message}"


def _give(routes: list[EgressRoute], wish: EgressRoute, path: str, owner: bool) -> list[EgressRoute]:
    """The routes, changed or appended to for one path of the wish. The given ones keep their index."""
    own, wider = [route for route in routes if route.host == wish.host], _wider(routes, wish.host)
    around = _around(own or wider, path)
    missing = [m for m in wish.methods if not _passes(_live(around), m, wish, owner)]
    if not missing:
        return routes
    copied = [] if own else [_copy(route, host=wish.host) for route in wider]
    if copied:
        around = _around(copied, path)
    in_place = any(path in (route.path or [""]) for route in around)
    around = _live(around)
    kept = [] if in_place else [_copy(route, path=[path]) for route in around]
    paths = [path] if path else []
    lent: list[EgressRoute] = []
    for route in around:
        given = {m for other in lent for m in other.methods}
        again = [m for m in missing if m in route.methods and m not in given]
        if owner and _credential(route) != _credential(wish):
            continue
        if again and _credential(route) != _credential(wish):
            raise EditError(f"{' and '.join(again)} has another credential there than the rest; ask for it separately")
        if again:  # a copy with the capabilities, which expires without affecting the original
            lent.append(_copy(route, path=paths, methods=again, forge=wish.forge, until=wish.until))
    plain = [m for m in missing if not any(m in route.methods for route in lent)]
    if owner and not in_place:
        kept = [_copy(route, methods=left) for route in kept if (left := [m for m in route.methods if m not in plain])]
    after = [*routes, *copied]
    if not plain:
        return [*after, *kept, *lent]
    new = _copy(wish, path=paths, methods=plain)
    for places in (after, kept):
        for index, route in enumerate(places):
            if _same(route, new, "methods", "description"):
                description = route.description if places is after else new.description
                places[index] = _copy(route, methods=[*route.methods, *plain], description=description)
                return [*after, *kept, *lent]
    return [*after, *kept, *lent, new]


def _passes(around: Sequence[EgressRoute], method: str, wish: EgressRoute, owner: bool) -> bool:
    """Whether the routes around a path already allow a method, with everything that the wish names."""
    carrying = [route for route in around if method in route.methods]
    if not carrying or (owner and _credential(carrying[0]) != _credential(wish)):
        return False
    granted = {one for route in carrying if _credential(route) == _credential(carrying[0]) for one in route.forge}
    named = not owner or gives_no_more(in_table(wish), in_table(carrying[0]), "forge", "own_credentials")
    return set(wish.forge) <= granted and named


def _wider(routes: Sequence[EgressRoute], host: str) -> list[EgressRoute]:
    """The routes of the longest other wildcard that matches a host, or everything below a wildcard."""
    patterns = [r.host for r in routes if r.host != host and host_matches(r.host, host.removeprefix("*."))]
    best = max((pattern for pattern in patterns if pattern.startswith("*.")), key=len, default=None)
    return [route for route in routes if route.host == best]


def _around(routes: Sequence[EgressRoute], path: str) -> list[EgressRoute]:
    """The routes that apply to a path now."""
    rules = [in_table(route) for route in routes]
    chosen = {id(rule) for rule in most_specific(rules, path)}
    return [route for route, rule in zip(routes, rules, strict=True) if id(rule) in chosen]


def _longer(routes: list[EgressRoute], wish: EgressRoute) -> list[EgressRoute]:
    """The routes, with a later end for the wished route if it exists and ends too early."""
    for index, route in enumerate(routes):
        later = route.until and (wish.until is None or parse_until(wish.until) > parse_until(route.until))
        if later and not is_over(route) and _same(route, wish, "until", "description"):
            return [*routes[:index], _copy(route, until=wish.until), *routes[index + 1 :]]
    return routes


def _as_edit(before: Sequence[EgressRoute], after: Sequence[EgressRoute]) -> Edit:
    changed = {index: after[index] for index, route in enumerate(before) if after[index] != route}
    added: list[EgressRoute] = []
    for route in after[len(before) :]:
        # An expired route is revived in its own place. Paths with equal rules are merged into one route.
        over = (i for i, old in enumerate(before) if is_over(old) and _same(old, route, "until", "description"))
        place, alike = next(over, None), next((i for i, o in enumerate(added) if _same(o, route, "path")), None)
        if place is not None:
            changed[place] = route
        elif alike is not None and route.path and added[alike].path:
            added[alike] = _copy(added[alike], path=[*dict.fromkeys([*added[alike].path, *route.path])])
        else:
            added.append(route)
    return Edit(changed, tuple(added))


def _ends(wish: EgressRoute, edit: Edit, after: Sequence[EgressRoute]) -> Iterator[str]:
    if edit.changed or edit.added:
        return
    own = [route for route in after if route.host == wish.host] or _wider(after, wish.host)
    around = [route for path in wish.path or [""] for route in _live(_around(own, path))]
    yield from (f"it already passes, until {end}" for end in sorted({r.until for r in around if r.until}))


def _exceptions(routes: Sequence[EgressRoute], wish: EgressRoute) -> Iterator[str]:
    """Remarks on existing rules that override the wish: longer prefixes, and names below a wildcard."""
    own = [route for route in routes if route.host == wish.host]
    for path in sorted({path for route in own for path in route.path} - set(wish.path)):
        around = _live(_around(own, path))
        closed = not all(any(m in route.methods for route in around) for m in wish.methods)
        if closed and any(below(wished, path) for wished in wish.path or [""]):
            yield f"below {path} your own routes apply, and nothing is added"
    for host in sorted({route.host for route in routes if route.host != wish.host}):
        if wish.host.startswith("*.") and host_matches(wish.host, host.removeprefix("*.")):
            yield f"for {host} your own routes apply, and nothing is added"


def _live(routes: Sequence[EgressRoute]) -> list[EgressRoute]:
    return [route for route in routes if not is_over(route)]


def _credential(route: EgressRoute) -> Credential:
    return route.token_ref, route.scheme


def _copy(route: EgressRoute, **changes: object) -> EgressRoute:
    return route.model_copy(update=changes)


def _same(one: EgressRoute, other: EgressRoute, *but: str) -> bool:
    """Whether two routes are equal except for some keys. The order of lists and unset defaults do not matter."""

    def comparable(route: EgressRoute) -> dict[str, object]:
        listed = {k: sorted(v) if isinstance(v, list) else v for k, v in route.model_dump().items() if k not in but}
        return {**listed, "auth_scheme": route.scheme}

    return comparable(one) == comparable(other)
