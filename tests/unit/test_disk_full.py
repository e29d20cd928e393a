"""A disk that takes nothing any more: the last good policy stays, nobody is told that something was done, words say why."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from addons.frame.reload import ReloadingFile
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.policy import whole_file
from claude_bottle.policy.proposals import FullError, Proposals
from sidecar_images.proxy import put


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_policy_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "routes.json"
    target.write_text("old")
    monkeypatch.setattr(put, "_validator", lambda _: (target, lambda data: data))
    monkeypatch.setattr(whole_file.os, "fsync", full)
    with pytest.raises(ValueError, match="No space left"):
        put.put("routes", b"new")
    assert target.read_text() == "old"


def test_a_proxy_that_cannot_write_its_status_takes_the_policy_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "policy"
    file.write_bytes(b"good")
    held: ReloadingFile[bytes] = ReloadingFile(file, bytes, tmp_path / "status.json")
    monkeypatch.setattr(Path, "write_text", full)
    assert held.poll()
    assert held.current == b"good"
    assert not (tmp_path / "status.json").exists()  # so put.py says that it was not taken up


def test_a_proposal_that_cannot_be_kept_is_not_filed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Proposals(tmp_path / "db")
    kept = store.add("t", {"n": 1}, "w", {})

    class Full(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if sql.startswith("insert"):
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *args)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Full, **k))
    with pytest.raises(FullError, match="disk is full"):
        store.add("t", {"n": 2}, "w", {})
    monkeypatch.undo()
    assert [proposal.id for proposal in Proposals(tmp_path / "db").all()] == [kept.id]


def test_a_verdict_that_cannot_be_recorded_is_not_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    log = Audit("s", tmp_path)
    log.append({"event": "approved", "id": "p-1"})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        log.append({"event": "approved", "id": "p-2"})
