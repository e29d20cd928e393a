"""Approves a proposal as the terminal does, and at a given step kills itself or runs a command: for test_kills.py.

Usage, in a project folder: kill_at.py STACK ID STEP (self | COMMAND…)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))

from claude_bottle.approvals import approval as module
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.approvals.edit.stack_file import StackFile
from claude_bottle.approvals.inbox import Inbox
from claude_bottle.approvals.journal import ApprovalJournal
from claude_bottle.runs.automation import StackRunner

stack, identity, wanted, command = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
reached: set[str] = set()


def at(step: str) -> None:
    if step != wanted or step in reached:
        return
    reached.add(step)
    if command == ["self"]:
        os.kill(os.getpid(), signal.SIGKILL)
    subprocess.run(command, check=True, capture_output=True)


def after(owner: type, name: str, step: str, only: Callable[..., bool] = lambda *_: True) -> None:
    whole = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        done = whole(*args, **options)
        if only(*args):
            at(step)
        return done

    setattr(owner, name, wrapped)


after(ApprovalJournal, "begin", "begun")
after(StackFile, "replace", "edited")
after(StackRunner, "up", "up-done")
after(Inbox, "replay", "replayed")
after(Audit, "append", "audited", lambda _, *events: events[0]["event"] == "approved")
after(Inbox, "decide", "decided")


def tell(line: str) -> None:
    print(line, flush=True)
    if "update" in line.lower() or "+" in line:
        at("up-started")


try:
    module.Approval.of(stack, Path.cwd(), tell=tell).approve(identity, "yes")
except module.BottleError as error:
    print(f"FAILED {error}")
print("REACHED" if wanted in reached else "NOT REACHED")
