"""What Pulumi keeps of a stack in a folder here: its state, and locks that nobody holds any more.

A `pulumi` that was killed leaves its lock, and every later one refuses. Only locks of local backends (`file://`), of
this machine, whose process is gone, count as stale. Their place and content are Pulumi's own:
`.pulumi/locks/organization/PROJECT/STACK/ID.json` with pid, username, hostname, timestamp.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

PROJECT = "claude-bottle"
_WRITING = 5.0  # seconds


def local_backend() -> Path | None:
    """Pulumi's folder of a backend that keeps files here; None for any other."""
    backend = os.environ.get("PULUMI_BACKEND_URL", "")
    if not backend.startswith("file://"):
        return None
    return Path(backend.removeprefix("file://")).expanduser() / ".pulumi"


def state_file(stack: str) -> Path | None:
    """Where such a backend keeps a stack's state, whether it is there or not; None for any other."""
    root = local_backend()
    return root / "stacks" / PROJECT / f"{stack}.json" if root else None


def locks(stack: str) -> list[Path]:
    """The lock files of a stack; none for a backend that keeps no files here."""
    root = local_backend()
    return sorted((root / "locks/organization" / PROJECT / stack).glob("*.json")) if root else []


def is_stale(lock: Path) -> bool:
    """Whether the `pulumi` that made it is gone; False when that cannot be told."""
    try:
        holder = json.loads(lock.read_text())
        if holder["hostname"] != socket.gethostname():
            return False
        command = Path(f"/proc/{int(holder['pid'])}/comm")
        return Path("/proc/self/comm").exists() and not (command.exists() and command.read_text().startswith("pulumi"))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def remove_broken(stack: str) -> int:
    """Take away locks that a full disk has left without content, for Pulumi itself cannot; how many."""
    broken = [lock for lock in locks(stack) if _is_broken(lock)]
    for lock in broken:
        lock.unlink(missing_ok=True)
    return len(broken)


def _is_broken(lock: Path) -> bool:
    try:
        if time.time() - lock.stat().st_mtime < _WRITING:
            return False  # somebody may be writing it
        return not isinstance(json.loads(lock.read_text()), dict)
    except ValueError:
        return True
    except OSError:
        return False


def all_stale(stack: str) -> bool:
    """Whether the stack is locked, and by nobody who is still there."""
    existing = locks(stack)
    return bool(existing) and all(is_stale(lock) for lock in existing)
