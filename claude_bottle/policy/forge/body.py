"""Capabilities that a request to a forge needs by its body: GraphQL, LFS uploads, commands in comments, work for
another project or for the forge's own agent. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from claude_bottle.policy.forge.api import account_rests, forges_of, repository_rests
from claude_bottle.policy.forge.azure import is_work_item, needed_by_pull, needed_by_work_item
from claude_bottle.policy.forge.capabilities import NOTHING, UNREADABLE
from claude_bottle.policy.forge.commands import needed_by_texts
from claude_bottle.policy.forge.fields import (
    Fields,
    base_name,
    fields_of_body,
    fields_of_query,
    is_json,
    plain_json,
    strings,
)
from claude_bottle.policy.forge.graphql.mutations import needed_by_graphql
from claude_bottle.policy.forge.graphql.request import is_graphql
from claude_bottle.policy.forge.paths import Segments, is_gitlab_id, may_be_forge, read_path
from claude_bottle.policy.forge.pulls import needed_by_data_center, needed_by_merge_request
from claude_bottle.policy.forge.robots import ASSIGNEES, needed_by_issue
from claude_bottle.policy.forge.rules import AZURE, DATA_CENTER, GITEA, GITHUB, GITLAB

__all__ = ["asks_on_websockets", "is_graphql", "needed_by_body", "reads_body", "tells_caller"]

# Where GitLab accepts comments and descriptions (docs.gitlab.com/api: notes, discussions, draft notes, commits).
_END = r"(?:/.*|\.[^/.]+)?\Z"
_TALKS = re.compile(
    rf"(?:issues|merge_requests|epics|work_items|snippets){_END}"
    rf"|(?!packages/)(?:.*/)?(?:notes|discussions|comments){_END}"
)
# A merge request may be created in another project (docs.gitlab.com/api/merge_requests, "Create MR"), an issue added to
# an epic of another group, and an epic below it (…/issues, …/epics). glab sends the number of the project although the
# path has its name (profclems/glab, commands/mr/create/mr_create.go).
_TARGET, _ABOVE = "target_project_id", frozenset(["epic_id", "parent_id"])
_MERGE_REQUEST = re.compile(r"merge_requests(?:/[0-9]+)?(?:\.[^/.]+)?\Z")
# Where JSON opens a pull request, and at Data Center edits one.
_PULLS = {
    AZURE: re.compile(r"pullrequests\Z"),
    DATA_CENTER: re.compile(r"pull-requests(?:/[0-9]+)?(?:\.[^/.]+)?\Z"),
}
_NUMBERED = re.compile(r"(?:.*/)?api/v4/projects/([0-9]+)\Z", re.DOTALL)
_MAX_BODY = 2 << 20  # GitLab accepts a million characters of a comment (docs.gitlab.com/administration/instance_limits)
_ISSUES = re.compile(r"issues(?:/.*)?\Z")
_BATCH = ["info", "lfs", "objects", "batch"]  # github.com/git-lfs/git-lfs, docs/api/batch.md


def reads_body(method: str, path: str) -> bool:
    """Whether `needed_by_body` must inspect the body of such a request before it is sent."""
    if method in ("HEAD", "OPTIONS"):
        return False
    if is_graphql(path):
        return True
    readings = read_path(path)
    if method == "GET" or readings is None:
        return False
    rests = repository_rests(readings)
    return _is_batch(readings) or _talks(rests) or _assigns(rests) or bool(_pulls(rests)) or _is_work_item(readings)


def tells_caller(path: str) -> bool:
    """Whether the body may set the caller: at GitLab and Gitea by another token, or by `sudo` with an administrator's.

    Rack reads a form of any method (lib/rack/request.rb, POST).
    """
    readings = read_path(path)
    return may_be_forge(path) if readings is None else not forges_of(readings).isdisjoint((GITLAB, GITEA))


def asks_on_websockets(path: str) -> bool:
    """Whether messages on a WebSocket to this path may do anything, or the path is unclear. GitLab's GraphqlChannel
    accepts any mutation at `/-/cable` (app/channels/graphql_channel.rb), and a WebSocket below its API instructs an
    agent (`ai/duo_workflows/ws`; workhorse/internal/ai_assist/duoworkflow).
    """
    readings = read_path(path)
    if readings is None or is_graphql(path) or forges_of(readings):
        return True
    return any(segments[-2:] == ["-", "cable"] for segments in readings)


def needed_by_body(
    host: str, path: str, content_type: str, body: bytes, prefixes: Sequence[str] = ()
) -> frozenset[str]:
    """The capabilities that the body needs. prefixes: the route's paths. The body may name a GitLab project by its
    number if one of these paths does.
    """
    if is_graphql(path):
        return needed_by_graphql(host, path, content_type, body)
    readings = read_path(path)
    if readings is not None and _is_batch(readings):
        batch = plain_json(body)
        # Rails merges the query and a form with JSON (gitlab, app/controllers/repositories/lfs_api_controller.rb).
        if not isinstance(batch, dict) or not is_json(content_type) or "?" in path:
            return UNREADABLE
        # Gitea uses Go's encoding/json, which ignores the case of names and uses the last of equal ones.
        operations = [value for name, value in batch.items() if name.lower() == "operation"]
        return NOTHING if operations == ["download"] else frozenset(["code"])
    rests, query = repository_rests(readings or ()), path.partition("?")[2]
    opens = NOTHING
    work_item = _is_work_item(readings or ())
    if work_item:
        opens |= needed_by_work_item(query, content_type, body)
    if AZURE in (pulls := _pulls(rests)):
        opens |= needed_by_pull(content_type, body)
    if DATA_CENTER in pulls:
        opens |= needed_by_data_center(readings or (), content_type, body)
    if (pulls or work_item) and not _talks(rests) and not _assigns(rests):
        return opens
    if _assigns(rests) and not _talks(rests):
        is_list = all(rest.endswith("/labels") for _, rest in rests)
        beside = {base_name(name) for name, _ in fields_of_query(query)}
        return opens | (UNREADABLE if beside & ASSIGNEES else needed_by_issue(body, is_list=is_list))
    in_body = fields_of_body(content_type, body) if max(len(body), len(query)) <= _MAX_BODY else None
    if in_body is None:
        return UNREADABLE
    fields = [*in_body, *fields_of_query(query)]
    needs = opens | needed_by_texts(text for _, value in fields for text in strings(value))
    if any(forge == GITLAB and _MERGE_REQUEST.match(rest) for forge, rest in rests):
        needs |= needed_by_merge_request({base_name(name) for name, _ in fields})
    return needs | {"settings"} if _goes_elsewhere(readings or (), fields, prefixes) else needs


def _is_batch(readings: tuple[Segments, ...]) -> bool:
    return any(segments[-4:] == _BATCH for segments in readings)


def _talks(rests: list[tuple[str, str]]) -> bool:
    return any(forge == GITLAB and _TALKS.match(rest) for forge, rest in rests)


def _assigns(rests: list[tuple[str, str]]) -> bool:
    return any(forge == GITHUB and _ISSUES.match(rest) for forge, rest in rests)


def _is_work_item(readings: tuple[Segments, ...]) -> bool:
    return any(forge == AZURE and is_work_item(rest) for forge, rest in account_rests(readings))


def _pulls(rests: list[tuple[str, str]]) -> set[str]:
    return {forge for forge, rest in rests if forge in _PULLS and _PULLS[forge].match(rest)}


def _goes_elsewhere(readings: tuple[Segments, ...], fields: Fields, prefixes: Sequence[str]) -> bool:
    named = {base_name(name) for name, value in fields if value not in (None, "")}
    targets = {str(value) for name, value in fields if base_name(name) == _TARGET}
    asked = {segments[at] for segments in readings for at in range(len(segments)) if is_gitlab_id(segments, at)}
    own = {match[1] for prefix in prefixes if (match := _NUMBERED.match(prefix))}
    own |= asked if len(asked) == 1 and min(asked).isdecimal() else set()
    return not targets <= own or not _ABOVE.isdisjoint(named)
