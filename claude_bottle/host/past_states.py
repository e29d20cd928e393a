"""What Pulumi keeps of a stack's past, and what `bottle forget` deletes: earlier states, and logs of its own runs.

Pulumi stores each state twice next to the current one, and keeps both after `destroy` and `stack rm`. Secrets in them
are encrypted, but the passphrase's file is on the same disk, so a rotated token can still be read from them. The
current state, the stack file and the audit log are kept.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from claude_bottle.host.local_backend import PROJECT, is_stale, local_backend, locks
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.own_command import own_command

_ELSEWHERE = "the states are with the backend that you are logged in to; delete its versions there"


def past_states(stack: str) -> list[Path]:
    """Files of earlier states and of logs. Raises BottleError if the states are not stored in files here."""
    root = local_backend()
    if root is None:
        raise BottleError(_ELSEWHERE)
    last = root / "stacks" / PROJECT / f"{stack}.json.bak"
    kept = [last, *(root / "backups" / PROJECT / stack).glob("*"), *(root / "history" / PROJECT / stack).glob("*")]
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    name = re.compile(rf"[^+]+\+{PROJECT}\+{re.escape(stack)}-[0-9]{{8}}T[0-9]{{6}}\b.*\.log(\..*)?\Z")
    logs = [file for file in (home / "logs").glob(f"*+{PROJECT}+*") if name.match(file.name)]
    return sorted(file for file in [*kept, *logs] if file.is_file())


def describe(stack: str, files: list[Path]) -> str:
    """One sentence for a person."""
    size = sum(file.stat().st_size for file in files) >> 20
    oldest = datetime.fromtimestamp(min(file.stat().st_mtime for file in files), UTC)
    return (
        f"{len(files)} earlier states and logs of {stack}, {size} MB, since {oldest:%Y-%m-%d %H:%M} UTC"
        " (their secrets are encrypted with a passphrase that is on this machine)"
    )


def kept(stack: str) -> str:
    """What Pulumi keeps, and how to delete it, in words."""
    if local_backend() is None:
        return _ELSEWHERE
    files = past_states(stack)
    if not files:
        return f"Pulumi keeps no earlier states and logs of {stack}"
    return f"Pulumi keeps {describe(stack, files)}; {own_command(f'forget {stack}')} deletes them"


def forget(stack: str) -> str:
    """Delete it. Returns what was deleted, in words; "" if there was nothing. Raises BottleError."""
    files = past_states(stack)
    if any(not is_stale(lock) for lock in locks(stack)):
        raise BottleError(f"a pulumi is running on {stack}; wait for it, then try again")
    summary = f"deleted {describe(stack, files)}" if files else ""
    for file in files:
        file.unlink(missing_ok=True)
    return summary
