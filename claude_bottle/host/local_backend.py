"""Pulumi's files of a stack in a local backend: its state, and locks whose holder is gone.

A `pulumi` that was killed leaves its lock, and every later run refuses. A lock counts as stale only if it is of a local
backend (`file://`) and of this machine, and its process is gone. Path and content are defined by Pulumi:
`.pulumi/locks/organization/PROJECT/STACK/ID.json` with pid, username, hostname, timestamp.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

PROJECT = "claude-bottle"
_WRITING = 5.0  # seconds in which a lock may still be being written


def local_backend() -> Path | None:
    """Pulumi's folder of a local backend; None for any other backend."""
    backend = os.environ.get("PULUMI_BACKEND_URL", "")
    if not backend.startswith("file://"):
        return None
    return Path(backend.removeprefix("file://")).expanduser() / ".pulumi"


def state_file(stack: str) -> Path | None:
    """The path of a stack's state in a local backend, which may not exist; None for any other backend."""
    root = local_backend()
    return root / "stacks" / PROJECT / f"{stack}.json" if root else None


def locks(stack: str) -> list[Path]:
    """The lock files of a stack; empty for a backend that is not local."""
    root = local_backend()
    return sorted((root / "locks/organization" / PROJECT / stack).glob("*.json")) if root else []


def is_stale(lock: Path) -> bool:
    """Whether the `pulumi` that created the lock is gone; False if that is unknown."""
    try:
        holder = json.loads(lock.read_text())
        if holder["hostname"] != socket.gethostname():
            return False
        command = Path(f"/proc/{int(holder['pid'])}/comm")
        return Path("/proc/self/comm").exists() and not (command.exists() and command.read_text().startswith("pulumi"))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def remove_broken(stack: str) -> int:
    """Delete locks without content, which a full disk leaves and Pulumi itself cannot delete. Returns their number."""
    broken = [lock for lock in locks(stack) if _is_broken(lock)]
    for lock in broken:
        lock.unlink(missing_ok=True)
    return len(broken)


def _is_broken(lock: Path) -> bool:
    try:
        if abs(time.time() - lock.stat().st_mtime) < _WRITING:
            return False  # a process may be writing it
        return not isinstance(json.loads(lock.read_text()), dict)
    except ValueError:
        return True
    except OSError:
        return False


def all_stale(stack: str) -> bool:
    """Whether the stack is locked, and every lock's process is gone."""
    existing = locks(stack)
    return bool(existing) and all(is_stale(lock) for lock in existing)
