"""The command that continues an agent's conversation: same identity, home and session, whatever runs it now."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from claude_bottle.engines.chosen import open_client
from claude_bottle.host.bounded import run_bounded

_SAFE_FOLDER = re.compile(r"/[A-Za-z0-9._/-]{0,300}\Z")
# Where the newest session of Claude Code was; it keeps a file of JSON lines for each, below its working folder's name.
_NEWEST = """
newest=$(ls -t /home/node/.claude/projects/*/*.jsonl 2>/dev/null | head -n 1)
[ -n "$newest" ] && grep -m1 -o '"cwd":"[^"]*"' "$newest" || true
"""


def is_running(stack: str, project: Path = Path()) -> bool:
    """Whether the agent is there and up."""
    return open_client(stack, project).is_running("agent")


def resume_command(stack: str, project: Path = Path()) -> str:
    """To be pasted into a shell. Raises BottleError when the agent cannot be asked."""
    client = open_client(stack, project)
    newest = client.inside("agent", ["timeout", "-k", "1", "20", "sh", "-c", _NEWEST])
    out = io.BytesIO()
    run_bounded(newest.argv, f"the agent of {stack}", out=out, seconds=30, most=1 << 20, env=newest.env)
    session = out.getvalue().decode(errors="replace").strip()
    return client.attach_line("claude", *(["--continue"] if session else []), folder=_folder(session))


def _folder(text: str) -> str:
    """The folder in what the agent's own files say, where it is one that cannot be anything else."""
    try:
        folder = json.loads("{" + text + "}")["cwd"]
    except (ValueError, KeyError):
        return ""
    return folder if isinstance(folder, str) and _SAFE_FOLDER.match(folder) else ""
