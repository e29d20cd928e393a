"""Brings what the agent has done in its copy of the workspace back to the host.

Commits arrive as refs/remotes/bottle-STACK/*. As files comes what the agent has not committed, where it changed in the
bottle only; where both sides changed, nothing is written at all. Nothing below a `.git` is written by the agent's word:
hooks and config stay.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from claude_bottle.engines.chosen import use_engine_of
from claude_bottle.host.pulumi_stack import outputs
from claude_bottle.policy.errors import BottleError, one_line
from claude_bottle.workspace.agent_commits import fetched
from claude_bottle.workspace.agent_files import AgentFiles, BaseRecord
from claude_bottle.workspace.host_folder import items, workspace_files
from claude_bottle.workspace.incoming import left_out
from claude_bottle.workspace.placing import Placing
from claude_bottle.workspace.run_files import run_by
from claude_bottle.workspace.three_way import Changes, new_base, three_way, without

Note = Callable[[str, str | None], None]


@dataclass
class Pull:
    """One pull of one stack's workspace.

    to: write to this new folder instead of the workspace. force: the agent's version wins. run_files: whether to place
    files that the owner's programs run automatically.
    """

    plan: Mapping[str, Any]
    container: str
    to: Path | None = None
    force: bool = False
    dry_run: bool = False
    run_files: bool = True

    def run(self) -> list[str]:
        """Place the agent's work. Returns lines that say what was done. Raises BottleError, with nothing written, if
        both sides changed a file.

        Every file is checked before the first is written, and recorded as soon as it is in place.
        """
        workspace = self.plan.get("workspace")
        if not workspace or workspace["mode"] != "copy":
            raise BottleError("this bottle has no workspace of mode copy, so there is nothing to pull")
        if self.to is not None and self.to.exists() and any(self.to.iterdir()):
            raise BottleError(f"{self.to} is not empty; name a new folder")
        root = self.to or Path(workspace["source"])
        agent, record = AgentFiles(self.container), BaseRecord(self.plan["stack"])
        identity = agent.home_identity()
        base = {} if self.to else record.read(identity)
        target = {} if self.to else {item.path: item.mark for item in items(root, workspace_files(root))}
        source = agent.workspace_marks({*agent.list_workspace(), *base})
        with fetched(agent, root) as commits:
            base |= commits.same_here(target)
            committed, again = commits.files_alone(base, source)
            apart = committed | again.keys()
            here = self._with_ignored(root, source, target)
            changes = three_way(without(base, apart), without(source, apart), here)
            if changes.conflicts and self.force:
                changes.copy += [path for path in changes.conflicts if path in source]
                changes.delete += [path for path in changes.conflicts if path not in source]
                changes.conflicts = []
            if changes.conflicts:
                raise BottleError(_told(changes.conflicts))
            left = {path: why for path, why in again.items() if source.get(path) != here.get(path)}
            left |= self._left_out(root, source, changes)
            placing = Placing(root)
            if obstacles := [f"\n  {one_line(o)}" for o in placing.obstacles(changes.copy, changes.delete)]:
                raise BottleError(f"nothing was written:{''.join(obstacles[:20])}")
            lines = list(_lines(changes, target, left))
            if self.dry_run:
                lines.append(f"{len(changes.copy) + len(changes.delete)} files would change in {root}")
                return list(map(one_line, [*lines, *commits.to_merge(self._remote)]))
            note = (lambda *_: None) if self.to else partial(record.add, identity)
            lines += self._write(agent, placing, root, changes, source, note)
            if not self.to:
                changes.conflicts = sorted(apart)  # keep their base until a commit changes it
                record.write(identity, new_base(base, source, target, changes))
            lines.append(f"{len(changes.copy) + len(changes.delete)} files changed in {root}")
            return list(map(one_line, [*lines, *commits.keep(self._remote)]))

    @property
    def _remote(self) -> str:
        return f"bottle-{self.plan['stack']}"

    def _left_out(self, root: Path, source: Mapping[str, str], changes: Changes) -> dict[str, str]:
        """Files that are not placed, with the reason. Removes them from the changes."""
        links = {path: mark[3:] for path, mark in source.items() if mark.startswith("-> ")}

        def exists(path: str) -> bool:
            return os.path.lexists(root / path)

        left = dict(left_out(changes.copy, links, exists, run_files=self.run_files))
        changes.copy = [path for path in changes.copy if path not in left]
        return left

    @staticmethod
    def _with_ignored(root: Path, source: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
        """The host's side, plus files that git ignores there but the agent has, so that those are not lost either."""
        inside = Placing(root).inside
        hidden = [name for name in source if name not in target and (root / name).is_file() and inside(name)]
        return {**target, **{item.path: item.mark for item in items(root, hidden)}}

    def _write(
        self, agent: AgentFiles, placing: Placing, root: Path, changes: Changes, source: Mapping[str, str], note: Note
    ) -> list[str]:
        root.mkdir(parents=True, exist_ok=True)
        for name in changes.delete:
            placing.remove(name)
            note(name, None)
        wanted, placed = set(changes.copy), set()
        with agent.workspace_tar(changes.copy) as files:
            for member, data in files:
                if _as_judged(member, source[member.name]) and placing.place(member, data):
                    placed.add(member.name)
                    note(member.name, source[member.name])
        out = placing.look_again(name for name in placed if source[name].startswith("-> "))
        for name in out:
            note(name, None)
        missing = wanted - placed
        changes.copy = sorted(placed.difference(out))
        return [f"left  {name}: a link that leaves the workspace" for name in out] + [
            f"left  {name}: it changed while it was read; pull again" for name in sorted(missing)
        ]


def _told(conflicts: list[str]) -> str:
    shown = "".join(f"\n  {one_line(path)}" for path in conflicts[:20]) + ("\n  …" if len(conflicts) > 20 else "")
    return (
        f"{len(conflicts)} files have changed here and in the bottle; nothing was written:{shown}\n"
        "--to folder (make: TO=folder) puts the agent's version into a new folder to compare;"
        " --force (FORCE=1) lets the agent's version win"
    )


def _as_judged(member: tarfile.TarInfo, mark: str) -> bool:
    """Whether a member is still a file, or the same link. The agent may have replaced it since it was checked."""
    return mark == f"-> {member.linkname}" if member.issym() else not mark.startswith("-> ")


def _lines(changes: Changes, target: Mapping[str, str], left: Mapping[str, str]) -> Iterator[str]:
    """The changes as lines. Files that the owner's programs run automatically come last."""
    verbs = {path: "new " if path not in target else "edit" for path in changes.copy}
    run = {path: by for path in changes.copy if (by := run_by(path))}
    yield from (f"{verbs[path]}  {path}" for path in sorted(set(changes.copy).difference(run)))
    yield from (f"gone  {path}" for path in sorted(changes.delete))
    yield from (f"left  {path}: {why}" for path, why in sorted(left.items()))
    if run:
        yield (
            "read these before you work there, because programs run them automatically (--no-run-files leaves them"
            " out):"
        )
        yield from (f"{verbs[path]}  {path}  ({by})" for path, by in sorted(run.items()))


def pull(stack: str, **options: Any) -> list[str]:
    """Place the agent's work here. Returns lines that say what was done. options: of Pull. Raises BottleError."""
    use_engine_of(stack)
    kept = outputs(stack)
    if "plan" not in kept:
        raise BottleError(f"{stack} is not up")
    return Pull(kept["plan"], kept["agent_container"], **options).run()
