"""A three-way comparison for a copy between folders that may both have changed since a common state. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass
class Changes:
    """Paths to copy, to delete, and in conflict: both sides have changed them, and the target's version stays."""

    copy: list[str] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.copy or self.delete or self.conflicts)


def three_way(base: Mapping[str, str], source: Mapping[str, str], target: Mapping[str, str]) -> Changes:
    """The changes that bring `target` up to `source`, except where `target` has changed since `base`.

    Each maps path to mark. A path missing in `base` did not exist; without a base, every difference is a conflict.
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
    """The common state once `changes` are made. A conflict keeps its old base, so that it is found again."""
    common = {path: mark for path, mark in base.items() if path in changes.conflicts or source.get(path) == mark}
    common |= {path: source[path] for path in changes.copy}
    return common | {path: mark for path, mark in source.items() if target.get(path) == mark}


def without(marks: Mapping[str, str], paths: Collection[str]) -> dict[str, str]:
    """The marks without these paths, which are transferred by other means."""
    return {path: mark for path, mark in marks.items() if path not in paths}
