"""Proposals, stored in SQLite: a process that ends at any moment loses none. The agent's text is never trusted."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_bottle.policy.names.files import PROPOSALS

FILE = Path(PROPOSALS) / "proposals.db"
PENDING, APPROVED, REJECTED = "pending", "approved", "rejected"
# The beginning of an approval's note if the approval does not let the refused request through.
STILL_REFUSED = "This change does not allow the refused request:"
MAX_PENDING, MAX_PER_HOUR, MAX_TEXT = 20, 60, 4000
_SKEW = 60.0  # seconds
_MAKE_ROOM = "make room on the engine's disk if it is full, then try again"
_TABLE = """
create table if not exists proposals (
  id text primary key, created real not null, tool text not null, change text not null, words text not null,
  request text not null, verdict text not null, reply text not null, decided real, note text not null default ''
)
"""


class LimitError(Exception):
    """The agent asks for too much at once. The message says what to do."""


class FullError(Exception):
    """The store cannot be written, and is as it was. The message says what that means and what to do."""


@contextmanager
def _written(failed: str, advice: str) -> Iterator[None]:
    """failed: what is so if the store cannot be written. Raises FullError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise FullError(f"{failed}: {error}; {advice}") from None


@dataclass(frozen=True)
class Proposal:
    """words, request: as the agent gave them. verdict: pending, approved or rejected. reply: the owner's text.

    created, decided: seconds since the epoch. note: later events (an `up` that failed, the request replayed).
    """

    id: str
    created: float
    tool: str
    change: dict[str, Any]
    words: str
    request: dict[str, Any]
    verdict: str = PENDING
    reply: str = ""
    decided: float | None = None
    note: str = ""


class Proposals:
    """The store. Every method is one transaction."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        with _written("the store of proposals cannot be opened", _MAKE_ROOM), self._open() as db:
            db.execute(_TABLE)
            if "note" not in [row["name"] for row in db.execute("pragma table_info(proposals)")]:
                db.execute("alter table proposals add column note text not null default ''")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file, timeout=10, isolation_level="IMMEDIATE")) as db, db:
            db.row_factory = sqlite3.Row
            # With `full`, the journal's name could survive when the machine stops, and so undo a decision that was
            # reported.
            db.execute("pragma synchronous = extra")
            yield db

    def add(self, tool: str, change: dict[str, Any], words: str, request: dict[str, Any]) -> Proposal:
        """A new proposal, or the pending one with the same change. Raises LimitError, FullError.

        A package or a limit needs a new container of the agent, in which the asking call ends without its answer:
        asking the same again within an hour returns the approved proposal.
        """
        if len(words) > MAX_TEXT or len(json.dumps([change, request])) > MAX_TEXT:
            raise LimitError(f"too long: {MAX_TEXT} characters for the justification, as many for the rest")
        now = time.time()
        with _written("the proposal was not filed", "tell the owner, and ask again later"), self._open() as db:
            db.execute("begin immediate")
            for same in db.execute("select * from proposals where verdict = ?", (PENDING,)):
                if json.loads(same["change"]) == change:
                    return _proposal(same)
            # Times later than now, from a clock that was ahead, say nothing about the last hour.
            lost = "select * from proposals where verdict = ? and decided between ? and ? order by decided desc"
            for same in db.execute(lost, (APPROVED, now - 3600, now + _SKEW)):
                if json.loads(same["change"]) == change and str(change.get("path")).startswith("agent."):
                    return _proposal(same)
            pending = db.execute("select count(*) from proposals where verdict = ?", (PENDING,)).fetchone()[0]
            if pending >= MAX_PENDING:
                raise LimitError(f"{MAX_PENDING} proposals are waiting for the owner; wait for a verdict first")
            hour = "select count(*) from proposals where created between ? and ?"
            recent = db.execute(hour, (now - 3600, now + _SKEW)).fetchone()[0]
            if recent >= MAX_PER_HOUR:
                raise LimitError(f"at most {MAX_PER_HOUR} proposals an hour are accepted; continue without, or wait")
            proposal = Proposal(f"p-{secrets.token_hex(5)}", now, tool, change, words, request)
            row = (proposal.id, now, tool, json.dumps(change), words, json.dumps(request), PENDING, "")
            db.execute("insert into proposals values (?, ?, ?, ?, ?, ?, ?, ?, null, '')", row)
            return proposal

    def get(self, identity: str) -> Proposal | None:
        """The proposal with that id, or None."""
        with self._open() as db:
            row = db.execute("select * from proposals where id = ?", (identity,)).fetchone()
        return _proposal(row) if row else None

    def all(self) -> list[Proposal]:
        """All proposals, oldest first."""
        with self._open() as db:
            return [_proposal(row) for row in db.execute("select * from proposals order by created, id")]

    def note(self, identity: str, note: str) -> None:
        """Set a proposal's note. Raises FullError."""
        with _written(f"the note on {identity} cannot be stored", _MAKE_ROOM), self._open() as db:
            db.execute("update proposals set note = ? where id = ?", (note, identity))

    def decide(self, identity: str, verdict: str, reply: str, note: str = "") -> bool:
        """Record the owner's verdict on a pending proposal. False if it is no longer pending. Raises FullError, and
        ValueError for another verdict."""
        if verdict not in (APPROVED, REJECTED):
            raise ValueError(f"{verdict}: {APPROVED} or {REJECTED}")
        failed = f"{identity} is still pending, because the verdict cannot be stored"
        with _written(failed, _MAKE_ROOM), self._open() as db:
            done = db.execute(
                "update proposals set verdict = ?, reply = ?, note = ?, decided = ? where id = ? and verdict = ?",
                (verdict, reply, note, time.time(), identity, PENDING),
            )
            return done.rowcount == 1


def _proposal(row: sqlite3.Row) -> Proposal:
    fields = dict(row)
    return Proposal(**{**fields, "change": json.loads(fields["change"]), "request": json.loads(fields["request"])})
