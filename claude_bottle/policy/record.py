"""The record of a part's outbound writes: accepted pushes, allowed writes. Numbered, complete, kept until read. Pure.

It is separate from the container's log, which anybody can fill with noise. A line is in the file before the write that
it describes leaves, so a kill loses none. Nothing is merged, cut or dropped: if the record is full, `append` raises,
and its caller refuses the write.

    python3 -m claude_bottle.policy.record read ID N   all lines from number N on of record ID; earlier ones may go

The owner's side reads it so (claude_bottle/approvals/audit/collect.py). The files are segments of JSON lines, named
by their first number.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from claude_bottle.policy.whole_file import sync_folder, write_whole

SEGMENT = 4 << 20  # bytes after which a new file is begun, and the most that one `read` returns
SEGMENTS = 32  # files: 128 MB, some 500,000 unread writes
LINE = 64 << 10  # bytes of a line


class RecordFullError(Exception):
    """The line cannot be recorded. The message says why."""


class Record:
    """One part's record in a folder of its own. Safe for several processes and threads."""

    def __init__(self, folder: Path, segments: int = SEGMENTS, segment: int = SEGMENT) -> None:
        self._folder, self._segments, self._segment = folder, segments, segment
        self._known: tuple[Path, int, int] | None = None  # where this process's last line ended

    def append(self, event: Mapping[str, Any], *, sync: bool = False) -> int:
        """Write one line and return its number. Raises RecordFullError; then nothing of the line is in the record.

        sync: it is on disk when this returns; otherwise once it has been read, or the kernel has written it.
        """
        try:
            with self._locked():
                last, number, size = self._where()
                line = json.dumps({"n": number, "at": round(time.time(), 3), **event}, default=str).encode() + b"\n"
                if len(line) > LINE:
                    raise RecordFullError(f"a record of {len(line)} bytes is longer than {LINE}")
                if size and size + len(line) > self._segment:
                    if len(self._files()) >= self._segments:
                        raise RecordFullError("the record is full")
                    last, size = self._file(number), 0
                _write(last, size, line, sync)
                self._known = last, number + 1, size + len(line)
                return number
        except OSError as error:
            raise RecordFullError(f"the record cannot be written: {error.strerror}") from None

    def read(self, identity: str, number: int) -> Iterator[bytes]:
        """A line with the id, the first number present and the next number; then lines from `number` on, of one
        segment.

        Segments without any line from `number` on are deleted, if `identity` is this record's.
        """
        with self._locked():
            own = self._id()
            known = identity == own
            _, following = self._end()
            files = self._files()
            for file, after in pairwise(files):
                if known and _first(after) <= number:
                    file.unlink()
            files = self._files()
            # A number that was read is never reused, so the lines reported here must survive a machine that stops.
            for file in files:
                _sync(file)
            sync_folder(self._folder)
            first = _first(files[0]) if files else following
        start = max(number, first) if known else first
        yield json.dumps({"id": own, "first": first, "next": following}).encode() + b"\n"
        earlier = [file for file in files if _first(file) <= start]
        if earlier:
            with earlier[-1].open("rb") as lines:
                for at, line in enumerate(lines, _first(earlier[-1])):
                    if start <= at < following:
                        yield line

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._open_lock()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _open_lock(self) -> int:
        # Of this call alone, so that it excludes other threads too.
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._folder / "lock", flags, 0o666)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            return os.open(self._folder / "lock", flags, 0o666)

    def _id(self) -> str:
        file = self._folder / "id"
        if not file.exists():
            write_whole(file, uuid.uuid4().hex.encode(), 0o644)
        return file.read_text()

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:015d}.jsonl"

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl"))

    def _where(self) -> tuple[Path, int, int]:
        """The last file, the next number, the file's size. The file is read only if another process has written to
        it."""
        if self._known is not None:
            last, number, size = self._known
            # Whoever began another file named it after the next number.
            if _size(last) == size and not self._file(number).exists():
                return self._known
        last, number = self._end()
        return last, number, _size(last)

    def _end(self) -> tuple[Path, int]:
        """The last file and the next number. A torn line of a killed writer was never confirmed, and is removed."""
        files = self._files()
        if not files:
            return self._file(1), 1
        last = files[-1]
        with last.open("r+b") as out:
            size = out.seek(0, os.SEEK_END)
            out.seek(max(0, size - 2 * LINE))
            whole, _, torn = out.read().rpartition(b"\n")
            if torn:
                out.truncate(size - len(torn))
        return last, int(json.loads(whole.rpartition(b"\n")[2])["n"]) + 1 if whole else _first(last)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _sync(file: Path) -> None:
    with file.open("rb") as lines:
        os.fsync(lines.fileno())


def _first(file: Path) -> int:
    return int(file.stem)


def _write(file: Path, size: int, line: bytes, sync: bool) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, line) != len(line):  # the disk is full
            os.ftruncate(descriptor, size)
            raise RecordFullError("the record cannot be written: the disk is full")
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if sync and not size:
        sync_folder(file.parent)


def main(argv: list[str]) -> int:
    """Entry point in the container."""
    folder = Path(os.environ["CLAUDE_BOTTLE_RECORD"])
    for line in Record(folder).read(argv[2], int(argv[3])):
        sys.stdout.buffer.write(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
