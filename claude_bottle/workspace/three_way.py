"""What a copy between two folders does when both may have changed since they were last alike. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass
class Changes:
    """Paths to copy, to delete, and those that both sides have changed, which stay as the target has them."""

    copy: list[str] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.copy or self.delete or self.conflicts)


def three_way(base: Mapping[str, str], source: Mapping[str, str], target: Mapping[str, str]) -> Changes:
    """Bring what changed in `source` since `base` to `target`, and nothing that changed in `target`.

    Each is path to mark. A path that is missing in `base` was not there; without a base, what differs is a conflict.
    """
    changes = Changes()
    for path in sorted({*base, *source}):
        old, new, current = base.get(path), source.get(path), target.get(path)
        if new in (old, current):
            continue
        if current != old:
            changes.conflicts.append(path)
        elif new is None:
            changes.delete.append(path)
        else:
            changes.copy.append(path)
    return changes


def new_base(
    base: Mapping[str, str], source: Mapping[str, str], target: Mapping[str, str], changes: Changes
) -> dict[str, str]:
    """What both sides have in common once `changes` are made; a conflict keeps its old base, to be seen again."""
    common = {path: mark for path, mark in base.items() if path in changes.conflicts or source.get(path) == mark}
    common |= {path: source[path] for path in changes.copy}
    return common | {path: mark for path, mark in source.items() if target.get(path) == mark}


def without(marks: Mapping[str, str], paths: Collection[str]) -> dict[str, str]:
    """The marks of other paths alone: these travel another way."""
    return {path: mark for path, mark in marks.items() if path not in paths}
