"""The work that only the agent has, before its home is deleted."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claude_bottle.host.child_env import child_env
from claude_bottle.host.pulumi_stack import outputs
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import WORKSPACE
from claude_bottle.policy.own_command import own_command
from claude_bottle.workspace.agent_files import AgentFiles
from claude_bottle.workspace.pull import Pull

_FORMAT = "%(objectname) %(refname:short)"
_HEADS = (
    f"cd {WORKSPACE}; {{ git for-each-ref --format='{_FORMAT}' refs/heads refs/stash;"
    " git symbolic-ref -q HEAD >/dev/null || git rev-parse -q --verify 'HEAD^{commit}' | sed 's/$/ HEAD/'; }"
    " 2>/dev/null | head -c 100000"
)
_SHOWN = 20
_CHANGES = ("new ", "edit ", "gone ")


def unpulled(plan: Mapping[str, Any], container: str) -> list[str]:
    """Files and branches that only the agent has; empty without a copied workspace. Raises BottleError."""
    workspace = plan.get("workspace")
    if not workspace or workspace["mode"] != "copy":
        return []
    try:
        # Files that pull leaves out were reported then, and would block every later `down`.
        lines = [line for line in Pull(plan, container, dry_run=True).run() if line.startswith(_CHANGES)]
    except BottleError as error:
        lines = [str(error)]
    return lines + list(_branches(AgentFiles(container), Path(workspace["source"])))


def _branches(agent: AgentFiles, root: Path) -> list[str]:
    lines = agent.run(f"{_HEADS} || true").decode(errors="replace").splitlines()
    heads = [line.partition(" ")[::2] for line in lines if len(line.split(" ")[0]) in (40, 64)]
    return [f"commits of {name} ({tip[:12]})" for tip, name in heads if not _has(root, tip)]


def _has(root: Path, commit: str) -> bool:
    argv = ["git", "-C", str(root), "-c", "core.fsmonitor=false", "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(argv, capture_output=True, check=False, env=child_env()).returncode == 0


def warning(stack: str) -> str:
    """The work that would be lost with the bottle, in words, also if it cannot be determined; "" if there is none."""
    try:
        kept = outputs(stack)
    except BottleError:
        kept = {}
    if "plan" not in kept:
        return ""  # it is not up
    try:
        lines = unpulled(kept["plan"], kept["agent_container"])
    except (BottleError, OSError) as error:
        lines = [f"the agent's work cannot be listed: {error}"]
    if not lines:
        return ""
    more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    text = "\n".join(f"  {line}" for line in [*lines[:_SHOWN], *more])
    return (
        f"only the bottle {stack} has this work, and down would delete it:\n{text}\n"
        f"{own_command(f'pull {stack}')} copies it here; {own_command(f'down {stack} --force')} deletes it"
    )
