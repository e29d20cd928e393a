"""Rights at places (claude_bottle/plan/places.py) as sentences: as few as possible, without omissions. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from claude_bottle.plan.places import DISGUISES, OTHER_METHOD, UNCLEAR, Ground, Place, Right, paths
from claude_bottle.policy.forge.capabilities import CAPABILITIES
from claude_bottle.policy.routes.expiry import write_until
from claude_bottle.policy.routes.paths import below
from claude_bottle.policy.routes.route import KEYS
from claude_bottle.policy.routes.values import DEFAULT_METHODS

Given = Mapping[Place, Mapping[Right, str]]  # place to right to words about the time
Spans = frozenset[int]
REACH, UNREAD, INTERNAL, OWN = "can reach", "not read", "internal", "own credentials"
_OF_HOST = {"unread": UNREAD, "internal": INTERNAL, "own": OWN}
_SAYS = {key.right: key.says for key in KEYS.values() if key.says}  # for rights from a route's keys


@dataclass(frozen=True)
class Line:
    """One statement about some hosts. kind: one of the four above."""

    kind: str
    hosts: str
    words: str

    def __str__(self) -> str:
        return f"{self.hosts}: {self.words}"


def when(spans: Spans, ground: Ground) -> str:
    """Start and end of the spans, in words; "" for now and without an end."""
    begin, end = min(spans, default=0), max(spans, default=0)
    since = f", from {write_until(ground.ends[begin - 1])}" if begin else ""
    return since + (f", until {write_until(ground.ends[end])}" if end < len(ground.ends) else "")


def lines(given: Given, ground: Ground, *, whole: bool = False) -> list[Line]:
    """The rights as lines, in the order of the hosts. whole: these are all rights of a plan, not a part."""
    bodies: dict[tuple[str, str], list[str]] = {}
    for pattern, host in ground.hosts.items():
        here = {place: rights for place, rights in given.items() if place.host == pattern}
        for body in dict.fromkeys([*_reached(here, ground, host, whole), *_of_host(here)]):
            bodies.setdefault(body, []).append(pattern)
    result = []
    for (kind, words), patterns in bodies.items():
        for top, but in _tops(patterns, ground.hosts, ground.above):
            result.append(Line(kind, f"{top} (but not {_or(but)})" if but else top, words))
    order = [REACH, UNREAD, INTERNAL, OWN]
    places = {pattern: index for index, pattern in enumerate(ground.hosts)}
    return sorted(result, key=lambda line: (order.index(line.kind), places[line.hosts.partition(" ")[0]]))


def _of_host(here: Given) -> Iterator[tuple[str, str]]:
    for place, rights in here.items():
        for right, time in rights.items() if not place.method else ():
            words = {
                "unread": "its traffic is not scanned for secrets",
                "internal": "may be an internal address",
                "own": f"the agent's own {right[1] if len(right) > 1 else 'credentials'} may pass",
            }[right[0]]
            yield _OF_HOST[right[0]], words + time


def _reached(here: Given, ground: Ground, host: str, whole: bool) -> Iterator[tuple[str, str]]:
    sure = [path for path, unsure in paths(ground, host).items() if not unsure]
    known = {(p.path, p.method, item) for p, rights in here.items() if not p.unsure for item in rights.items()}
    by_rights: dict[tuple[bool, str, frozenset[tuple[Right, str]]], list[str]] = {}
    for place, rights in here.items():
        # Rights at the path where a person would look are reported there.
        over = max((one for one in sure if below(one, place.path)), key=len, default="") if place.unsure else None
        left = frozenset(i for i in rights.items() if over is None or (over, place.method, i) not in known)
        if place.method and left:
            by_rights.setdefault((place.unsure, place.path, left), []).append(place.method)
    by_methods: dict[tuple[bool, frozenset[tuple[Right, str]], tuple[str, ...]], list[str]] = {}
    for (unsure, path, left), several in by_rights.items():
        by_methods.setdefault((unsure, left, tuple(several)), []).append(path)
    for (unsure, left, methods), reached in by_methods.items():
        if unsure:
            where = f"what servers may read as {' or '.join(path or 'any path' for path in reached)}"
        else:
            where = _where(reached, sure)
            if whole and UNCLEAR in paths(ground, host) and not any(place.path == UNCLEAR for place in here):
                where = where.replace("every path", "every path that servers read alike", 1)
        yield REACH, _phrase(methods, where, dict(left), whole)


def _where(reached: list[str], all_paths: list[str]) -> str:
    def above(path: str) -> str | None:
        return max((one for one in all_paths if one != path and below(one, path)), key=len, default=None)

    tops = _tops(reached, all_paths, above)
    return " or ".join(f"{path or 'every path'}{f' (but not {_or(but)})' if but else ''}" for path, but in tops)


def _or(names: list[str]) -> str:
    return " or ".join(names)


def _tops(
    names: Iterable[str], everything: Iterable[str], above: Callable[[str], str | None]
) -> Iterator[tuple[str, list[str]]]:
    """The names that are below no other of them, each with the excluded ones below it."""
    chosen, rest = set(names), [one for one in everything if above(one) is not None]
    for one in names:
        if above(one) not in chosen:
            inside = [name for name in rest if name not in chosen and _root(name, chosen, above) == one]
            yield one, inside


def _root(name: str, chosen: set[str], above: Callable[[str], str | None]) -> str | None:
    """The top from which a name is directly excluded; None if its parent is excluded itself."""
    parent = above(name)
    if parent not in chosen:
        return None
    while (upper := above(parent)) in chosen:
        parent = str(upper)
    return parent


def _phrase(methods: tuple[str, ...], where: str, rights: dict[Right, str], whole: bool) -> str:
    times = set(rights.values())
    common = times.pop() if len(times) == 1 else None
    said = [f"{_methods(methods)} on {where}"]
    passes = [right for right in rights if right[0] == "pass"]
    free = any(right[0] == "free" for right in rights)

    def add(words: str, right: Right) -> None:
        said.append(f", {words}{'' if common is not None else rights[right]}")

    for right in passes:
        if right[1] or common is None or not free:
            add(f"with {right[1]}" if right[1] else "without a credential", right)
    for right in sorted(rights):
        kind = right[0]
        if kind == "free":
            add("any request at all, because there is no egress", right)
        elif kind == "push":
            add("a git push too", right)
        elif free:
            continue
        elif says := _SAYS.get(kind):
            add(says(*right[1:]), right)
        elif kind == "forge":
            other = f" with {right[2] or 'no credential'}" if ("pass", right[2]) not in rights else ""
            add(f"MAY {CAPABILITIES.get(right[1], right[1])}{other}", right)
        elif kind == "repositories":
            add("may name any repository in GraphQL", right)
        elif kind == "repository" and ("repositories",) not in rights:
            add(f"may name {right[1]} in GraphQL", right)
        elif kind == "disguise" and not (passes and set(methods) >= DISGUISES):
            add("may name another method in a header or a form", right)
    if whole and any(right[0] == "repository" for right in rights) and ("repositories",) not in rights and not free:
        said.append(", and no other repository")
    if whole and passes and set(methods) >= DISGUISES and not free and ("disguise",) not in rights:
        said.append(", none by another's name")
    return "".join(said) + (common or "")


def _methods(methods: tuple[str, ...]) -> str:
    if set(methods) >= {*DEFAULT_METHODS, OTHER_METHOD}:
        return "any method"
    usual = [one for one in DEFAULT_METHODS if one in methods]
    rest = [one for one in methods if one not in DEFAULT_METHODS]
    return ", ".join([*(["every method"] if len(usual) == len(DEFAULT_METHODS) else usual), *rest])
