"""Capabilities that the body of a request needs that opens or edits a pull request. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from claude_bottle.policy.forge.capabilities import NOTHING, UNREADABLE
from claude_bottle.policy.forge.fields import fields_of_body, is_json
from claude_bottle.policy.forge.paths import Segments

# GitLab's parameters for creating and editing a merge request that change nothing else (lib/api/merge_requests.rb).
# Those of Enterprise (ee/lib/ee/api/merge_requests.rb) all set approvals. The caller's identity is judged elsewhere.
_GITLABS = frozenset(
    """
    id merge_request_iid title description source_branch target_branch target_project_id assignee_id assignee_ids
    reviewer_ids labels add_labels remove_labels milestone_id remove_source_branch squash allow_collaboration
    allow_maintainer_to_push discussion_locked state_event merge_after sudo private_token job_token access_token
    """.split()  # noqa: SIM905 - a list of names
)


def needed_by_merge_request(names: Collection[str]) -> frozenset[str]:
    """The capabilities that the fields of a GitLab merge request need. names: in lower case."""
    others = set(names) - _GITLABS
    # The number of required approvals, and whether requested changes still block, as in GraphQL.
    kinds = {"review" if "approv" in name or name.startswith("override_") else "settings" for name in others}
    return frozenset(kinds)


def needed_by_data_center(readings: tuple[Segments, ...], content_type: str, body: bytes) -> frozenset[str]:
    """The capabilities that the body of a Bitbucket Data Center pull request needs: `settings` if its target is another
    repository than the path's (developer.atlassian.com/server/bitbucket/rest: `toRef` has a repository of its own).
    """
    payload = object_of(content_type, body)
    if payload is None:
        return UNREADABLE
    to = payload.get("toRef")
    named = to.get("repository") if isinstance(to, dict) else None
    if named is None:
        return NOTHING
    project = named.get("project") if isinstance(named, dict) else None
    said = (_text(project, "key"), _text(named, "slug"))
    by_number = any(isinstance(one, dict) and one.get("id") is not None for one in (named, project))
    asked = {
        (segments[at - 3], segments[at - 1])
        for segments in readings
        for at in range(4, len(segments))
        if segments[at - 4] == "projects" and segments[at - 2] == "repos" and segments[at].startswith("pull-requests")
    }
    return NOTHING if asked == {said} and not by_number else frozenset(["settings"])


def object_of(content_type: str, body: bytes) -> dict[str, Any] | None:
    """The fields of a JSON object; another JSON value gets the name "". None if servers could read other fields."""
    fields = fields_of_body(content_type, body) if is_json(content_type) or not body.strip() else None
    return None if fields is None else dict(fields)


def _text(value: Any, name: str) -> str:
    text = value.get(name) if isinstance(value, dict) else None
    return text.lower() if isinstance(text, str) else ""
