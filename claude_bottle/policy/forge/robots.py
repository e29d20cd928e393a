"""Work that is given to GitHub's own agent, which writes code past git-gate. Pure.

github.blog/changelog, 2025-12-03: an issue is assigned to it by REST and GraphQL, with instructions, and with the
repository in which it works, which may be another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from claude_bottle.policy.strict_json import read_json

KEY_REST, KEY_GRAPHQL = "agent_assignment", "agentAssignment"
# By login, or as a node of the type Bot, whose IDs begin like this (docs.github.com/en/graphql, "global node IDs").
_AGENT = re.compile(r"BOT_.*|copilot(?:-swe-agent)?(?:\[bot\])?", re.IGNORECASE | re.DOTALL)


def are_agents(names: Iterable[str]) -> bool:
    """Whether one of these logins or IDs is a program's."""
    return any(_AGENT.fullmatch(name.strip()) for name in names)


def assigns_agent(body: bytes) -> bool:
    """Whether the body of a REST request about an issue gives it to an agent, or nobody can say."""
    request = read_json(body)
    if not isinstance(request, dict):
        return body.lstrip()[:1] == b"{" or KEY_REST.encode() in body
    several = request.get("assignees")
    named = [request.get("assignee"), *(several if isinstance(several, list) else [several])]
    return KEY_REST in request or are_agents(one for one in named if isinstance(one, str))
