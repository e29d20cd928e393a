"""What a request to a forge does that its head does not tell: GraphQL, LFS uploads, commands in comments, work for
another project or for the forge's own agent. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from claude_bottle.policy.forge.api import repository_rests
from claude_bottle.policy.forge.commands import needed_by_comment
from claude_bottle.policy.forge.graphql_mutations import needed_by_graphql
from claude_bottle.policy.forge.graphql_request import is_graphql
from claude_bottle.policy.forge.paths import Segments, read_path
from claude_bottle.policy.forge.robots import assigns_agent
from claude_bottle.policy.forge.rules import GITHUB, GITLAB
from claude_bottle.policy.strict_json import read_json

__all__ = ["is_graphql", "needed_by_body", "reads_body"]

# Where GitLab takes comments and descriptions (docs.gitlab.com/api: notes, discussions, draft notes, commits).
_END = r"(?:/.*|\.(?:json|txt|xml|binary))?\Z"
_TALKS = re.compile(
    rf"(?:issues|merge_requests|epics|work_items|snippets){_END}"
    rf"|(?!packages/)(?:.*/)?(?:notes|discussions|comments){_END}"
)
# A merge request may be made in another project (docs.gitlab.com/api/merge_requests, "Create MR").
_ELSEWHERE = "target_project_id"
_IN_FORM = re.compile(rf"(?:\A|[&;\[\"'=?]|name=)\s*{_ELSEWHERE}\b", re.IGNORECASE)
_ISSUES = re.compile(r"issues(?:/.*)?\Z")
_BATCH = ["info", "lfs", "objects", "batch"]  # github.com/git-lfs/git-lfs, docs/api/batch.md


def reads_body(method: str, path: str) -> bool:
    """Whether `needed_by_body` has to see the body of such a request before it may go."""
    if method in ("HEAD", "OPTIONS"):
        return False
    if is_graphql(path):
        return True
    readings = read_path(path)
    if method == "GET" or readings is None:
        return False
    rests = repository_rests(readings)
    return _is_batch(readings) or _talks(rests) or _assigns(rests)


def needed_by_body(host: str, path: str, content_type: str, body: bytes) -> str | None:
    """The capability that the body asks for; None if none. What cannot be read needs `code`."""
    if is_graphql(path):
        return needed_by_graphql(host, path, content_type, body)
    readings = read_path(path)
    if readings is not None and _is_batch(readings):
        batch = read_json(body)
        return None if isinstance(batch, dict) and batch.get("operation") == "download" else "code"
    rests = repository_rests(readings or ())
    if _assigns(rests) and not _talks(rests):
        return "code" if assigns_agent(body) else None
    return needed_by_comment(content_type, body, path) or ("settings" if _goes_elsewhere(path, body) else None)


def _is_batch(readings: tuple[Segments, ...]) -> bool:
    return any(segments[-4:] == _BATCH for segments in readings)


def _talks(rests: list[tuple[str, str]]) -> bool:
    return any(forge == GITLAB and _TALKS.match(rest) for forge, rest in rests)


def _assigns(rests: list[tuple[str, str]]) -> bool:
    return any(forge == GITHUB and _ISSUES.match(rest) for forge, rest in rests)


def _goes_elsewhere(path: str, body: bytes) -> bool:
    value = read_json(body)
    if isinstance(value, dict) and any(name.strip().lower() == _ELSEWHERE for name in value):
        return True
    texts = [path.partition("?")[2], *([] if isinstance(value, dict) else [body.decode("utf-8", "replace")])]
    return any(_IN_FORM.search(unquote_plus(text)) for text in texts)
