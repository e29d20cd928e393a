"""Writes a file whole or not at all, though the disk fills up, the writer is killed or the machine stops. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(file: Path, data: bytes, mode: int = 0o600, still: Callable[[], None] | None = None) -> None:
    """Put data in the place of a file; it is on disk when this returns.

    still: called when all is written, just before it counts; what it raises leaves the old file. Raises OSError, and
    then the old file is there as it was (rename(2), fsync(2)).
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode), "wb") as out:
            os.fchmod(out.fileno(), mode)  # whatever the umask is
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if still is not None:
            still()
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def rename_whole(file: Path, target: Path) -> None:
    """Rename within a folder; the new name is on disk when this returns. Raises OSError."""
    file.rename(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Bring to disk which names a folder has: a synced file may be lost without its name (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
