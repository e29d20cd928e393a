"""Brings the owner's branches to the agent, as refs/remotes/owner/*, and its own branch on where that loses nothing.

Standard library only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from components.bounded import run_bounded
from components.errors import BottleError
from components.git_sides import OwnersGit, Shell, Side

_REMOTE = "refs/remotes/owner/"
_IN = "cd /home/node/workspace; "
_GIT = "git -c core.hooksPath=/dev/null -c core.fsmonitor=false"
_ABSENT = "-"
_SECONDS, _PACK = 600.0, 4 << 30  # bytes
# Of each file named on standard input: what git would store of it; "-" for what is neither a file nor a link.
_HASHES = (
    "xargs -0 -r sh -c 'for f; do"
    ' if [ -L "$f" ]; then readlink -n -- "$f" | git hash-object --stdin;'
    ' elif [ -f "$f" ]; then git hash-object -- "$f"; else echo -; fi; done\' sh'
)
_IDLE = "for f in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD rebase-merge rebase-apply; do [ ! -e .git/$f ]; done"


class Agent(Shell, Protocol):
    def feed(self, script: str, stdin: IO[bytes]) -> None: ...


def heads(root: Path) -> dict[str, str]:
    """Branch to commit. Raises BottleError where git fails."""
    said = OwnersGit(root)("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").splitlines()
    return {name: commit for commit, _, name in (line.partition(" ") for line in said)}


@dataclass(frozen=True)
class OwnerBranches:
    """root: the owner's folder. agent: its container, with a repository that is a copy of that one."""

    root: Path
    agent: Agent

    def send(self) -> None:
        """Make refs/remotes/owner/* the owner's branches. Raises BottleError and OSError."""
        wanted = {f"{_REMOTE}{name}": commit for name, commit in heads(self.root).items()}
        has = self._refs()
        theirs = {ref: commit for ref, commit in has.items() if ref.startswith(_REMOTE)}
        if wanted == theirs:
            return
        git = OwnersGit(self.root)
        known = [commit for commit in sorted(set(has.values())) if git.has(commit)]
        if missing := set(wanted.values()).difference(known):
            with tempfile.TemporaryFile() as pack, tempfile.TemporaryFile() as asked:
                asked.write("".join(f"{one}\n" for one in [*sorted(missing), *(f"^{one}" for one in known)]).encode())
                asked.seek(0)
                argv = ["git", "-C", str(self.root), "pack-objects", "--revs", "--stdout", "--thin", "-q"]
                run_bounded(argv, "git pack-objects", stdin=asked, out=pack, seconds=_SECONDS, most=_PACK)
                pack.seek(0)
                self.agent.feed(f"{_IN}git index-pack --fix-thin --stdin >/dev/null", pack)
        lines = [f"update {ref} {commit}\n" for ref, commit in wanted.items() if theirs.get(ref) != commit]
        lines += [f"delete {ref}\n" for ref in theirs.keys() - wanted.keys()]
        self.agent.run(f"{_IN}{_GIT} update-ref --no-deref --stdin", "".join(lines).encode())

    def advance(self, agent: Side) -> str:
        """Bring the agent's branch to the owner's of the same name, where it has no commit besides, and no change of
        its own in a file that changes by it. What is left to do, in words; "" for nothing.

        Raises BottleError and OSError.
        """
        new, git = heads(self.root).get(agent.branch), OwnersGit(self.root)
        if new is None or new == agent.head or not agent.head:
            return ""
        if git.has(agent.head) and git.ask("merge-base", "--is-ancestor", new, agent.head) is not None:
            return ""
        merge = f"the agent has still to merge owner/{agent.branch}"
        if not git.has(agent.head) or git.ask("merge-base", "--is-ancestor", agent.head, new) is None:
            return merge
        changes = _raw(git("diff-tree", "-r", "-z", "--no-renames", "--raw", agent.head, new))
        now = self._hashes(list(changes))
        if now is None or any(now[path] not in change for path, change in changes.items()):
            return f"{merge}: files that change by it have changes of its own"
        out = [path for path, (old, to) in changes.items() if to != _ABSENT and (now[path] != to or old == to)]
        gone = [path for path, (_, to) in changes.items() if to == _ABSENT]
        self.agent.run(f"{_IN}xargs -0 -r {_GIT} checkout -q {new} --", _listed(out))
        self.agent.run(f"{_IN}xargs -0 -r rm -f --", _listed(gone))
        self.agent.run(f"{_IN}{_GIT} reset -q {new}")
        return ""

    def _refs(self) -> Mapping[str, str]:
        said = self.agent.run(f"{_IN}git for-each-ref --format='%(objectname) %(refname)'").decode(errors="replace")
        return {ref: commit for commit, _, ref in (line.partition(" ") for line in said.splitlines())}

    def _hashes(self, paths: list[str]) -> dict[str, str] | None:
        """None where the agent is in the middle of something: a merge, a rebase, changes that are staged."""
        try:
            self.agent.run(f"{_IN}{_IDLE}; {_GIT} diff --cached --quiet")
        except BottleError:
            return None
        said = self.agent.run(_IN + _HASHES, _listed(paths)).decode(errors="replace").split()
        return dict(zip(paths, said, strict=True)) if len(said) == len(paths) else None


def _listed(paths: list[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _raw(said: str) -> dict[str, tuple[str, str]]:
    """Path to the objects before and after, of git's raw format (git-diff(1), Raw output format)."""
    parts = said.split("\0")
    both = {path: meta.split()[2:4] for meta, path in zip(parts[::2], parts[1::2], strict=False)}
    return {path: (_object(old), _object(new)) for path, (old, new) in both.items()}


def _object(name: str) -> str:
    return name if name.strip("0") else _ABSENT
