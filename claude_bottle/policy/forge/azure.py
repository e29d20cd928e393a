"""Capabilities that requests to Azure DevOps need by query and body: opened pull requests, work items. Pure.

learn.microsoft.com/rest/api/azure/devops (7.1). Newtonsoft's JSON and ASP.NET ignore the case of names.
"""

from __future__ import annotations

import re

from claude_bottle.policy.forge.capabilities import NOTHING, UNREADABLE
from claude_bottle.policy.forge.fields import fields_of_query, parts_of
from claude_bottle.policy.forge.pulls import object_of

# git/pull-requests/create: autoCompleteSetBy and completionOptions merge it, and a vote approves it.
_WORDS = frozenset(
    "sourcerefname targetrefname title description isdraft labels workitemrefs reviewers forksource".split()  # noqa: SIM905
)
# wit/work-items/update and delete: the first may set who wrote what, the second deletes permanently.
_OPTIONS = frozenset(["bypassrules", "destroy"])
_PROJECT = re.compile(r"team\s*project", re.IGNORECASE)  # System.TeamProject, also by its display name
_WORK_ITEMS = re.compile(r"wit/workitems(?:/.*)?\Z")


def needed_by_pull(content_type: str, body: bytes) -> frozenset[str]:
    """The capabilities that the body of an opened pull request needs."""
    payload = object_of(content_type, body)
    if payload is None:
        return UNREADABLE
    parts = (part for part in parts_of(payload) if isinstance(part, dict))
    votes = (value for part in parts for name, value in part.items() if name.lower() == "vote")
    needs = {"review"} if any(votes) else set()
    return frozenset(needs if {name.lower() for name in payload} <= _WORDS else {*needs, "merge"})


def is_work_item(rest: str) -> bool:
    """Whether the path after `_apis` is of work items, whose fields are in the body."""
    return bool(_WORK_ITEMS.match(rest))


def needed_by_work_item(query: str, content_type: str, body: bytes) -> frozenset[str]:
    """The capabilities of a change to a work item: `settings` if it changes the project or bypasses its rules."""
    if any(name.strip().lower() in _OPTIONS for name, _ in fields_of_query(query)):
        return frozenset(["settings"])
    payload = object_of(content_type, body)
    if payload is None:
        return UNREADABLE
    parts = (part for part in parts_of(payload) if isinstance(part, dict))
    paths = (value for part in parts for name, value in part.items() if name.lower() in ("path", "from"))
    moves = any(_PROJECT.search(one) for one in paths if isinstance(one, str))
    return frozenset(["settings"]) if moves else NOTHING
