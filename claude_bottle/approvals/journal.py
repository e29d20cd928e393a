"""Approvals in progress, stored before anything changes, so that an interrupted one is resumed and not lost."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from claude_bottle.host.state_folder import state_folder
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.whole_file import write_whole


@dataclass(frozen=True)
class ApprovalInProgress:
    """change: the one being made, with the owner's edit. before, after: text of the stack file; equal for a change that
    does not edit it."""

    id: str
    change: dict[str, Any]
    reply: str
    who: str
    before: str
    after: str


class ApprovalJournal:
    """The approval in progress of one stack. One at a time, across all processes of the owner."""

    def __init__(self, stack: str) -> None:
        folder = state_folder("approvals")
        self._stack, self._file, self._lock = stack, folder / f"{stack}.json", folder / f"{stack}.lock"

    @contextmanager
    def lock(self, patience: float = 0) -> Iterator[None]:
        """Hold the lock of the stack. patience: seconds to wait for it. Raises BottleError if it is still held then."""
        descriptor, until = (
            os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600),
            time.monotonic() + patience,
        )
        try:
            while not self._taken(descriptor):
                if time.monotonic() >= until:
                    raise BottleError(f"another approval of {self._stack} is running; wait for it")
                time.sleep(0.2)
            yield
        finally:
            os.close(descriptor)

    @staticmethod
    def _taken(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def in_progress(self) -> ApprovalInProgress | None:
        """The approval that was interrupted or is running; None if there is none."""
        try:
            return ApprovalInProgress(**json.loads(self._file.read_text()))
        except FileNotFoundError:
            return None

    def begin(self, started: ApprovalInProgress) -> None:
        """Store it. It is on disk when this returns."""
        write_whole(self._file, json.dumps(asdict(started)).encode())

    def end(self) -> None:
        """Delete it, once it is finished or rolled back."""
        self._file.unlink(missing_ok=True)
