"""Removes expired entries from the stack file. They have no effect any more, so this is only for tidiness.

Nothing else is applied: if an edit of the owner's or a new file of the workspace is pending, everything stays as it is.
"""

from __future__ import annotations

from claude_bottle.approvals.approval import Approval
from claude_bottle.approvals.edit.stack_file import StackFile, without_ended


def sweep(approval: Approval) -> bool:
    """True if entries were removed and the file applied. Raises BottleError if `up` fails; the file is then restored.

    Raises WaitingError, and does nothing, if other changes are pending.
    """
    file = StackFile.of(approval.stack, approval.project)
    before = file.read()
    after = without_ended(before)
    if before == after or approval.journal.in_progress() is not None:
        return False
    with approval.journal.lock():
        approval.nothing_else_waits()
        file.replace(before, after)
        try:
            approval.runner.up(approval.tell)
        except BaseException:
            file.replace(after, before)
            raise
        approval.audit.append({"event": "ended", "who": "its own time limit"})
    return True
