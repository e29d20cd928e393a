"""Selects a path's routes among those of its host: the longest prefix decides, in each reading of the path. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol, TypeVar

from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.targets import path_readings


class Routed(Protocol):
    """Has a host and path prefixes; no prefixes means every path."""

    @property
    def host(self) -> str: ...

    @property
    def paths(self) -> tuple[str, ...]: ...


R = TypeVar("R", bound=Routed)


def unclear_path(host: str) -> Refusal:
    """The refusal of a path whose readings are not all allowed, or not with the same credential."""
    message = f"{host} has path rules; this path can be read in more than one way, and not all are allowed alike."
    return Refusal("egress", "ambiguous_path", message)


def by_path(routes: list[R], path: str) -> tuple[list[R], ...] | Refusal:
    """A path's routes, once for each way in which servers may read the path and that leads to different routes."""
    host = routes[0].host
    if not any(route.paths for route in routes):
        return (routes,)
    readings = path_readings(path)
    if not readings:
        # Some server may read it as any path, so only requests that the host allows everywhere may pass.
        if all(route.paths for route in routes):
            return unclear_path(host)
        prefixes = dict.fromkeys(prefix for route in routes for prefix in route.paths or ("",))
        return _distinct(most_specific(routes, prefix, fold) for prefix in prefixes for fold in (False, True))
    # The last reading treats encoded slashes as letters. A prefix with an encoded slash means exactly that, whatever
    # the other reading leads to: no server has a path that is below both.
    spelled = any("%2F" in prefix and below(prefix, readings[-1]) for route in routes for prefix in route.paths)
    matches = [most_specific(routes, plain, spelled=spelled) for plain in readings]
    if not any(matches):
        return Refusal("egress", "path_not_declared", f"This path of {host} is not among the declared ones.")
    # A longer prefix may allow less than a shorter one. So the path must lead to the same routes for servers that merge
    # slashes (nginx, merge_slashes), drop parameters (Tomcat), or ignore case and trailing dots (IIS). For a server
    # that treats an encoded slash as a letter, a path with one right after a prefix is not below the prefix:
    # `/projects/1%2F2` is project 2 of the group 1, and not below project 1.
    folded = (most_specific(routes, _merged(plain), fold=True, spelled=spelled) for plain in readings)
    return _distinct([*matches, *folded])


def _merged(plain: str) -> str:
    return re.sub("//+", "/", "/".join(segment.partition(";")[0].rstrip(". ") for segment in plain.split("/")))


def _distinct(readings: Iterable[list[R]]) -> tuple[list[R], ...]:
    return tuple({tuple(map(id, reading)): reading for reading in readings}.values())


def most_specific(routes: list[R], path: str, fold: bool = False, spelled: bool = False) -> list[R]:
    """The routes with the longest prefix that equals a path or is above it. fold: for a server that ignores case.
    spelled: the path is a decoded reading, so prefixes with an encoded slash match decoded too."""
    best = -1
    matches: list[R] = []
    path = path.lower() if fold else path
    for route in routes:
        paths = [*route.paths, *(prefix.replace("%2F", "/") for prefix in route.paths if spelled)]
        paths = [prefix.lower() for prefix in paths] if fold else paths
        longest = max((len(prefix) for prefix in paths or ("",) if below(prefix, path)), default=-1)
        if longest > best:
            best, matches = longest, [route]
        elif longest == best and longest >= 0:
            matches.append(route)
    return matches


def below(prefix: str, path: str) -> bool:
    """Whether a path equals a prefix or is below it: `/a` has `/a` and `/a/b`, not `/ab`."""
    return path == prefix or path.startswith(prefix if prefix.endswith("/") or not prefix else prefix + "/")
