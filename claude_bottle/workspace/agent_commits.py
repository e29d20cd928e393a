"""Transfers the agent's commits to the owner. They are checked before their objects are in the repository."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import WORKSPACE
from claude_bottle.workspace.agent_files import AgentFiles
from claude_bottle.workspace.bundle import bring, unpack
from claude_bottle.workspace.git_sides import NOWHERE, OwnersGit, Side, agents_side, blob, by_commits

_SHOWN = 20  # branches
_BUNDLE = "git rev-parse -q --verify HEAD >/dev/null || exit 0; git bundle create -q - --branches"


@dataclass
class AgentCommits:
    """The agent's commits, and which files they leave to be transferred as files.

    file: its branches as a bundle, empty without any. owner, agent: the two sides; NOWHERE where only files are
    transferred. wrong: why the commits cannot be fetched, or "".
    """

    root: Path
    file: IO[bytes]
    git: OwnersGit
    branches: dict[str, str] = field(default_factory=dict)
    owner: Side = NOWHERE
    agent: Side = NOWHERE
    wrong: str = ""
    _pending: frozenset[str] = frozenset()
    _is_partial: bool = False

    def files_alone(self, base: Mapping[str, str], source: Mapping[str, str]) -> tuple[set[str], dict[str, str]]:
        """Paths that commits bring; and paths that the agent has changed again after such a commit, with the reason."""
        if not self.agent.head:
            return set(), {}
        committed = by_commits(self.agent, self.owner, base, source)
        why = "the agent has committed it and changed it again: merge its commits, then pull again"
        return committed, dict.fromkeys(sorted(self._pending & self.agent.dirty - committed), why)

    def same_here(self, target: Mapping[str, str]) -> dict[str, str]:
        """Files of the owner that equal the agent's last commit byte by byte, so that the agent's later edit is newer.

        The comparison depends neither on the agent's index nor on files that the owner's git ignores.
        """
        if not self.agent.head:
            return {}
        tree = self.git.tree(self.agent.head)
        wanted = [path for path in sorted(self.agent.dirty & target.keys()) if path in tree]
        return {path: target[path] for path in wanted if self._is_blob(path, target[path], *tree[path])}

    def _is_blob(self, path: str, mark: str, mode: str, name: str) -> bool:
        kind = "120000" if mark.startswith("-> ") else "100755" if mark.endswith("x") else "100644"
        return mode == kind and blob(self.root / path, name) == name

    def keep(self, remote: str) -> list[str]:
        """Store the branches at refs/remotes/<remote>/. Returns lines that say which ones to merge."""
        if self.wrong or not self.branches:
            return self.to_merge(remote)
        self.file.seek(0)
        try:
            left = bring(self.root, self.file, remote)
        except BottleError as error:
            return [f"commits were not fetched: {error}"]
        lines = [f"left  branch {name}: git takes no ref of this name here" for name in left]
        return lines + self.to_merge(remote, left)

    def to_merge(self, remote: str, left: Collection[str] = ()) -> list[str]:
        """A line for each branch with commits that no branch here has. The branch of the agent's HEAD comes first."""
        if self.wrong:
            return [f"commits were not fetched: {self.wrong}"]
        lines: list[str] = []
        said: list[str] = []
        names = sorted(self.branches.keys() - set(left), key=lambda name: (name != self.agent.branch, name))
        for name in names[:_SHOWN]:
            tip = self.branches[name]
            new = "some" if self._is_partial else self._count(tip, said)
            if new != "0":
                said.append(tip)
                shown = shlex.quote(f"{remote}/{name}")  # git allows characters in a name that a shell interprets
                lines.append(f"commits: {new} on {shown}; git merge {shown} merges them")
        return lines + [f"… and {len(names) - _SHOWN} more branches"] * (len(names) > _SHOWN)

    def _count(self, tip: str, said: list[str]) -> str:
        return self.git.ask("rev-list", "--count", tip, "--not", *said, "HEAD", "--branches") or "some"


@contextlib.contextmanager
def fetched(agent: AgentFiles, root: Path) -> Iterator[AgentCommits]:
    """The agent's commits. Their objects stay in a temporary folder while the block runs. None without a `.git`."""
    with tempfile.TemporaryFile(suffix=".bundle") as file, tempfile.TemporaryDirectory() as folder:
        commits = AgentCommits(root, file, OwnersGit(root))
        if (root / ".git").exists():
            try:
                _fetch(commits, agent, Path(folder))
            except (BottleError, OSError) as error:
                commits.wrong, commits.agent = str(error), NOWHERE
        yield commits


def _fetch(commits: AgentCommits, agent: AgentFiles, folder: Path) -> None:
    agent.run_into(f"cd {WORKSPACE}; {_BUNDLE}", commits.file)
    if not commits.file.tell():
        return
    commits.file.seek(0)
    own = commits.root / commits.git("rev-parse", "--git-path", "objects").strip()
    env = {"GIT_OBJECT_DIRECTORY": str(folder), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(own.resolve())}
    commits.git = OwnersGit(commits.root, env)
    commits.branches = unpack(commits.root, commits.file, env)
    commits._is_partial = commits.git.is_partial()
    if commits._is_partial:
        return  # git would request from the owner's upstream whatever the agent's commits name
    commits.owner, side = commits.git.side(), agents_side(agent)
    pending = commits.git.brought_by(side.head, commits.owner.head) if side.head and commits.owner.head else None
    if pending is not None:
        commits.agent, commits._pending = side, pending
