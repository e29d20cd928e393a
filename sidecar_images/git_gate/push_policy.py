"""Which refs may be pushed: the owner's policy, applied to the lines that git gives to pre-receive. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .remotes import Remote
from .wishes import OUTSIDERS

MAX_REFS = 1_000
# Orders to a forge, which keeps no ref of that name: Gerrit's and AGit's "push for review". Text after a `%` is an
# option (Gerrit, Documentation/user-upload.txt), such as `submit`, which merges.
MAGIC = ("refs/for/", "refs/drafts/")
_OPTION, _OPTIONS = 500, 20  # characters of a push option, and number of options
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

    @property
    def magic(self) -> bool:
        return self.ref.startswith(MAGIC)

    @property
    def target(self) -> str:
        """The ref without the options in its name."""
        return self.ref.partition("%")[0] if self.magic else self.ref

    @property
    def options(self) -> list[str]:
        """The options in its name."""
        suffix = self.ref.partition("%")[2] if self.magic else ""
        return suffix.split(",") if suffix else []


def parse(text: str) -> list[Command]:
    """The commands of a push. Raises ValueError for any other line, for no line at all, and for a repeated ref."""
    commands = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            raise ValueError("not a line of a push")
        commands.append(Command(match[1], match[2], match[3]))
    if not commands or len({command.ref for command in commands}) != len(commands):
        raise ValueError("no line of a push, or one ref twice")
    return commands


def refusals(
    remote: Remote,
    commands: Sequence[Command],
    is_ancestor: Callable[[str, str], bool],
    current: Callable[[str], str],
    options: Sequence[str] = (),
) -> list[str]:
    """Why the policy refuses this push; empty if it does not.

    is_ancestor(old, new): whether `new` contains `old`. current(ref): the upstream's present value of it, or "".
    """
    reasons = []
    for command in commands:
        if command.ref.startswith(OUTSIDERS):
            reasons.append(f"{command.ref}: is read-only; push a branch, or the ref by which your forge takes requests")
        elif not allowed_ref(remote.branches, command.target):
            reasons.append(f"{command.ref}: the owner allows pushes to {', '.join(remote.branches)} only")
        elif (current(command.ref) or "0" * len(command.old)) != command.old:
            reasons.append(
                f"{command.ref}: non-fast-forward, it has moved in the meantime; fetch, rebase or merge, then push"
                " again"
            )
        elif command.magic and command.deletes:
            reasons.append(f"{command.ref}: is a command to the forge, not a stored ref, so it cannot be deleted")
        elif command.deletes:
            if not remote.deletes:
                reasons.append(f"{command.ref}: the owner does not allow deletions here")
        elif not command.creates and not remote.force:
            # Only a branch moves forward. A tag must not move: another commit under its name is a rewrite.
            if not command.ref.startswith("refs/heads/"):
                reasons.append(f"{command.ref}: it already exists, and the owner does not allow force pushes here")
            elif not is_ancestor(command.old, command.new):
                reasons.append(f"{command.ref}: non-fast-forward, and the owner does not allow force pushes here")
    if len(commands) > MAX_REFS:
        reasons.append(f"{len(commands)} refs in one push, {MAX_REFS} are allowed")
    in_names = [option for command in commands for option in command.options]
    return reasons + option_refusals(remote.push_options, [*options, *in_names])


def option_refusals(allowed: Sequence[str], options: Sequence[str]) -> list[str]:
    """Why these push options are refused: only those that the owner lists are allowed, NAME=* for any value."""
    exact = [one for one in allowed if not one.endswith("=*")]
    names = [one.removesuffix("*") for one in allowed if one.endswith("=*")]
    reasons = [
        f"push option {option[:80]!r}: the owner allows {', '.join(allowed) or 'none'}"
        for option in options
        if not (option.isprintable() and len(option) <= _OPTION)
        or not (option in exact or any(option.startswith(name) for name in names))
    ]
    return reasons if len(options) <= _OPTIONS else [f"{len(options)} push options, {_OPTIONS} are allowed"]


def allowed_ref(patterns: Iterable[str], ref: str) -> bool:
    """Whether a ref matches one of `patterns`: globs of branch names, or of whole refs if they start with refs/."""
    for pattern in patterns:
        whole = pattern if pattern.startswith("refs/") else f"refs/heads/{pattern}"
        if fnmatchcase(ref, whole):
            return True
    return False
