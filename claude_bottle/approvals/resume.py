"""The command that continues an agent's conversation: same identity, home and session, whatever container it is in."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
from pathlib import Path

from claude_bottle.engines.docker.address import engine_of, environment, prefix
from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.host.bounded import run_bounded
from claude_bottle.host.child_env import child_env

_SAFE_FOLDER = re.compile(r"/[A-Za-z0-9._/-]{0,300}\Z")
# Where the newest session of Claude Code was; it keeps a file of JSON lines for each, below its working folder's name.
_NEWEST = """
newest=$(ls -t /home/node/.claude/projects/*/*.jsonl 2>/dev/null | head -n 1)
[ -n "$newest" ] && grep -m1 -o '"cwd":"[^"]*"' "$newest" || true
"""


def is_running(stack: str, project: Path = Path()) -> bool:
    """Whether the agent's container is there and up."""
    env = environment(stack, project)
    argv = ["docker", "inspect", "--format", "{{.State.Running}}", docker_name("agent", stack)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, env=env)
    return done.stdout.strip() == "true"


def resume_command(stack: str, project: Path = Path()) -> str:
    """To be pasted into a shell. Raises BottleError when the agent cannot be asked."""
    agent, engine = docker_name("agent", stack), engine_of(stack, project)
    argv = ["docker", "exec", "-u", "node", agent, "timeout", "-k", "1", "20", "sh", "-c", _NEWEST]
    out = io.BytesIO()
    run_bounded(argv, f"the agent of {stack}", out=out, seconds=30, most=1 << 20, env=child_env(engine))
    session = out.getvalue().decode(errors="replace").strip()
    folder = _folder(session)
    where = f" -w {shlex.quote(folder)}" if folder else ""
    return f"{prefix(engine)}docker exec -it -u node{where} {agent} claude{' --continue' if session else ''}"


def _folder(told: str) -> str:
    """The folder in what the agent's own files say, where it is one that cannot be anything else."""
    try:
        folder = json.loads("{" + told + "}")["cwd"]
    except (ValueError, KeyError):
        return ""
    return folder if isinstance(folder, str) and _SAFE_FOLDER.match(folder) else ""
