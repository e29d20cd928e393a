"""Files of the agent's home that the stack determines: the prompt, git settings, the MCP server's registration."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from claude_bottle.engines.chosen import inside_agent
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import AGENT_HOME
from claude_bottle.policy.names.roles import PORTS
from claude_bottle.workspace.agent_files import AgentFiles

# Claude Code reads every file of this folder at the start of every session. CLAUDE.md belongs to the agent.
_PROMPT = f"""
umask 022
cd {AGENT_HOME}/.claude 2>/dev/null || {{ mkdir {AGENT_HOME}/.claude; cd {AGENT_HOME}/.claude; }}
mkdir -p rules
cat > rules/.claude-bottle-prompt.new
if [ -s rules/.claude-bottle-prompt.new ]; then mv rules/.claude-bottle-prompt.new rules/claude-bottle-prompt.md
else rm -f rules/.claude-bottle-prompt.new rules/claude-bottle-prompt.md; fi
"""
# A separate file, included by ~/.gitconfig, because the agent may keep settings of its own there.
_GIT = f"""
cd {AGENT_HOME}; umask 022
cat > .gitconfig-claude-bottle.new; mv .gitconfig-claude-bottle.new .gitconfig-claude-bottle
command -v git >/dev/null || exit 0
git config --global --get-all include.path | grep -qxF "~/.gitconfig-claude-bottle" \\
  || git config --global --add include.path "~/.gitconfig-claude-bottle"
"""
_URL = f"http://supervise:{PORTS['supervise']}/"
_ADD = f"claude mcp add --scope user --transport http supervise {_URL}"
_REMOVE = "claude mcp remove --scope user supervise"


def prompt(given: dict[str, Any]) -> str:
    """Write the text `prompt` where every session reads it. An empty text removes it. Raises BottleError."""
    agent = AgentFiles(given["container"])
    with _otherwise(f"the prompt could not be put into {agent.container}; is {AGENT_HOME} full, or not of node?"):
        agent.run(_PROMPT, given["prompt"].encode())
    return "prompt: set" if given["prompt"] else "prompt: none"


def git(given: dict[str, Any]) -> str:
    """Add the text `config` to git's settings. Raises BottleError."""
    agent = AgentFiles(given["container"])
    with _otherwise(f"git could not be configured in {agent.container}; is {AGENT_HOME} full, or ~/.gitconfig broken?"):
        agent.run(_GIT, given["config"].encode())
    return "git: configured"


def supervise(given: dict[str, Any]) -> str:
    """Register the MCP server if `wanted`, else remove it. Only warns on failure: the agent works without it."""
    agent, wanted = AgentFiles(given["container"]), bool(given["wanted"])
    count = b"0"
    with contextlib.suppress(BottleError):
        count = agent.run(f'grep -c "{_URL}" {AGENT_HOME}/.claude.json || true').strip()
    if (count not in (b"", b"0")) == wanted:
        return "supervise: nothing to change"
    command = _ADD if wanted else _REMOVE
    try:
        agent.run(f"cd {AGENT_HOME} && {command}")
    except BottleError:
        by_hand = shlex.join(inside_agent(agent.container, command.split()))
        print(f"warning: the agent's MCP server list could not be changed; by hand: {by_hand}", file=sys.stderr)
        return "supervise: not changed"
    return "supervise: registered" if wanted else "supervise: removed"


@contextlib.contextmanager
def _otherwise(words: str) -> Iterator[None]:
    """Replace the script's error with these words, because the agent determines the script's output."""
    try:
        yield
    except BottleError:
        raise BottleError(words) from None
