"""The files of one audit log: JSON lines, append-only. A file that reaches its size is sealed and a new one started.

`STACK.jsonl` is the current file. `STACK.jsonl.000001` and so on are sealed: read-only, with a last line that says so.
The head, `STACK.head`, records where the log ends.
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

_BLOCK = 65_536  # bytes per read, backwards from the end


class AuditError(BottleError):
    """The log is not what was written. The message names the first wrong record where that is known."""


class AuditFiles:
    """The files with the records of one stack, in order."""

    def __init__(self, folder: Path, stack: str) -> None:
        self._folder, self._stack = folder, stack
        self.current = folder / f"{stack}.jsonl"
        self._head = folder / f"{stack}.head"

    def sealed(self) -> list[Path]:
        """The sealed files that are present, oldest first."""
        return sorted(self._folder.glob(f"{glob.escape(self.current.name)}.{'[0-9]' * 6}"))

    def all(self) -> list[Path]:
        """Every file, oldest first."""
        return [*self.sealed(), *([self.current] if self.current.exists() else [])]

    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.all())

    def seal(self, number: int) -> None:
        """Rename the current file, whose last line says that it is sealed, to this number and make it read-only."""
        self.current.chmod(0o400)
        rename_whole(self.current, self.current.with_name(f"{self.current.name}.{number:06d}"))

    @contextlib.contextmanager
    def locked(self, what: str = "lock") -> Iterator[None]:
        """One writer at a time. The lock is a separate file, because the log file is renamed."""
        lock = os.open(self._folder / f"{self._stack}.{what}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def append(self, lines: bytes) -> None:
        """Append lines; they are on disk when this returns. An incomplete line of a killed writer is removed first."""
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
        """The head and every complete line, as of one moment. Later records are not included."""
        with self.locked(), contextlib.ExitStack() as opened:
            logs = [opened.enter_context(file.open("rb")) for file in self.all()]
            sizes = [_whole(log, log.seek(0, os.SEEK_END)) for log in logs]
            return self.head(), _lines_of(logs, sizes, opened.pop_all())

    def write_head(self, head: dict[str, Any]) -> None:
        """Replace the head."""
        write_whole(self._head, json.dumps(head).encode())

    def head(self) -> dict[str, Any] | None:
        """The head that `write_head` wrote last; None if there is none. Raises AuditError for any other content."""
        try:
            head = json.loads(self._head.read_text())
            return {"read": {}, "files": [], **head, "seq": int(head["seq"]), "hash": str(head["hash"])}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise AuditError(f"{self._head} is not what was written") from None

    def backwards(self, files: Sequence[Path] | None = None) -> Iterator[dict[str, Any]]:
        """Records, newest first, read lazily. Raises AuditError for a line that is not a record."""
        for file in reversed(self.all() if files is None else files):
            with file.open("rb") as log:
                for line in _lines_backwards(log):
                    yield read_record(line, None)


def read_record(line: bytes, number: int | None) -> dict[str, Any]:
    """Parse a line. Raises AuditError if it is not a record."""
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
    """Bytes up to the end of the last complete line."""
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
