"""The agent's `.git` in a copied workspace: created once from the owner's, then updated with the owner's branches.

Standard library only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import WORKSPACE
from claude_bottle.workspace.agent_files import AgentFiles
from claude_bottle.workspace.git_folder import git_configs, git_files
from claude_bottle.workspace.git_sides import NOWHERE, OwnersGit, Side, agents_blobs, agents_side, by_commits
from claude_bottle.workspace.host_folder import all_files, write_tar
from claude_bottle.workspace.owner_branches import OwnerBranches, heads


class CopiedGit:
    """One `up`: call `bring` first, then copy the files that are not `apart`, then call `copy`."""

    def __init__(self, agent: AgentFiles, root: Path, branches: str) -> None:
        """branches: the digest of the checked ones. Raises BottleError if the branches have changed since."""
        self._agent, self._root = agent, root
        self._branches = OwnerBranches(root, agent, heads(root))
        if self._branches.digest != branches:
            raise BottleError(f"workspace: the branches of {root} have changed since they were checked; run it again")
        self._is_there = agent.run(f"test -e {WORKSPACE}/.git && echo yes || true").strip() == b"yes"
        self._owner, self._theirs = NOWHERE, NOWHERE
        self._pending: frozenset[str] = frozenset()

    def bring(self) -> str:
        """Send the owner's branches, if the agent has a repository already. Returns what remains to do, or ""."""
        if not self._is_there:
            return ""
        try:
            self._branches.send()
            left = self._branches.advance(agents_side(self._agent))
            owner, theirs = OwnersGit(self._root).side(), agents_side(self._agent)
            self._pending = self._brought_by(owner, theirs)
        except (BottleError, OSError) as error:
            return f"commits were not brought: {error}"
        self._owner, self._theirs = owner, theirs
        return left

    def _brought_by(self, owner: Side, theirs: Side) -> frozenset[str]:
        """Files changed by the owner's commits that the agent has not merged."""
        if not owner.head or not theirs.head:
            return frozenset()
        return OwnersGit(self._root).brought_by(owner.head, theirs.head) or frozenset()

    def same_there(self, target: Mapping[str, str]) -> dict[str, str]:
        """Files of the agent that equal the owner's last commit, so that the owner's later edit is newer."""
        if not self._owner.head:
            return {}
        tree = OwnersGit(self._root).tree(self._owner.head)
        wanted = [path for path in sorted(self._owner.dirty & target.keys()) if path in tree]
        now = agents_blobs(self._agent, wanted)
        return {path: target[path] for path in wanted if now[path] == tree[path][1]}

    def apart(self, base: Mapping[str, str], source: Mapping[str, str]) -> set[str]:
        """Files that the owner's commits bring, and those changed again since, which would conflict with a merge."""
        if not self._owner.head or not self._theirs.head:
            return set()
        return by_commits(self._owner, self._theirs, base, source) | (self._pending & self._owner.dirty)

    def copy(self) -> str:
        """Create the agent's `.git`, if it has none. Returns a remark, or ""."""
        if self._is_there:
            return ""
        agent, root = self._agent, self._root
        agent.run(f"rm -rf {WORKSPACE}/.git-new")
        agent.extract(f"{WORKSPACE}/.git-new", lambda out: write_tar(out, root / ".git", git_files(root)))
        with tempfile.TemporaryDirectory() as folder:
            configs = Path(folder)
            left = git_configs(root, configs)
            agent.extract(f"{WORKSPACE}/.git-new", lambda out: write_tar(out, configs, all_files(configs)))
        agent.run(f"cd {WORKSPACE} && mkdir -p .git-new/refs .git-new/objects && mv .git-new .git")
        agent.run(f"cd {WORKSPACE} && git update-index -q --refresh || true")
        self._branches.send()
        return ".git copied" + (f" without these keys of its config: {', '.join(left)}" if left else "")
