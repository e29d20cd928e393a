"""Sends the owner's branches to the agent as refs/remotes/owner/*, and fast-forwards its branch if that loses nothing.

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from claude_bottle.host.bounded import run_bounded
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import WORKSPACE
from claude_bottle.workspace.git_sides import ABSENT, OwnersGit, Shell, Side, agents_blobs

_REMOTE = "refs/remotes/owner/"
_IN = f"cd {WORKSPACE}; "
_GIT = "git -c core.hooksPath=/dev/null -c core.fsmonitor=false"
_SECONDS, _PACK = 600.0, 4 << 30  # bytes
_REFS = 10_000
_IDLE = "for f in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD rebase-merge rebase-apply; do [ ! -e .git/$f ]; done"


class Agent(Shell, Protocol):
    def feed(self, script: str, stdin: IO[bytes]) -> None: ...


def heads(root: Path) -> dict[str, str]:
    """Branch to commit. Raises BottleError if git fails."""
    said = OwnersGit(root)("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").splitlines()
    return {name: commit for commit, _, name in (line.partition(" ") for line in said)}


def digest_of(branches: Mapping[str, str]) -> str:
    """A digest of the branches and their commits."""
    return hashlib.sha256(json.dumps(dict(branches), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class OwnerBranches:
    """root: the owner's folder. agent: its container, with a copy of that repository. heads: the owner's branches, as
    they were checked.
    """

    root: Path
    agent: Agent
    heads: Mapping[str, str]

    @property
    def digest(self) -> str:
        """A digest of the branches and their commits."""
        return digest_of(self.heads)

    def send(self) -> None:
        """Set refs/remotes/owner/* to the owner's branches. Raises BottleError and OSError."""
        wanted = {f"{_REMOTE}{name}": commit for name, commit in self.heads.items()}
        has = self._refs()
        theirs = {ref: commit for ref, commit in has.items() if ref.startswith(_REMOTE)}
        if wanted == theirs:
            return
        git = OwnersGit(self.root)
        if git.is_partial():
            raise BottleError("it is a partial clone, whose history is not all here; git fetch --refetch --no-filter")
        known = sorted(git.which(set(has.values())))
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
        """Fast-forward the agent's branch to the owner's of the same name, unless it has commits of its own, or changes
        in files that the fast-forward changes. Returns what remains to do, in words, or "".

        Raises BottleError and OSError.
        """
        new, git = self.heads.get(agent.branch), OwnersGit(self.root)
        if new is None or new == agent.head or not agent.head:
            return ""
        is_here = git.has(agent.head)
        if is_here and git.ask("merge-base", "--is-ancestor", new, agent.head) is not None:
            return ""
        merge = f"the agent has still to merge owner/{agent.branch}"
        if not is_here or git.ask("merge-base", "--is-ancestor", agent.head, new) is None:
            return merge
        changes = _raw(git("diff-tree", "-r", "-z", "--no-renames", "--raw", agent.head, new))
        if not self._is_idle():
            return f"{merge}: it is in the middle of something, or has staged changes"
        now = agents_blobs(self.agent, list(changes), as_committed=True)
        if any(now[path] not in change for path, change in changes.items()):
            return f"{merge}: files that change by it have changes of its own"
        out = [path for path, (old, to) in changes.items() if to != ABSENT and (now[path] != to or old == to)]
        gone = [path for path, (_, to) in changes.items() if to == ABSENT]
        self.agent.run(f"{_IN}xargs -0 -r {_GIT} checkout -q {new} --", _listed(out))
        self.agent.run(f"{_IN}xargs -0 -r rm -f --", _listed(gone))
        # Only from the commit that was compared: a commit that the agent has made since stays on its branch.
        moved = f"update refs/heads/{agent.branch} {new} {agent.head}\n".encode()
        self.agent.run(f"{_IN}{_GIT} update-ref --no-deref --stdin && {_GIT} reset -q", moved)
        return ""

    def _refs(self) -> Mapping[str, str]:
        said = self.agent.run(f"{_IN}git for-each-ref --format='%(objectname) %(refname)'").decode(errors="replace")
        lines = said.splitlines()
        if len(lines) > _REFS:
            raise BottleError(f"the agent's repository has more than {_REFS} refs")
        return {ref: commit for commit, _, ref in (line.partition(" ") for line in lines)}

    def _is_idle(self) -> bool:
        """Whether no merge, rebase, cherry-pick or revert is in progress, and nothing is staged."""
        try:
            self.agent.run(f"{_IN}{_IDLE}; {_GIT} diff --cached --quiet")
        except BottleError:
            return False
        return True


def _listed(paths: list[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _raw(said: str) -> dict[str, tuple[str, str]]:
    """Path to the objects before and after, from git's raw format (git-diff(1), Raw output format)."""
    parts = said.split("\0")
    both = {path: meta.split()[2:4] for meta, path in zip(parts[::2], parts[1::2], strict=False)}
    return {path: (_object(old), _object(new)) for path, (old, new) in both.items()}


def _object(name: str) -> str:
    return name if name.strip("0") else ABSENT
