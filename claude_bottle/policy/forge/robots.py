"""Work assigned to one of GitHub's agents, which writes code past git-gate. Pure.

github.blog/changelog, 2025-12-03: an issue is assigned to GitHub's own agent by REST and GraphQL, with instructions and
the repository in which it works, which may be another one. Other vendors' agents are assigned in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from claude_bottle.policy.forge.capabilities import NOTHING, UNREADABLE
from claude_bottle.policy.forge.fields import plain_json, strings

KEY_REST, KEY_GRAPHQL = "agent_assignment", "agentAssignment"
ASSIGNEES = frozenset(["assignee", "assignees", KEY_REST])
# By login, which ends in `[bot]` only in REST, or as a node of type Bot. Bot ids begin like this now, and were `03:Bot`
# in base64 before (docs.github.com/en/graphql, "global node IDs").
_AGENT = re.compile(
    r"BOT_\S*|\S*\[bot\]|(?:\S*[-_])?(?:agent|copilot|jules)(?:[-_]\S*)?|MDM6Qm90\S*|claude|codex|devin-ai-integration",
    re.IGNORECASE,
)
_LONGEST = 200  # characters
# Fields of an issue, a comment or a reaction (docs.github.com/en/rest/issues, of 2026). Other fields do more:
# `duplicate_issue_id` links the issue to one of any repository.
_FREE = frozenset(
    """
    title body assignee assignees milestone labels type state state_reason issue_field_values content lock_reason
    """.split()  # noqa: SIM905 - a list of names
)


def are_agents(names: Iterable[str]) -> bool:
    """Whether one of these logins or ids is a program's. GitHub has none longer than 200 characters."""
    return any(len(name) <= _LONGEST and _AGENT.fullmatch(name.strip()) for name in names)


def needed_by_issue(body: bytes, *, is_list: bool) -> frozenset[str]:
    """The capabilities that the body of a REST request about an issue needs: `code` if it assigns the issue to an
    agent, `settings` for unknown fields. GitHub reads JSON there, whatever the content type. is_list: the body may be a
    list of labels.
    """
    if body.strip() in (b"", b"null"):
        return NOTHING
    payload = plain_json(body)
    if not isinstance(payload, dict):
        return NOTHING if is_list and isinstance(payload, list) else UNREADABLE
    # Each of them may be an object with a login (docs.github.com/en/rest/issues/assignees).
    named = strings([payload.get("assignee"), payload.get("assignees")])
    needs = {"code"} if KEY_REST in payload or are_agents(named) else set()
    return frozenset(needs if payload.keys() <= {*_FREE, KEY_REST} else {*needs, "settings"})
