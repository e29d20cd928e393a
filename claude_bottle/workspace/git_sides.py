"""The git state of both sides of a copied workspace, so that commits are transferred as commits and the rest as files.

Output of the agent's git is not trusted: it only selects which of the agent's own files are compared. Standard library
only.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from claude_bottle.host.bounded import run_bounded
from claude_bottle.host.child_env import child_env
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import WORKSPACE

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")
_AGENTS = f"cd {WORKSPACE}; [ -e .git ] || exit 0; "

# git runs nothing in a submodule this way. Its folder may be another one in the agent's commits.
NAMES = ("diff", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=dirty")
ABSENT = "-"
# For each path on standard input: its object, "-" if nothing exists, "?" if a folder does, or a file or link above it.
_BLOBS = (
    "xargs -0 -r sh -c 'for f; do"
    ' if [ -L "$f" ]; then readlink -n -- "$f" | git hash-object --stdin; elif [ -f "$f" ]; then'
    ' git hash-object --no-filters -- "$f"; elif [ -e "$f" ]; then echo "?"; else d=$f; s=-;'
    ' while d=$(dirname -- "$d"); [ "$d" != . ] && [ "$d" != / ]; do if [ -L "$d" ] || { [ -e "$d" ] &&'
    ' [ ! -d "$d" ]; }; then s="?"; fi; done; echo "$s"; fi; done\' sh'
)
_MOST = 64 << 20  # bytes; enough for the names of half a million files
_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "diff.autoRefreshIndex=false")
_DIFF = f"git -c core.fsmonitor=false {' '.join(NAMES)}"


class Shell(Protocol):
    def run(self, script: str, stdin: bytes = b"") -> bytes: ...


@dataclass(frozen=True)
class Side:
    """One working tree. head: its commit, or "". branch: "" if it is on none.

    tracked: files in its index. dirty: files that differ from `head`, in the index or on disk.
    """

    head: str = ""
    branch: str = ""
    tracked: frozenset[str] = frozenset()
    dirty: frozenset[str] = frozenset()

    @property
    def clean(self) -> frozenset[str]:
        """Files that equal their commit."""
        return self.tracked - self.dirty


NOWHERE = Side()


@dataclass(frozen=True)
class OwnersGit:
    """git in a folder of the owner's, without hooks and fsmonitor. The methods write nothing.

    env: more variables, such as another folder for objects.
    """

    root: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *argv: str) -> str:
        """The output of git, at most 64 MB, because the agent determines its size. Raises BottleError."""
        return self._run(*argv)

    def _run(self, *argv: str, stdin: IO[bytes] | None = None) -> str:
        own = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
        env, out, what = child_env({**own, **self.env}), io.BytesIO(), f"git {argv[0]}"
        argv = ("git", "-C", str(self.root), *_QUIET, *argv)
        run_bounded(argv, what, stdin=stdin, out=out, env=env, most=_MOST)
        return os.fsdecode(out.getvalue())

    def has(self, commit: str) -> bool:
        """Whether this commit exists here. Raises BottleError."""
        return commit in self.which([commit])

    def which(self, commits: Collection[str]) -> set[str]:
        """Those of the commits that exist here. Names that are not commit ids are ignored. Raises BottleError."""
        asked = sorted({commit for commit in commits if _COMMIT.match(commit)})
        if not asked:
            return set()
        with tempfile.TemporaryFile() as names:
            names.write("".join(f"{commit}\n" for commit in asked).encode())
            names.seek(0)
            said = self._run("cat-file", "--batch-check", stdin=names)
        return {line.split()[0] for line in said.splitlines() if line.split()[1:2] == ["commit"]}

    def is_partial(self) -> bool:
        """Whether git fetches missing objects on demand (git-clone(1), --filter)."""
        return self.ask("config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$") is not None

    def tree(self, commit: str) -> dict[str, tuple[str, str]]:
        """Path to mode and object of every file of a commit. Raises BottleError."""
        lines = (entry.partition("\t") for entry in self("ls-tree", "-r", "-z", commit).split("\0") if entry)
        return {path: (meta.split()[0], meta.split()[2]) for meta, _, path in lines}

    def ask(self, *argv: str) -> str | None:
        """The output of git, stripped; None if git fails."""
        try:
            return self(*argv).strip()
        except BottleError:
            return None

    def names(self, *argv: str) -> frozenset[str]:
        return _names(self(*argv))

    def side(self) -> Side:
        """The owner's side. Raises BottleError if git fails."""
        head = self.ask("rev-parse", "-q", "--verify", "HEAD^{commit}") or ""
        if not head:
            return NOWHERE
        branch = self.ask("symbolic-ref", "-q", "--short", "HEAD") or ""
        dirty = self.names(*NAMES, head)
        return Side(head, branch, self.names("ls-files", "-z"), dirty)

    def brought_by(self, sender: str, receiver: str) -> frozenset[str] | None:
        """Files changed by commits of `sender` that `receiver` lacks; None if they have no common history here."""
        if (
            len(self.which([sender, receiver])) < len({sender, receiver})
            or self.ask("merge-base", sender, receiver) is None
        ):
            return None
        return self.names(*NAMES, f"{receiver}...{sender}")


def agents_side(agent: Shell) -> Side:
    """The side of the agent's workspace. Raises BottleError."""
    said = agent.run(f"{_AGENTS}git rev-parse -q --verify HEAD^{{commit}} && git symbolic-ref -q --short HEAD || true")
    head, _, branch = said.decode(errors="replace").partition("\n")
    if not _COMMIT.match(head):
        return NOWHERE
    dirty = _agents_names(agent, f"{_DIFF} {head}")
    return Side(head, branch.strip(), _agents_names(agent, "git ls-files -z"), dirty)


def agents_blobs(agent: Shell, paths: Sequence[str], *, as_committed: bool = False) -> dict[str, str]:
    """Path to the object that git would make of the file; ABSENT if nothing exists, "?" for a folder, or if a file or
    link is in the place of a folder above it. as_committed: with line ends and filters applied as in a commit, instead
    of byte by byte. Raises BottleError.
    """
    script = _BLOBS.replace(" --no-filters", "") if as_committed else _BLOBS
    said = agent.run(_AGENTS + script, b"".join(os.fsencode(path) + b"\0" for path in paths))
    names = said.decode(errors="replace").split()
    if len(names) != len(paths):
        raise BottleError("the agent's git did not list its files")
    return dict(zip(paths, names, strict=True))


def blob(path: Path, like: str) -> str:
    """The object that git would make of a file or a link, byte by byte. like: an object name with the same hash."""
    digest = hashlib.sha1(usedforsecurity=False) if len(like) == 40 else hashlib.sha256()
    if path.is_symlink():
        target = os.fsencode(path.readlink())
        digest.update(b"blob %d\0" % len(target) + target)
        return digest.hexdigest()
    with path.open("rb") as file:
        digest.update(b"blob %d\0" % os.fstat(file.fileno()).st_size)
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _agents_names(agent: Shell, command: str) -> frozenset[str]:
    return frozenset(os.fsdecode(name) for name in agent.run(_AGENTS + command).split(b"\0") if name)


def _names(said: str) -> frozenset[str]:
    return frozenset(filter(None, said.split("\0")))


def by_commits(sender: Side, receiver: Side, base: Mapping[str, str], source: Mapping[str, str]) -> set[str]:
    """Paths that a sender's commits add, change or delete. Transferred as files they would conflict with a merge."""
    gone = {path for path in base if path not in source and path not in sender.dirty and path in receiver.tracked}
    return gone | (sender.clean & source.keys())
