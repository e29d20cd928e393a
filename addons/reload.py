"""A policy file that is read again when it changes; a bad one never replaces a good one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from stat import S_ISREG
from typing import Generic, TypeVar

T = TypeVar("T")


class ReloadingFile(Generic[T]):
    """Holds what `parse` made of the file's last good content; `current` is None until there was one.

    `parse` takes bytes and raises ValueError for content that it does not accept. After each look at new content,
    `status` (a file) says which digest is live, which was offered, and why an offered one was refused.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T], status: Path | None = None) -> None:
        self._path, self._parse, self._status = path, parse, status
        self._seen: tuple[int, int, int] | str | None = None
        self.current: T | None = None
        self.live = ""  # SHA-256 of the content in force
        self.error: str | None = "no policy was given yet"

    def poll(self) -> bool:
        """Look at the file; True if it was different from the last look (taken or refused)."""
        try:
            # A link could be pointed at something else between the check and the use: only a plain file counts. A pipe
            # would let its reader wait for ever.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            return self._note(f"missing:{error.errno}", "", f"cannot read {self._path.name}: {error.strerror}")
        try:
            stat = os.fstat(descriptor)
            if not S_ISREG(stat.st_mode):
                return self._note("not plain", "", f"{self._path.name} is not a plain file")
            mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if mark == self._seen:
                return False
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read()
        except OSError as error:
            return self._note(f"unreadable:{error.errno}", "", f"cannot read {self._path.name}: {error.strerror}")
        finally:
            os.close(descriptor)
        digest = hashlib.sha256(data).hexdigest()
        try:
            self.current = self._parse(data)
        except (ValueError, RecursionError) as error:
            return self._note(mark, digest, str(error))
        self.live = digest
        return self._note(mark, digest, None)

    def _note(self, mark: tuple[int, int, int] | str, offered: str, error: str | None) -> bool:
        if mark == self._seen:
            return False
        self._seen, self.error = mark, error
        if self._status is not None:
            # On a full disk nobody is told that it is live, and the policy holds all the same.
            with contextlib.suppress(OSError):
                temporary = self._status.with_suffix(".new")
                temporary.write_text(json.dumps({"live": self.live, "offered": offered, "error": error}))
                temporary.replace(self._status)
        return True
