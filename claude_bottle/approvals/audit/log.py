"""The audit log of one bottle: records that each contain the hash of the one before.

A record that is changed, removed or inserted breaks the chain from there on. The head, stored beside the log, shows
when records at the end are missing. Whoever can write both files can still make a whole new chain. A copy of the head
kept elsewhere (`audit verify` prints it) reveals that too.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from claude_bottle.approvals.audit.files import AuditError, AuditFiles, read_record
from claude_bottle.host.state_folder import state_folder
from claude_bottle.policy.errors import BottleError

GENESIS = "0" * 64
_SEALED, _DAY = "sealed", 86_400.0
_OLDER = 1000  # records
FILE = 16 << 20  # bytes after which a file is sealed
LIMIT = 1 << 30  # bytes of all files, beyond which no more decisions of the sidecars are copied


class AuditFull(BottleError):
    """The log has reached its limit. The sidecars keep their records until the owner moves files away."""


def record_hash(record: Mapping[str, Any]) -> str:
    """SHA-256 of the record without its hash, keys sorted."""
    content = {key: value for key, value in record.items() if key != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Audit:
    """The log of one stack. An append is on disk when it returns, and reads only the end of the log."""

    def __init__(self, stack: str, folder: Path | None = None) -> None:
        self._files = AuditFiles(folder or state_folder("audit"), stack)
        self.file = self._files.current

    def append(self, *events: Mapping[str, Any]) -> None:
        """Append events, in order. Raises AuditError if the end of the log is not a record."""
        if events:
            self.append_from(lambda _: events)

    def append_from(self, make: Callable[[dict[str, dict[str, Any]]], Sequence[Mapping[str, Any]]]) -> None:
        """Append the events that `make` returns for `read_to`, under the lock, so that two readers record them once."""
        with self._files.locked():
            head = self._end()
            if head.pop("sealed", False):  # a writer was killed after the last line, before the rename
                self._files.seal(len(head["files"]))
            events = make(head["read"])
            if not events:
                return
            lines = [_record(head, event) for event in events]
            size = sum(map(len, lines)) + (self.file.stat().st_size if self.file.exists() else 0)
            if size >= FILE:
                lines.append(_record(head, {"event": _SEALED}))
            self._files.append(b"".join(lines))
            self._files.write_head(head)
            if size >= FILE:
                self._files.seal(len(head["files"]))

    def append_decisions(self, *events: Mapping[str, Any]) -> None:
        """Append decisions of the sidecars, of which an agent can cause many. Raises AuditFull."""
        if events:
            self.must_have_room()
        self.append(*events)

    def must_have_room(self) -> None:
        """Raises AuditFull if the files have reached the limit for decisions of the sidecars."""
        if self._files.size() >= LIMIT:
            files = self.file.with_name(f"{self.file.name}.??????")
            raise AuditFull(f"the audit log has {LIMIT >> 20} MB: move the oldest of {files} away to keep them")

    def collecting(self) -> AbstractContextManager[None]:
        """A lock for the one process that copies the sidecars' records."""
        return self._files.locked("collecting")

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record present, oldest first. Raises AuditError for a line that is not a record."""
        return self._read(self._files.snapshot()[1])

    @staticmethod
    def _read(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        return (read_record(line, number) for number, line in enumerate(lines, 1))

    def latest(self) -> Iterator[dict[str, Any]]:
        """Every record, newest first, read lazily."""
        return self._files.backwards()

    def has(self, event: str, identity: str, since: float) -> bool:
        """Whether this event of a proposal is recorded. since: when the proposal was made, seconds of the epoch.

        Reading ends after many records in a row that are more than a day older than that. The day allows for clocks
        that differ, and the number for records of a clock that was wrong.
        """
        begun, older = _stamp(since - _DAY), 0
        for record in self.latest():
            older = older + 1 if record["time"] < begun else 0
            if older > _OLDER:
                return False
            if record.get("event") == event and record.get("id") == identity:
                return True
        return False

    def read_to(self) -> dict[str, dict[str, Any]]:
        """By sidecar, the last decision that is in the log: the merged `read` keys of its records."""
        marks: dict[str, dict[str, Any]] = self._end()["read"]
        return marks

    def verify(self) -> tuple[int, str]:
        """The number and the hash of the last record. Raises AuditError at the first wrong one.

        If sealed files were moved away, the present files must be a chain from their first record on.
        """
        head, lines = self._files.snapshot()
        head = head or {"seq": 0, "hash": GENESIS, "files": []}
        seq, last, head_seen = 0, GENESIS, head["seq"] == 0
        for record in self._read(lines):
            if seq == 0 and record["seq"] in head["files"]:
                seq, last = record["seq"] - 1, str(record.get("prev"))
            seq += 1
            if (record.get("seq"), record.get("prev")) != (seq, last):
                raise AuditError(f"{self.file}: record {seq} does not follow the one before it")
            last = record_hash(record)
            if record.get("hash") != last:
                raise AuditError(f"{self.file}: record {seq} has been changed")
            head_seen = head_seen or (seq, last) == (head["seq"], head["hash"])
        if seq == 0 and head["seq"] + 1 in head["files"]:
            return head["seq"], head["hash"]  # all files were moved away
        if not head_seen:
            raise AuditError(f"{self.file}: ends at record {seq}, but {head['seq']} were written")
        return seq, last

    def _end(self) -> dict[str, Any]:
        """The head, brought up to date with records that a killed writer appended after it."""
        head = self._files.head() or {"seq": 0, "hash": GENESIS, "read": {}, "files": []}
        later = []
        for record in self._files.backwards():
            if record["seq"] <= head["seq"]:
                break
            later.append(record)
        for record in reversed(later):
            _advance(head, record)
        current = [self.file] if self.file.exists() else []
        head["sealed"] = next(self._files.backwards(current), {}).get("event") == _SEALED
        return head


def _record(head: dict[str, Any], event: Mapping[str, Any]) -> bytes:
    """The next line. Advances the head to it."""
    record = {"time": _stamp(time.time()), **event, "seq": head["seq"] + 1, "prev": head["hash"]}
    record["hash"] = record_hash(record)
    _advance(head, record)
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _advance(head: dict[str, Any], record: Mapping[str, Any]) -> None:
    head["seq"], head["hash"] = record["seq"], record["hash"]
    if record.get("event") == _SEALED:
        head["files"].append(record["seq"] + 1)  # the first record of the next file
    if isinstance(read := record.get("read"), dict):
        part = head["read"].setdefault(str(record.get("part")), {})
        part.update(read)


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def summary(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The records as lines for a person."""
    for record in records:
        rest = {k: v for k, v in record.items() if k not in ("time", "event", "seq", "prev", "hash", "read")}
        yield f"{record['seq']:>6}  {record['time']}  {record.get('event', ''):<10} {json.dumps(rest)}"
