"""What requests to Azure DevOps do by their query and their body: pull requests that are opened, work items. Pure.

learn.microsoft.com/rest/api/azure/devops (7.1). Newtonsoft's JSON and ASP.NET take a name in any case.
"""

from __future__ import annotations

import re

from claude_bottle.policy.forge.capabilities import NOTHING, UNREADABLE
from claude_bottle.policy.forge.fields import fields_of_query, parts_of
from claude_bottle.policy.forge.pulls import object_of

# git/pull-requests/create: with autoCompleteSetBy and completionOptions it is merged, with a vote approved.
_WORDS = frozenset(
    "sourcerefname targetrefname title description isdraft labels workitemrefs reviewers forksource".split()  # noqa: SIM905
)
# wit/work-items/update and delete: it says then who wrote what, and leaves nothing.
_OPTIONS = frozenset(["bypassrules", "destroy"])
_PROJECT = re.compile(r"team\s*project", re.IGNORECASE)  # System.TeamProject, also by its name
_WORK_ITEMS = re.compile(r"wit/workitems(?:/.*)?\Z")


def needed_by_pull(content_type: str, body: bytes) -> frozenset[str]:
    """What the body of a pull request that is opened needs."""
    payload = object_of(content_type, body)
    if payload is None:
        return UNREADABLE
    parts = (part for part in parts_of(payload) if isinstance(part, dict))
    votes = (value for part in parts for name, value in part.items() if name.lower() == "vote")
    needs = {"review"} if any(votes) else set()
    return frozenset(needs if {name.lower() for name in payload} <= _WORDS else {*needs, "merge"})


def is_work_item(rest: str) -> bool:
    """Whether what follows `_apis` is of work items, whose fields are in the body."""
    return bool(_WORK_ITEMS.match(rest))


def needed_by_work_item(query: str, content_type: str, body: bytes) -> frozenset[str]:
    """What a change of a work item needs: `settings` where it goes to another project, or past the project's rules."""
    if any(name.strip().lower() in _OPTIONS for name, _ in fields_of_query(query)):
        return frozenset(["settings"])
    payload = object_of(content_type, body)
    if payload is None:
        return UNREADABLE
    parts = (part for part in parts_of(payload) if isinstance(part, dict))
    paths = (value for part in parts for name, value in part.items() if name.lower() in ("path", "from"))
    moves = any(_PROJECT.search(one) for one in paths if isinstance(one, str))
    return frozenset(["settings"]) if moves else NOTHING
