"""Takes what has ended by itself out of the stack file. It lets nothing through any more; this is only for tidiness.

It applies nothing else: where an edit of the owner's waits, or a file of the workspace is new, it leaves all as it is.
"""

from __future__ import annotations

from claude_bottle.approvals.approval import Approval
from claude_bottle.approvals.edit.stack_file import StackFile, without_ended


def sweep(approval: Approval) -> bool:
    """True when something was taken out and applied. Raises BottleError, the file as it was, when `up` fails.

    Raises WaitingError, nothing done, where something else waits to be applied.
    """
    file = StackFile.of(approval.stack, approval.project)
    before = file.read()
    after = without_ended(before)
    if before == after or approval.desk.begun() is not None:
        return False
    with approval.desk.alone():
        approval.nothing_else_waits()
        file.replace(before, after)
        try:
            approval.apply.up(approval.tell)
        except BaseException:
            file.replace(after, before)
            raise
        approval.audit.append({"event": "ended", "who": "its own time limit"})
    return True
