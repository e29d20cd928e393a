"""The valid part of a manifest with errors, so that the rest is examined too. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.words import finding, news
from claude_bottle.policy.errors import Finding

_INDEX = re.compile(r"([a-z_.]+)\[(\d+)\]")


class Readable:
    """A manifest without the parts that the model refuses.

    manifest: of the remaining parts. findings: everything that was refused. A wrong key is removed, a wrong entry of a
    list is removed as a whole, and for a rule about several keys those that it names.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.findings: list[Finding] = []
        self._left: Any = apart(raw)
        self._gone: set[str] = set()  # names of keys that were removed
        self._mistyped: set[tuple[Any, ...]] = set()  # mappings with a key that the model does not have
        self._kept: dict[str, list[int]] = {}  # path of a shortened list to the original indexes of its entries
        while True:
            try:
                self.manifest = Manifest.model_validate(self._left)
            except ValidationError as error:
                self._shorten(error)
            else:
                break

    @property
    def is_whole(self) -> bool:
        """Whether nothing was removed."""
        return not self.findings

    def blames(self, path: str) -> bool:
        """Whether the model refused this key, or something within it."""
        return any(re.match(rf"{re.escape(path)}(?![a-z_])", one.path) for one in self.findings)

    def original(self, one: Finding) -> Finding:
        """A finding about the shortened manifest, with its path in the stack file."""
        match = _INDEX.match(one.path)
        if match is None or match[1] not in self._kept:
            return one
        index = self._kept[match[1]][int(match[2])]
        return Finding(f"{match[1]}[{index}]{one.path[match.end() :]}", one.value, one.message)

    def _shorten(self, error: ValidationError) -> None:
        first = not self.findings
        # A rule about several keys applies only once these are readable. If it names a removed key, it is not reported.
        for item in news(error):
            one = finding(item)
            if first or (item["type"] == "value_error" and not self._follows(item["loc"], one.message)):
                self.findings.append(self.original(one))
        items = error.errors(include_url=False)
        self._mistyped |= {tuple(item["loc"][:-1]) for item in items if item["type"] == "extra_forbidden"}
        places = {place for item in items for place in self._places(item)} or {()}
        # Start with the last entry of a list, so that the other indexes stay the same.
        for place in sorted(places, key=_last_index, reverse=True):
            self._leave_out(place)

    def _follows(self, loc: tuple[Any, ...], message: str) -> bool:
        return loc in self._mistyped or bool(self._names(message, self._gone))

    def _names(self, message: str, keys: set[str]) -> list[str]:
        return [key for key in sorted(keys) if re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", message)]

    def _places(self, item: Any) -> list[tuple[Any, ...]]:
        place: list[Any] = []
        node = self._left
        for part in item["loc"]:
            if isinstance(node, list) and isinstance(part, int) and part < len(node):
                return [(*place, part)]
            if not isinstance(node, Mapping) or part not in node:
                break
            place.append(part)
            node = node[part]
        if place == ["workspace", "mode"]:
            return [("workspace",)]  # the other mode checks the folder differently
        if item["type"] == "value_error" and isinstance(node, Mapping):
            named = self._names(str(item["msg"]), {key for key in node if isinstance(key, str)})
            return [(*place, key) for key in named] or [tuple(place)]
        return [tuple(place)]

    def _leave_out(self, place: tuple[Any, ...]) -> None:
        if not place:
            self._left = {}
            return
        node: Any = self._left
        for part in place[:-1]:
            if not isinstance(node, list | Mapping) or (isinstance(node, Mapping) and part not in node):
                return  # its parent was removed already
            node = node[part]
        *way, last = place
        if isinstance(node, list):
            path = ".".join(str(part) for part in way)
            del self._kept.setdefault(path, list(range(len(node))))[last]
            del node[last]
        elif isinstance(node, dict) and last in node:
            self._gone.add(str(last))
            del node[last]


def apart(node: Any) -> Any:
    """A copy without shared parts, which YAML's aliases create, so that a removal affects one place only."""
    if isinstance(node, Mapping):
        return {key: apart(value) for key, value in node.items()}
    return [apart(value) for value in node] if isinstance(node, list | tuple) else node


def _last_index(place: tuple[Any, ...]) -> int:
    return place[-1] if place and isinstance(place[-1], int) else -1
