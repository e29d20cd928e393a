"""`python -m components.pull STACK`: brings what the agent has done in its workspace copy back to the host.

Files that changed in the bottle only are carried over; where both sides changed, nothing is written at all. Commits
arrive as refs/remotes/bottle-STACK/*. Nothing below a `.git` is written by the agent's word: hooks and config stay.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.agent_files import WORKSPACE, AgentFiles, BaseRecord, is_plain
from components.engine_address import engine_of
from components.errors import BottleError, printable
from components.host_folder import items, workspace_files
from components.three_way import Changes, new_base, three_way


@dataclass
class Pull:
    """One stack's workspace. to: write to this new folder instead of the workspace. force: the agent's version wins."""

    plan: Mapping[str, Any]
    container: str
    to: Path | None = None
    force: bool = False
    dry_run: bool = False

    def run(self) -> list[str]:
        """Lines that say what was done. Raises BottleError, with nothing written, where both sides changed."""
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
        names = {*agent.list_workspace(), *base}
        source = agent.workspace_marks(names)
        changes = three_way(base, source, self._with_ignored(root, source, target))
        if changes.conflicts and self.force:
            changes.copy += [path for path in changes.conflicts if path in source]
            changes.delete += [path for path in changes.conflicts if path not in source]
            changes.conflicts = []
        if changes.conflicts:
            raise BottleError(_told(changes.conflicts))
        lines = [f"{'new ' if path not in target else 'edit'}  {path}" for path in sorted(changes.copy)]
        lines += [f"gone  {path}" for path in sorted(changes.delete)]
        if self.dry_run:
            return [*lines, f"{len(lines)} files would change in {root}"]
        self._write(agent, root, changes)
        if not self.to:
            record.write(identity, new_base(base, source, target, changes))
        lines.append(f"{len(lines)} files changed in {root}")
        return [*lines, *self._commits(agent, root)]

    @staticmethod
    def _with_ignored(root: Path, source: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
        """The host's side, with files that git ignores there but the agent has: they are not to be lost either."""
        hidden = [name for name in source if name not in target and (root / name).is_file() and _inside(root, name)]
        return {**target, **{item.path: item.mark for item in items(root, hidden)}}

    def _write(self, agent: AgentFiles, root: Path, changes: Changes) -> None:
        root.mkdir(parents=True, exist_ok=True)
        with agent.workspace_tar(changes.copy) as tar:
            for member in tar:
                if member.name in changes.copy:
                    _place(root, member, tar)
        for name in changes.delete:
            if _inside(root, name):
                (root / name).unlink(missing_ok=True)

    def _commits(self, agent: AgentFiles, root: Path) -> list[str]:
        """Fetch the agent's branches from a bundle, which carries objects and refs and nothing that git would run."""
        if not (root / ".git").exists():
            return []
        with tempfile.NamedTemporaryFile(suffix=".bundle") as bundle:
            script = "git rev-parse -q --verify HEAD >/dev/null || exit 0; git bundle create -q - --branches"
            bundle.write(agent.run(f"cd {WORKSPACE}; {script}"))
            bundle.flush()
            if not bundle.tell():
                return []
            refs = f"+refs/heads/*:refs/remotes/bottle-{self.plan['stack']}/*"
            fetch = ["fetch", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", bundle.name, refs]
            argv = ["git", "-C", str(root), "-c", "core.hooksPath=/dev/null", "-c", "fetch.fsckObjects=true", *fetch]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return [f"commits were not fetched: {(done.stderr.strip().splitlines() or ['?'])[-1]}"]
        return [f"commits: git log bottle-{self.plan['stack']}/main (its branches are under refs/remotes/bottle-…)"]


def _told(conflicts: list[str]) -> str:
    shown = "".join(f"\n  {path}" for path in conflicts[:20]) + ("\n  …" if len(conflicts) > 20 else "")
    return (
        f"{len(conflicts)} files have changed here and in the bottle; nothing was written:{shown}\n"
        "TO=folder puts the agent's version into a new folder to compare; FORCE=1 lets the agent's version win"
    )


def _inside(root: Path, name: str) -> bool:
    """Whether writing to `name` stays below `root`: no part of the way there is a link."""
    way = root
    for part in name.split("/")[:-1]:
        way = way / part
        if way.is_symlink() or (way.exists() and not way.is_dir()):
            return False
    return is_plain(name)


def _place(root: Path, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
    if not _inside(root, member.name):
        raise BottleError(f"{member.name}: leads out of the workspace; stopped there")
    path = root / member.name
    if member.issym():
        target = Path(member.linkname)
        if target.is_absolute() or not (path.parent / target).resolve().is_relative_to(root.resolve()):
            left = f"left  {member.name}: a link that leaves the workspace ({member.linkname})"
            print(printable(left), file=sys.stderr)
            return
    elif not (member.isreg() or member.islnk()):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.claude-bottle-new")
    new.unlink(missing_ok=True)
    if member.issym():
        new.symlink_to(member.linkname)
    else:
        data = tar.extractfile(member)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if data is not None:
                shutil.copyfileobj(data, file)
        old = path.stat().st_mode if path.is_file() and not path.is_symlink() else 0o644
        mode = stat.S_IMODE(old) & ~0o111 | (0o111 & (old | 0o744) if member.mode & 0o100 else 0)
        new.chmod(mode)
    new.replace(path)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="make pull STACK=…", description=__doc__)
    parser.add_argument("stack", help="name of the stack")
    parser.add_argument("--to", type=Path, help="write to this new folder and leave the workspace alone")
    parser.add_argument("--force", action="store_true", help="the agent's version wins where both sides changed")
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    args = parser.parse_args()
    os.environ.update(engine_of(args.stack))
    shown = ["pulumi", "stack", "output", "--json", "--stack", args.stack]
    done = subprocess.run(shown, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{args.stack}: {done.stderr.strip()}", file=sys.stderr)
        return 1
    outputs = json.loads(done.stdout)
    if "plan" not in outputs:
        print(f"{args.stack} is not up", file=sys.stderr)
        return 1
    try:
        pull = Pull(outputs["plan"], outputs["agent_container"], args.to, args.force, args.dry_run)
        print(printable("\n".join(pull.run())))
    except (BottleError, OSError) as error:
        print(printable(str(error)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
