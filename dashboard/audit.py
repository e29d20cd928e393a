"""The audit log of one bottle: JSON lines, appended only, each with the hash of the one before it.

A record that is changed, taken out or put in breaks the chain from there on; the head, kept beside the log, tells when
records at the end are gone. Whoever can write both files as their owner can still make a whole new chain: a copy of the
head kept elsewhere (`audit verify` prints it) tells that too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from components.errors import BottleError
from components.state import state_folder

GENESIS = "0" * 64


class AuditError(BottleError):
    """The log is not what was written; the message says from which record on."""


def record_hash(record: Mapping[str, Any]) -> str:
    """SHA-256 over the record without its hash, keys sorted."""
    told = {key: value for key, value in record.items() if key != "hash"}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Audit:
    """The log of one stack. Every append is on disk before it returns."""

    def __init__(self, stack: str, folder: Path | None = None) -> None:
        folder = folder or state_folder("audit")
        self.file, self._head = folder / f"{stack}.jsonl", folder / f"{stack}.head"

    def append(self, *events: Mapping[str, Any]) -> None:
        """Add what has happened, in order. Raises AuditError when the log's end is not a record."""
        if not events:
            return
        with self._locked() as log:
            seq, last = self._end(log)
            lines = []
            for event in events:
                seq += 1
                when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                record = {"time": when, **event, "seq": seq, "prev": last}
                last = record["hash"] = record_hash(record)
                lines.append(json.dumps(record, separators=(",", ":")) + "\n")
            log.write("".join(lines).encode())
            log.flush()
            os.fsync(log.fileno())
            beside = self._head.with_suffix(".head.new")
            beside.write_text(json.dumps({"seq": seq, "hash": last}))
            beside.replace(self._head)

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record, oldest first. Raises AuditError for a line that is none."""
        if not self.file.exists():
            return
        with self.file.open("rb") as log:
            for number, line in enumerate(log, 1):
                yield _record(line, number)

    def has(self, event: str, identity: str) -> bool:
        """Whether this event of this proposal is recorded."""
        return any(record.get("event") == event and record.get("id") == identity for record in self.records())

    def verify(self) -> tuple[int, str]:
        """How many records there are, and the hash of the last. Raises AuditError at the first that is wrong."""
        seq, last, head = 0, GENESIS, self._read_head()
        head_seen = head["seq"] == 0
        for record in self.records():
            seq += 1
            if (record.get("seq"), record.get("prev")) != (seq, last):
                raise AuditError(f"{self.file}: record {seq} does not follow the one before it")
            last = record_hash(record)
            if record.get("hash") != last:
                raise AuditError(f"{self.file}: record {seq} has been changed")
            head_seen = head_seen or (seq, last) == (head["seq"], head["hash"])
        if not head_seen:
            raise AuditError(f"{self.file}: ends at record {seq}, but {head['seq']} were written")
        return seq, last

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            yield log

    def _end(self, log: IO[bytes]) -> tuple[int, str]:
        """Number and hash of the last record; what a killed writer has left of a line was never promised, and goes."""
        size = log.seek(0, os.SEEK_END)
        start, tail = size, b""
        while start > 0 and tail.count(b"\n") < 2:
            start = max(0, start - 65_536)
            log.seek(start)
            tail = log.read(size - start)
        whole, _, torn = tail.rpartition(b"\n")
        if torn:
            log.truncate(size - len(torn))
        if not whole and not tail.startswith(b"\n"):
            return 0, GENESIS
        last = _record(whole.rpartition(b"\n")[2], None)
        return int(last["seq"]), str(last["hash"])

    def _read_head(self) -> dict[str, Any]:
        try:
            told = json.loads(self._head.read_text())
            return {"seq": int(told["seq"]), "hash": str(told["hash"])}
        except FileNotFoundError:
            return {"seq": 0, "hash": GENESIS}
        except (ValueError, KeyError, TypeError):
            raise AuditError(f"{self._head} is not what was written") from None


def _record(line: bytes, number: int | None) -> dict[str, Any]:
    try:
        told = json.loads(line)
        if isinstance(told, dict) and isinstance(told["seq"], int) and isinstance(told["hash"], str):
            return told
    except (ValueError, KeyError):
        pass
    raise AuditError(f"record {number or 'at the end of the audit log'} is not a record of an audit log")


def summary(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The records as lines for people."""
    for record in records:
        rest = {k: v for k, v in record.items() if k not in ("time", "event", "seq", "prev", "hash")}
        yield f"{record['seq']:>6}  {record['time']}  {record.get('event', ''):<10} {json.dumps(rest)}"
