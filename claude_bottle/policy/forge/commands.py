"""The commands that GitLab runs out of the words of a comment or a description, and the capability each needs. Pure.

docs.gitlab.com/user/project/quick_actions (18.6): a line that begins with `/` and a word. How GitLab finds them:
gitlab.com/gitlab-org/gitlab, lib/gitlab/quick_actions/extractor.rb: carriage returns are taken out, case does not
matter, a blank or the end of the line follows. What GitLab leaves alone in code blocks is not left alone here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from claude_bottle.policy.strict_json import read_json

# Commands that write nothing but words, labels, dates and the like about an issue or a merge request.
_FREE = frozenset(
    """
    add_child add_contacts assign assign_reviewer award blocked_by blocks board_move cc checkin_reminder
    clear_health_status clear_weight close confidential copy_metadata done draft due duplicate epic estimate
    estimate_time health_status iteration label labels link lock milestone page parent_epic promote promote_to
    promote_to_incident react ready reassign reassign_reviewer relabel relate remove_child remove_child_epic
    remove_contacts remove_due_date remove_epic remove_estimate remove_iteration remove_iteration_cadence remove_label
    remove_milestone remove_parent remove_parent_epic remove_reviewer remove_time_estimate remove_time_spent
    remove_zoom reopen request_review reviewer set_parent severity shrug spend spend_time status subscribe tableflip
    target_branch timeline title todo type unassign unassign_reviewer undraft unlabel unlink unlock unsubscribe weight
    wip zoom
    """.split()  # noqa: SIM905 - a list of names
)
_KINDS = {
    "merge": "merge rebase ship",
    "review": "approve unapprove request_changes submit_review",
    "code": "tag create_merge_request cherry_pick revert q",
    "pipelines": "run_pipeline",
    "members": "add_email invite_email remove_email convert_to_ticket",
}
_NEEDS = {command: capability for capability, commands in _KINDS.items() for command in commands.split()}
# A word of another alphabet may be one of these to a server that folds it. `/usr/bin` is none, for a slash follows.
_COMMAND = re.compile(r"^([ \t>]*)/([^\W\d][\w-]*)(?=\s|\Z)", re.MULTILINE)
_MAX_BODY = 2 << 20  # GitLab takes a million characters of a comment (docs.gitlab.com/administration/instance_limits)
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\Z")


# By these an issue is put beside another one, or takes something of it; one of another project has a slash in its name.
_REFER = frozenset(
    """
    add_child blocked_by blocks copy_metadata duplicate epic parent_epic promote_to relate remove_child
    remove_child_epic remove_parent set_parent unlink child_epic add_parent
    """.split()  # noqa: SIM905 - a list of names
)
# Character sets in which Rack reads names and words otherwise than they stand there (lib/rack/multipart/parser.rb,
# handle_dummy_encoding, since 3.2: those that are "dummy" to Ruby).
OTHER_LETTERS = re.compile(
    rb"charset\s*+=\s*+[\"']?\s*+(?:iso-2022|cp5022|utf-?(?:7|16|32)|ucs|ibm0|hz)", re.IGNORECASE
)


def needed_by_text(text: str) -> str | None:
    """The capability that a comment's commands need; None if there is none but harmless ones.

    A line that begins with an unknown command needs `settings`, for GitLab learns new ones. Before it a quotation mark
    or blanks are seen through for the known ones alone: a line of a listing may begin with a folder's name.
    """
    if "/" not in text:
        return None
    for match in _COMMAND.finditer(text.replace("\r", "").lstrip()):
        before, command = match[1], match[2].lower()
        if command in _NEEDS:
            return _NEEDS[command]
        if command in _REFER and "/" in text[match.end() :].partition("\n")[0]:
            return "settings"
        if not before and command not in _FREE:
            return "settings"
    return None


def needed_by_texts(texts: Iterator[str]) -> str | None:
    """The capability of the first text that needs one."""
    return next((needed for text in texts if (needed := needed_by_text(text)) is not None), None)


def is_json(content_type: str) -> bool:
    """Whether every server reads such a body as JSON, and as nothing else."""
    return bool(_JSON.match(content_type.partition(";")[0].strip().lower()))


def needed_by_comment(content_type: str, body: bytes, path: str) -> str | None:
    """The capability that the commands in a body or a query need; `code` for JSON that cannot be read.

    A body is read as what it says it is, and as JSON, a form and plain text if it says none that is sure.
    """
    query = path.partition("?")[2]
    if len(body) > _MAX_BODY or len(query) > _MAX_BODY:
        return "code"
    needed = needed_by_texts(iter(form_values(query)))
    if needed is not None or not body.strip():
        return needed
    value = read_json(body)
    if is_json(content_type):
        return "code" if value is None else needed_by_texts(strings(value))
    if OTHER_LETTERS.search(body):
        return "code"
    text = body.decode("utf-8", "replace")
    return (
        needed_by_text(text)
        or (needed_by_texts(strings(value)) if value is not None else None)
        or needed_by_texts(iter(form_values(text)))
    )


def form_values(text: str) -> list[str]:
    """The values of a form or a query, decoded. Rack 2 parts them at `;` too (lib/rack/query_parser.rb)."""
    return [unquote_plus(pair.partition("=")[2]) for pair in re.split("[&;]", text) if "=" in pair]


def strings(value: Any) -> Iterator[str]:
    """Every string of a JSON value, however deep."""
    return (item for item in parts_of(value) if isinstance(item, str))


def parts_of(value: Any) -> Iterator[Any]:
    """A JSON value and every value in it, however deep."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
