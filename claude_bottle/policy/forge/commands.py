"""The commands that GitLab runs from the text of a comment or a description, and the capabilities they need. Pure.

docs.gitlab.com/user/project/quick_actions (18.6): a line that begins with `/` and a word. All ways in which GitLab
finds them: gitlab.com/gitlab-org/gitlab, lib/gitlab/quick_actions/extractor.rb: carriage returns are removed, case is
ignored, a blank or the end of the line follows. GitLab ignores commands in code blocks; they count here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from claude_bottle.policy.forge.capabilities import NOTHING

# Commands that write only text, labels, dates and the like of an issue or a merge request.
_FREE = frozenset(
    """
    add_child add_contacts assign assign_reviewer award blocked_by blocks board_move cc checkin_reminder
    clear_health_status clear_weight close confidential copy_metadata done draft due duplicate epic estimate
    estimate_time health_status iteration label labels link lock milestone page parent_epic promote_to
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
    "settings": "move clone promote",  # to another project, or to the group
}
_NEEDS = {command: capability for capability, commands in _KINDS.items() for command in commands.split()}
# A word in another alphabet may be one of these to a server that folds it. `/usr/bin` is no command, because a slash
# follows. After a known one any character may follow, because servers strip some; `/docs.` is no command.
_COMMAND = re.compile(r"^([ \t>]*)/([^\W\d][\w-]*+)(?!/)(?=(\s|\Z)?)", re.MULTILINE)
# Commands that link an issue to another one, or copy from one.
_REFER = frozenset(
    """
    add_child blocked_by blocks copy_metadata duplicate epic parent_epic promote_to relate remove_child
    remove_child_epic remove_parent set_parent unlink child_epic add_parent
    """.split()  # noqa: SIM905 - a list of names
)
# A reference within this project, or a kind of issue, which such a command may have instead. With a name before the
# sign it is in another project or group (docs.gitlab.com/user/markdown, "GitLab-specific references").
_OWN = re.compile(r"[\s,]*(?:(?:[#&!][0-9]+|issue|incident|task|objective|key result)[\s,]*)*\Z", re.IGNORECASE)


def needed_by_text(text: str) -> frozenset[str]:
    """The capabilities that the commands in a comment need.

    A line that begins with an unknown command needs `settings`, because GitLab adds new ones. After a quotation mark or
    blanks only known commands count, because a line of a listing may begin with a folder's name.
    """
    if "/" not in text:
        return NOTHING
    needs: set[str] = set()
    text = text.replace("\r", "").lstrip()
    for match in _COMMAND.finditer(text):
        before, command = match[1], match[2].lower()
        if command in _NEEDS:
            needs.add(_NEEDS[command])
        elif command in _REFER:
            end = text.find("\n", match.end())
            named = text[match.end() : end if end >= 0 else len(text)]
            needs |= NOTHING if _OWN.match(named) else {"settings"}
        elif not before and command not in _FREE and match[3] is not None:
            needs.add("settings")
    return frozenset(needs)


def needed_by_texts(texts: Iterable[str]) -> frozenset[str]:
    """The capabilities that the commands in some texts need."""
    return NOTHING.union(*map(needed_by_text, texts))
