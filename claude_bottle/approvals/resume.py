"""The command that continues an agent's conversation, with the same identity, home and session in any container."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from claude_bottle.engines.chosen import open_client
from claude_bottle.host.bounded import run_bounded
from claude_bottle.policy.names.files import AGENT_HOME

_SAFE_FOLDER = re.compile(r"/[A-Za-z0-9._/-]{0,300}\Z")
# Claude Code keeps a file of JSON lines per session, below the name of its working folder.
_NEWEST = f"""
newest=$(ls -t {AGENT_HOME}/.claude/projects/*/*.jsonl 2>/dev/null | head -n 1)
[ -n "$newest" ] && grep -m1 -o '"cwd":"[^"]*"' "$newest" || true
"""


def is_running(stack: str, project: Path = Path()) -> bool:
    """Whether the agent's workload exists and runs."""
    return open_client(stack, project).is_running("agent")


def resume_command(stack: str, project: Path = Path()) -> str:
    """The command to paste into a shell. Raises BottleError if the agent does not answer."""
    client = open_client(stack, project)
    newest = client.inside("agent", ["timeout", "-k", "1", "20", "sh", "-c", _NEWEST])
    out = io.BytesIO()
    run_bounded(newest.argv, f"the agent of {stack}", out=out, seconds=30, most=1 << 20, env=newest.env)
    session = out.getvalue().decode(errors="replace").strip()
    return client.attach_line("claude", *(["--continue"] if session else []), folder=_folder(session))


def _folder(text: str) -> str:
    """The folder named in the agent's own files, if it consists only of safe characters, else ""."""
    try:
        folder = json.loads("{" + text + "}")["cwd"]
    except (ValueError, KeyError):
        return ""
    return folder if isinstance(folder, str) and _SAFE_FOLDER.match(folder) else ""
