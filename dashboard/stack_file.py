"""A stack file, edited as a person would: comments and order kept, written in one go, never over somebody's edit."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from addons.until import ended, parse_until
from components.change import APPENDS, ENDING, Change
from components.errors import BottleError

BOTTLE = "claude-bottle:bottle"


@dataclass(frozen=True)
class StackFile:
    """The file of one stack."""

    path: Path

    @classmethod
    def of(cls, stack: str, project: Path) -> StackFile:
        """Raises BottleError where there is none."""
        path = project / "stacks" / f"Pulumi.{stack}.yaml"
        if not path.is_file():
            raise BottleError(f"{path}: no such stack file")
        return cls(path)

    def read(self) -> str:
        return self.path.read_text()

    def replace(self, seen: str, new: str) -> None:
        """Write `new` if the file still is `seen`. Raises BottleError, nothing written, if it is not."""
        beside = self.path.with_name(f".{self.path.name}.new")
        beside.write_text(new)
        beside.chmod(self.path.stat().st_mode & 0o777)
        if self.read() != seen:
            beside.unlink()
            raise BottleError(f"{self.path} has been edited meanwhile; look at it, then approve again")
        beside.replace(self.path)


def changed(text: str, change: Change) -> str:
    """The text of a stack file with this change, all else as it is. Raises BottleError on a file without a bottle."""
    return _edited(text, lambda bottle: _make(bottle, change))


def without_ended(text: str) -> str:
    """The same without the routes and allowed hosts whose time is over; they let nothing through any more."""

    def sweep(bottle: Any) -> None:
        for path in ENDING:
            section, last = path.split(".")
            items = (bottle.get(section) or {}).get(last) or []
            for item in [item for item in items if isinstance(item, dict) and _is_over(item.get("until"))]:
                items.remove(item)

    return _edited(text, sweep)


def _is_over(until: object) -> bool:
    try:
        return until is not None and ended(parse_until(str(until)))
    except ValueError:
        return False


def _edited(text: str, edit: Callable[[Any], None]) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    mapping, offset = _indent(text), _offset(text)
    yaml.indent(mapping=mapping, sequence=offset + 2, offset=offset)
    try:
        told = yaml.load(text)
        bottle = told["config"][BOTTLE]
    except (LookupError, TypeError, YAMLError, ValueError):
        raise BottleError(f"the stack file has no {BOTTLE}, or is not YAML") from None
    as_it_was = copy.deepcopy(bottle)
    edit(bottle)
    if bottle == as_it_was:
        return text
    out = io.StringIO()
    yaml.dump(told, out)
    return out.getvalue()


def _make(bottle: Any, change: Change) -> None:
    *way, last = change.path.split(".")
    place = bottle
    for key in way:
        if place.get(key) is None:
            place[key] = CommentedMap()
        place = place[key]
    if change.path not in APPENDS:
        place[last] = change.value
        return
    if place.get(last) is None:
        place[last] = []
    items = place[last]
    for index, item in enumerate(items):
        if _apart_from_its_end(item) == _apart_from_its_end(change.value):
            if item != change.value:
                items[index] = change.value
            return
    items.append(change.value)


def _apart_from_its_end(item: Any) -> Any:
    told = dict(item) if isinstance(item, dict) else {"host": item}
    told.pop("until", None)
    told.pop("description", None)
    return told


def _indent(text: str) -> int:
    """The indentation that the file uses."""
    widths = (len(line) - len(line.lstrip(" ")) for line in text.splitlines() if line.startswith(" "))
    return next((width for width in widths if width), 2)


def _offset(text: str) -> int:
    """How far the file puts the dash of a list behind the key that it belongs to."""
    above = 0
    for line in text.splitlines():
        bare = line.lstrip(" ")
        if bare.startswith("- "):
            return max(len(line) - len(bare) - above, 0)
        if bare and not bare.startswith("#"):
            above = len(line) - len(bare)
    return _indent(text)
