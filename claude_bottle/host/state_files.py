"""Restores the newest complete state of a stack if a full disk or a kill has truncated it. For local backends.

Pulumi keeps the previous state next to the current one (`.bak`), and every state in `backups` and in `history`.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path

from claude_bottle.host.local_backend import PROJECT, local_backend, state_file
from claude_bottle.policy.errors import BottleError, Finding
from claude_bottle.policy.own_command import own_command
from claude_bottle.policy.whole_file import write_whole

VERSION = 3  # of states that this Pulumi writes
_COPIES, _LEAST = 6, 8 << 20  # copies of the state that an `up` writes; bytes that it needs in any case


def problem(file: Path) -> str | None:
    """Why this file is not a usable state; None if it is one."""
    try:
        state = json.loads(file.read_text())
        version, checkpoint = state["version"], state["checkpoint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return type(error).__name__
    if not isinstance(version, int) or version > VERSION:
        return f"is of version {version}"
    return None if isinstance(checkpoint, dict) else "holds no checkpoint"


def candidates(stack: str) -> list[Path]:
    """Every earlier state, newest first."""
    root, file = local_backend(), state_file(stack)
    if root is None or file is None:
        return []
    files = [file.with_name(f"{file.name}.bak"), *(root / "backups" / PROJECT / stack).glob(f"{stack}.*.json")]
    files += (root / "history" / PROJECT / stack).glob(f"{stack}-*.checkpoint.json")
    return sorted((f for f in files if f.is_file()), key=lambda f: f.stat().st_mtime_ns, reverse=True)


def restore(stack: str) -> Path | None:
    """Replace a bad or missing state by the newest good one. Returns that file, or None if none is needed.

    The bad state is kept next to it. Raises BottleError if there is no good one, or it cannot be written.
    """
    file = state_file(stack)
    if file is None or problem(file) is None:
        return None
    good = next((candidate for candidate in candidates(stack) if problem(candidate) is None), None)
    if good is None:
        first = f"mv {shlex.quote(str(file))} {shlex.quote(f'{file}.broken')}; then " if file.exists() else ""
        raise BottleError(
            f"{file} is not a readable state, and neither is any earlier one: {first}{own_command(f'plan {stack}')}"
            f" makes a new one, and {own_command(f'repair {stack}')} deletes the remains of the old one"
        )

    def keep_broken() -> None:
        if file.exists():
            file.rename(file.with_name(f"{file.name}.broken-{int(time.time())}"))

    try:
        write_whole(file, good.read_bytes(), still=keep_broken)
    except OSError as error:
        raise BottleError(f"{good} cannot replace {file}: {error.strerror}; free some space first") from None
    return good


def room(stack: str) -> Finding | None:
    """A problem if an `up` would fill the disk with the state."""
    root, file = local_backend(), state_file(stack)
    if root is None or file is None or not root.is_dir():
        return None
    disk = os.statvfs(root)
    free = disk.f_bavail * disk.f_frsize
    needed = max(_LEAST, _COPIES * (file.stat().st_size if file.is_file() else 0))
    if free >= needed:
        return None
    message = (
        f"{free >> 10} KB are free where Pulumi keeps its state, but {needed >> 10} KB are needed; free some"
        " space first"
    )
    return Finding("state", str(root), message)
