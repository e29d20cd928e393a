"""A stack file, edited as a person would: comments and order kept, written in one go, never over somebody's edit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from components.change import APPENDS, Change
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
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=_indent(text), sequence=_indent(text) + 2, offset=_indent(text))
    told = yaml.load(text)
    try:
        bottle = told["config"][BOTTLE]
    except (KeyError, TypeError):
        raise BottleError(f"the stack file has no {BOTTLE}") from None
    _make(bottle, change)
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
    if change.value not in place[last]:
        place[last].append(change.value)


def _indent(text: str) -> int:
    """The indentation that the file uses."""
    widths = (len(line) - len(line.lstrip(" ")) for line in text.splitlines() if line.startswith(" "))
    return next((width for width in widths if width), 2)
