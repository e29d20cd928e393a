"""Writes a file completely or not at all, even if the disk is full, the writer is killed or the machine stops. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(file: Path, data: bytes, mode: int = 0o600, still: Callable[[], None] | None = None) -> None:
    """Replace a file's content. It is on disk when this returns.

    still: called after writing, just before the replacement; if it raises, the old file stays. Raises OSError; then the
    old file is unchanged, unless only the final sync of the folder failed (rename(2), fsync(2)).
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode), "wb") as out:
            os.fchmod(out.fileno(), mode)  # independent of the umask
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
    """Rename within a folder. The new name is on disk when this returns. Raises OSError."""
    file.rename(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk, because a synced file may be lost without its name (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
