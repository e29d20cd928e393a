"""A push in full, as text, for its owner's review before it is forwarded: everything that moves, and all that is lost.

Only git's plumbing is used, with every mechanism disabled by which a repository changes its display: attributes,
textconv, external diffs, mailmap, replaced objects, renames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..push_policy import Command
from .objects import KNOWN, UPSTREAMS
from .work import TooMuch, Work

MAX_REFS = 50
_PAGE = 60_000  # characters
_MOST = 8 << 20  # characters in all; 140 pages
_HIDDEN = re.compile(r"[^\x20-\x7e\n]")
_DIFF = (
    *("diff-tree", "-p", "--text", "-r", "--root", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv"),
    *("--no-color", "--no-relative", "--submodule=short", "--ignore-submodules=none"),
)


def pages(work: Work, commands: Sequence[Command], options: Sequence[str]) -> list[str]:
    """The whole view in pages. Raises TooMuch if it is longer than a person can be asked to read."""
    if len(commands) > MAX_REFS:
        raise TooMuch(f"{len(commands)} refs in a push under review, {MAX_REFS} are allowed; push it in parts")
    parts, size = [], 0
    for part in _View(work).parts(commands, options):
        text = _HIDDEN.sub(_shown, part.decode(errors="backslashreplace"))
        size += len(text)
        if size > _MOST:
            raise TooMuch(f"more than {_MOST >> 20} MB to be reviewed in one push; push it in parts")
        parts.append(text)
    whole = "\n".join(parts)
    return [whole[at : at + _PAGE] for at in range(0, len(whole), _PAGE)]


def _shown(match: re.Match[str]) -> str:
    """A character that a terminal or a page would hide, or act on, as an escape."""
    character = match[0]
    if character == "\t" or character.isprintable():
        return "→   " if character == "\t" else character
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


class _View:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._shown: set[str] = set()

    def parts(self, commands: Sequence[Command], options: Sequence[str]) -> Iterator[bytes]:
        for option in options:
            yield f"push option: {option}".encode()
        for command in commands:
            yield f"==== {command.ref}: {_name(command.old)} → {_name(command.new)}".encode()
            if command.creates:
                yield b"it is new"
                yield from self._object(command.new)
            elif command.deletes:
                yield b"it is deleted; what it has now:"
                yield from self._object(command.old, known=True)
                if self._kind(command.old) == "commit":
                    others = ("--not", f"--exclude={command.ref}", *UPSTREAMS)
                    yield from self._dropped(command.old, *others)
            elif self._kind(command.old) == self._kind(command.new) == "commit":
                yield from self._moved(command)
            else:
                yield b"it gets another content; what it has now:"
                yield from self._object(command.old, known=True)
                yield b"---- what it would have:"
                yield from self._object(command.new)

    def _moved(self, command: Command) -> Iterator[bytes]:
        """From commit to commit: the total change, each dropped commit, each new commit."""
        yield f"---- all changes from {command.old} to {command.new}".encode()
        yield self._git(*_DIFF, command.old, command.new)
        yield from self._dropped(command.old, f"^{command.new}")
        yield from self._commits(command.new, f"^{command.old}")

    def _dropped(self, *which: str) -> Iterator[bytes]:
        if dropped := self._list(*which):
            yield f"---- {len(dropped)} commits are dropped:".encode()
            for commit in dropped:
                yield from self._raw("dropped commit", commit)

    def _object(self, name: str, *, known: bool = False) -> Iterator[bytes]:
        """The object of a ref, following tags. known: the upstream has it already."""
        kind = self._kind(name)
        if kind == "commit":
            if known or not self._list(name, *KNOWN):
                yield from self._raw(f"commit{'' if known else ', which the upstream has already,'}", name)
            else:
                yield from self._commits(name)
            return
        if kind == "tree":
            yield f"---- tree {name}".encode()
            yield self._git("ls-tree", "-r", "-t", "--full-tree", name)
            empty = self._git("hash-object", "-t", "tree", "--stdin").decode().strip()
            yield self._git(*_DIFF, empty, name)
            return
        yield from self._raw(kind, name)
        if kind == "tag":
            yield from self._object(_tagged(self._git("cat-file", "tag", name)), known=known)

    def _commits(self, *which: str) -> Iterator[bytes]:
        """The commits of a range; of those that the upstream already has, only the names."""
        new = set(self._list(*which, *KNOWN))
        for commit in self._list(*which, *([] if len(which) > 1 else KNOWN)):
            if commit not in new:
                yield f"---- commit {commit}, which the upstream has already".encode()
                continue
            yield from self._raw("commit", commit)
            if commit in self._shown:
                continue
            self._shown.add(commit)
            # By parent, because a merge's own changes are in none of the merged commits.
            parents = self._git("rev-list", "--parents", "--max-count=1", commit).decode().split()[1:]
            for parent in parents or [""]:
                yield f"changes of {commit}{f' from its parent {parent}' if len(parents) > 1 else ''}:".encode()
                yield self._git(*_DIFF, "--no-commit-id", *([parent] if parent else []), commit)

    def _raw(self, what: str, name: str) -> Iterator[bytes]:
        """An object as it is stored, once."""
        yield f"---- {what} {name}{' (above)' if name in self._shown else ''}".encode()
        if name not in self._shown:
            yield self._git("cat-file", self._kind(name), name)
            if not what.startswith("commit"):
                self._shown.add(name)

    def _kind(self, name: str) -> str:
        return self._git("cat-file", "-t", name).decode().strip()

    def _list(self, *which: str) -> list[str]:
        return self._git("rev-list", "--topo-order", "--reverse", *which).decode().split()

    def _git(self, *argv: str) -> bytes:
        return self._work.read(["git", *argv], _MOST)


def _tagged(tag: bytes) -> str:
    return tag.partition(b"\n")[0].removeprefix(b"object ").decode()


def _name(name: str) -> str:
    return name if name.strip("0") else "nothing"
