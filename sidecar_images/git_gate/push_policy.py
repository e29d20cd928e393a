"""What may be pushed where: the owner's policy over the lines that git hands to pre-receive. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .remotes import Remote

_LINE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) (refs/[^\x00-\x20\x7f~^:?*\[\\]+)\Z")


@dataclass(frozen=True)
class Command:
    """One ref of a push: object names in hex, all zeros for none."""

    old: str
    new: str
    ref: str

    @property
    def creates(self) -> bool:
        return not self.old.strip("0")

    @property
    def deletes(self) -> bool:
        return not self.new.strip("0")


def parse(text: str) -> list[Command]:
    """The lines of a push. Raises ValueError on anything else, and on no line at all."""
    found = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            raise ValueError("not a line of a push")
        found.append(Command(match[1], match[2], match[3]))
    if not found or len({command.ref for command in found}) != len(found):
        raise ValueError("no line of a push, or one ref twice")
    return found


def refusals(
    remote: Remote, commands: Iterable[Command], is_ancestor: Callable[[str, str], bool], current: Callable[[str], str]
) -> list[str]:
    """Why this push is not for this remote; empty when it is.

    is_ancestor(old, new): whether `new` contains `old`. current(ref): what the upstream has there now, or "".
    """
    told = []
    for command in commands:
        if not allowed_ref(remote.branches, command.ref):
            told.append(f"{command.ref}: the owner allows pushes to {', '.join(remote.branches)} only")
        elif (current(command.ref) or "0" * len(command.old)) != command.old:
            told.append(f"{command.ref}: non-fast-forward, it has moved meanwhile; fetch, rebase or merge, push again")
        elif command.deletes:
            if remote.deletes != "allow":
                told.append(f"{command.ref}: the owner does not allow deletes here")
        elif not command.creates and remote.force != "allow" and not is_ancestor(command.old, command.new):
            told.append(f"{command.ref}: non-fast-forward, and the owner does not allow force pushes here")
    return told


def allowed_ref(patterns: Iterable[str], ref: str) -> bool:
    """Whether a ref is one of `patterns`: globs of branch names, or of whole refs where they start with refs/."""
    for pattern in patterns:
        whole = pattern if pattern.startswith("refs/") else f"refs/heads/{pattern}"
        if fnmatchcase(ref, whole):
            return True
    return False
