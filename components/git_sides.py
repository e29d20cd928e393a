"""What git says of the two sides of a copied workspace, so that commits travel as commits and only the rest as files.

What the agent's git says is not trusted: it only decides which of the agent's own files are looked at. Standard library
only.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from components.bounded import run_bounded
from components.child_env import child_env
from components.errors import BottleError

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")
_AGENTS = "cd /home/node/workspace; [ -e .git ] || exit 0; "

# Nothing is run in a submodule, whose folder may be another one in the agent's commits.
NAMES = ("diff", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=dirty")
_MOST = 64 << 20  # bytes: names of half a million files
_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
_DIFF = f"git -c core.fsmonitor=false {' '.join(NAMES)}"


class Shell(Protocol):
    def run(self, script: str, stdin: bytes = b"") -> bytes: ...


@dataclass(frozen=True)
class Side:
    """One working tree. head: its commit; "" without one. branch: "" where it is on none.

    tracked: what is in its index. dirty: what differs from `head`, in the index or in the files.
    """

    head: str = ""
    branch: str = ""
    tracked: frozenset[str] = frozenset()
    dirty: frozenset[str] = frozenset()

    @property
    def clean(self) -> frozenset[str]:
        """What is as its commit has it."""
        return self.tracked - self.dirty


NOWHERE = Side()


@dataclass(frozen=True)
class OwnersGit:
    """git in a folder of the owner's, without hooks and monitors, and without a write.

    env: more variables, as of objects that are somewhere else.
    """

    root: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *argv: str) -> str:
        """What it says: what comes of the agent's commits is as large as the agent made them. Raises BottleError."""
        env, out = child_env({"GIT_OPTIONAL_LOCKS": "0", **self.env}), io.BytesIO()
        run_bounded(["git", "-C", str(self.root), *_QUIET, *argv], f"git {argv[0]}", out=out, env=env, most=_MOST)
        return os.fsdecode(out.getvalue())

    def has(self, commit: str) -> bool:
        """Whether this commit is here."""
        return self.ask("cat-file", "-e", f"{commit}^{{commit}}") is not None

    def ask(self, *argv: str) -> str | None:
        """What it says, without the line end; None where it fails."""
        try:
            return self(*argv).strip()
        except BottleError:
            return None

    def names(self, *argv: str) -> frozenset[str]:
        return _names(self(*argv))

    def side(self) -> Side:
        """Raises BottleError where git fails."""
        head = self.ask("rev-parse", "-q", "--verify", "HEAD^{commit}") or ""
        if not head:
            return NOWHERE
        branch = self.ask("symbolic-ref", "-q", "--short", "HEAD") or ""
        dirty = self.names(*NAMES, head)
        return Side(head, branch, self.names("ls-files", "-z"), dirty)

    def brought_by(self, sender: str, receiver: str) -> frozenset[str] | None:
        """What the commits of `sender` that `receiver` has not change; None where the two have no history in common."""
        if not self.has(sender) or self.ask("merge-base", sender, receiver) is None:
            return None
        return self.names(*NAMES, f"{receiver}...{sender}")


def agents_side(agent: Shell) -> Side:
    """The same of the agent's workspace. Raises BottleError."""
    said = agent.run(f"{_AGENTS}git rev-parse -q --verify HEAD^{{commit}} && git symbolic-ref -q --short HEAD || true")
    head, _, branch = said.decode(errors="replace").partition("\n")
    if not _COMMIT.match(head):
        return NOWHERE
    dirty = _agents_names(agent, f"{_DIFF} {head}")
    return Side(head, branch.strip(), _agents_names(agent, "git ls-files -z"), dirty)


def agents_difference(agent: Shell, commit: str) -> frozenset[str]:
    """What is in the agent's files otherwise than in a commit, which it has. Raises BottleError."""
    return _agents_names(agent, f"{_DIFF} {commit}")


def _agents_names(agent: Shell, command: str) -> frozenset[str]:
    return frozenset(os.fsdecode(name) for name in agent.run(_AGENTS + command).split(b"\0") if name)


def _names(said: str) -> frozenset[str]:
    return frozenset(filter(None, said.split("\0")))


def by_commits(sender: Side, receiver: Side, base: Mapping[str, str], source: Mapping[str, str]) -> set[str]:
    """Paths that the commits of a sender bring, or take away; as files they would be in the way of a merge."""
    gone = {path for path in base if path not in source and path not in sender.dirty and path in receiver.tracked}
    return gone | (sender.clean & source.keys())
