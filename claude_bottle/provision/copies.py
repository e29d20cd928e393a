"""Copies folders of the host into the agent. A step verifies all of its input before it replaces anything."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from claude_bottle.policy.errors import BottleError, one_line, printable
from claude_bottle.policy.names.files import AGENT_HOME, WORKSPACE
from claude_bottle.workspace.agent_files import AgentFiles, BaseRecord
from claude_bottle.workspace.copied_git import CopiedGit
from claude_bottle.workspace.host_folder import all_files, digest, items, problems, workspace_files, write_tar
from claude_bottle.workspace.three_way import new_base, three_way, without

_SKILLS = f"{AGENT_HOME}/.claude/skills"
_NEW = f"{_SKILLS}/.claude-bottle-new"
_RECORD = f"{_SKILLS}/.claude-bottle"
_CHANGED = "has changed since this up has read it"


def skills(plan: dict[str, Any]) -> str:
    """Replace the skill folders that an earlier run installed with the named ones. Raises BottleError."""
    agent, names = AgentFiles(plan["container"]), [skill["name"] for skill in plan["skills"]]
    agent.run(f"mkdir -p {_SKILLS} && rm -rf {_NEW} && mkdir {_NEW}")
    for skill in plan["skills"]:
        root = Path(skill["source"])
        files = all_files(root)
        wrong = next(problems(root, files, links_stay_inside=True), None)
        if wrong or digest(items(root, files)) != skill["digest"]:
            raise BottleError(f"skill {skill['name']}: {wrong or f'{root} {_CHANGED}'}")

        def write(out: IO[bytes], root: Path = root, files: list[str] = files, name: str = skill["name"]) -> None:
            write_tar(out, root, files, prefix=f"{name}/")

        agent.extract(_NEW, write)
    wanted = " ".join(map(shlex.quote, names))
    agent.run(
        f'cd {_SKILLS}; for old in $(cat {_RECORD} 2>/dev/null) {wanted}; do rm -rf -- ./"$old"; done;'
        f' for new in {wanted}; do mv {_NEW}/"$new" .; done; rm -rf {_NEW}; echo {wanted} > {_RECORD}'
    )
    return f"skills: {', '.join(names) or 'none'}"


def workspace(plan: dict[str, Any]) -> str:
    """Copy what is new on the host to the agent. Files that the agent has changed stay. Raises BottleError."""
    agent, root = AgentFiles(plan["container"]), Path(plan["source"])
    names = workspace_files(root)
    wrong = next(problems(root, names, links_stay_inside=False), None)
    files = items(root, names)
    if wrong or digest(files) != plan["digest"]:
        raise BottleError(f"workspace: {wrong or f'{root} {_CHANGED}'}")
    record, identity = BaseRecord(plan["stack"]), agent.home_identity()
    base, source = record.read(identity), {item.path: item.mark for item in files}
    agent.run(f"mkdir -p {WORKSPACE}")
    git = CopiedGit(agent, root, plan["branches"]) if plan["copy_git"] else None
    merged = git.bring() if git else ""
    target = agent.workspace_marks({*base, *source})
    apart: set[str] = set()
    if git:
        base |= git.same_there(target)
        apart = git.apart(base, source)
    changes = three_way(without(base, apart), without(source, apart), target)
    if changes.copy:
        agent.extract(WORKSPACE, lambda out: write_tar(out, root, changes.copy))
    if changes.delete:
        gone = "\0".join(changes.delete).encode(errors="surrogateescape")
        agent.run(f"cd {WORKSPACE} && xargs -0 -r rm -f --", gone)
    kept = replace(changes, conflicts=[*changes.conflicts, *sorted(apart)])
    record.write(identity, new_base(base, source, target, kept))
    words = [merged, git.copy() if git else ""]
    if changes.conflicts:
        shown = ", ".join(map(one_line, changes.conflicts[:5])) + (", …" if len(changes.conflicts) > 5 else "")
        words.append(f"the agent's version was kept where both have changed: {shown}")
    notes = [note for note in words if note]
    for note in notes:  # Pulumi shows a step's standard error
        print(printable(f"workspace: {note}"), file=sys.stderr)
    return "; ".join([f"workspace: {len(changes.copy)} files copied, {len(changes.delete)} removed", *notes])
