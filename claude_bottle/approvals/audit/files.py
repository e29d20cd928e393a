"""The files of one audit log: JSON lines, appended only; a file that is long enough is sealed and a new one begun.

`STACK.jsonl` is written to, `STACK.jsonl.000001` and so on are sealed: read-only, the last line of each says so. The
head, `STACK.head`, tells where the log ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.whole_file import rename_whole, sync_folder, write_whole

_BLOCK = 65_536  # bytes that are read at a time, from the end backwards


class AuditError(BottleError):
    """The log is not what was written; the message says from which record on."""


class AuditFiles:
    """Where the records of a stack are, in order."""

    def __init__(self, folder: Path, stack: str) -> None:
        self._folder, self._stack = folder, stack
        self.current = folder / f"{stack}.jsonl"
        self._head = folder / f"{stack}.head"

    def sealed(self) -> list[Path]:
        """The sealed files that are here, oldest first."""
        return sorted(self._folder.glob(f"{glob.escape(self.current.name)}.{'[0-9]' * 6}"))

    def all(self) -> list[Path]:
        """Every file, oldest first."""
        return [*self.sealed(), *([self.current] if self.current.exists() else [])]

    def size(self) -> int:
        """Bytes of all of it."""
        return sum(file.stat().st_size for file in self.all())

    def seal(self, number: int) -> None:
        """Put the current file, whose last line says so, among the sealed ones."""
        self.current.chmod(0o400)
        rename_whole(self.current, self.current.with_name(f"{self.current.name}.{number:06d}"))

    @contextlib.contextmanager
    def locked(self, what: str = "lock") -> Iterator[None]:
        """One writer at a time. The lock is a file of its own, because the log's is renamed."""
        lock = os.open(self._folder / f"{self._stack}.{what}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def append(self, lines: bytes) -> None:
        """On disk before it returns. What a killed writer has left of a line was never promised, and goes first."""
        descriptor = os.open(self.current, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b") as log:
            size = log.seek(0, os.SEEK_END)
            whole = _whole(log, size)
            if whole < size:
                log.truncate(whole)
            log.write(lines)
            log.flush()
            os.fsync(log.fileno())
        if not size:
            sync_folder(self._folder)

    def snapshot(self) -> tuple[dict[str, Any] | None, Iterator[bytes]]:
        """The head, and every whole line, as they are at one moment; what is written later is not in it."""
        with self.locked(), contextlib.ExitStack() as opened:
            logs = [opened.enter_context(file.open("rb")) for file in self.all()]
            sizes = [_whole(log, log.seek(0, os.SEEK_END)) for log in logs]
            return self.head(), _lines_of(logs, sizes, opened.pop_all())

    def write_head(self, head: dict[str, Any]) -> None:
        """In place of the head that there is."""
        write_whole(self._head, json.dumps(head).encode())

    def head(self) -> dict[str, Any] | None:
        """What `write_head` wrote last. Raises AuditError for anything else."""
        try:
            head = json.loads(self._head.read_text())
            return {"read": {}, "files": [], **head, "seq": int(head["seq"]), "hash": str(head["hash"])}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise AuditError(f"{self._head} is not what was written") from None

    def backwards(self, files: Sequence[Path] | None = None) -> Iterator[dict[str, Any]]:
        """Records from the newest on; only what is asked for is read. Raises AuditError for a line that is none."""
        for file in reversed(self.all() if files is None else files):
            with file.open("rb") as log:
                for line in _lines_backwards(log):
                    yield read_record(line, None)


def read_record(line: bytes, number: int | None) -> dict[str, Any]:
    """A line as a record. Raises AuditError."""
    try:
        record = json.loads(line)
        if isinstance(record, dict) and isinstance(record["seq"], int) and isinstance(record["hash"], str):
            return record
    except (ValueError, KeyError):
        pass
    raise AuditError(f"record {number or 'at the end of the audit log'} is not a record of an audit log")


def _lines_of(logs: Sequence[IO[bytes]], sizes: list[int], opened: contextlib.ExitStack) -> Iterator[bytes]:
    with opened:
        for log, size in zip(logs, sizes, strict=True):
            log.seek(0)
            while log.tell() < size:
                yield log.readline()


def _whole(log: IO[bytes], size: int) -> int:
    """Bytes up to the end of the last whole line."""
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        log.seek(start)
        at = log.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def _lines_backwards(log: IO[bytes]) -> Iterator[bytes]:
    end, rest = _whole(log, log.seek(0, os.SEEK_END)), b""
    while end > 0:
        start = max(0, end - _BLOCK)
        log.seek(start)
        first, *lines = (log.read(end - start) + rest).split(b"\n")
        yield from (line for line in reversed(lines) if line)
        end, rest = start, first
    if rest:
        yield rest
