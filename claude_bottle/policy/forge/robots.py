"""Work that is given to one of GitHub's agents, which writes code past git-gate. Pure.

github.blog/changelog, 2025-12-03: an issue is assigned to its own one by REST and GraphQL, with instructions, and with
the repository in which it works, which may be another one. Other makers' agents are assigned alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from claude_bottle.policy.forge.capabilities import NOTHING, UNREADABLE
from claude_bottle.policy.forge.fields import plain_json

KEY_REST, KEY_GRAPHQL = "agent_assignment", "agentAssignment"
ASSIGNEES = frozenset(["assignee", "assignees", KEY_REST])
# By login, which ends in `[bot]` in REST alone, or as a node of the type Bot, whose IDs begin like this: of today, and
# `03:Bot` in base64 before (docs.github.com/en/graphql, "global node IDs").
_AGENT = re.compile(
    r"BOT_\S*|\S*\[bot\]|(?:\S*[-_])?(?:agent|copilot|jules)(?:[-_]\S*)?|MDM6Qm90\S*|claude|codex|devin-ai-integration",
    re.IGNORECASE,
)
_LONGEST = 200  # letters


def are_agents(names: Iterable[str]) -> bool:
    """Whether one of these logins or IDs is a program's. GitHub has none that is longer."""
    return any(len(name) <= _LONGEST and _AGENT.fullmatch(name.strip()) for name in names)


def needed_by_assignment(body: bytes, *, is_list: bool) -> frozenset[str]:
    """What the body of a REST request about an issue needs: `code` where it gives the issue to an agent. GitHub takes
    JSON there, whatever the body is called. is_list: it may be a list, which names labels.
    """
    if body.strip() in (b"", b"null"):
        return NOTHING
    payload = plain_json(body)
    if not isinstance(payload, dict):
        return NOTHING if is_list and isinstance(payload, list) else UNREADABLE
    several = payload.get("assignees")
    named = [payload.get("assignee"), *(several if isinstance(several, list) else [several])]
    given = KEY_REST in payload or are_agents(one for one in named if isinstance(one, str))
    return frozenset(["code"]) if given else NOTHING
