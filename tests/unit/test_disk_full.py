"""A disk that takes nothing any more: the last good policy stays, nobody is told that something was done, words say why."""

from __future__ import annotations

import errno
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from addons.frame.reload import ReloadingFile
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.policy import whole_file
from claude_bottle.policy.proposals import FullError, Proposals
from sidecar_images.proxy import put
from sidecar_images.supervise import decide


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


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proposals:
    """A store with one proposal and no page to spare (https://sqlite.org/pragma.html#pragma_max_page_count)."""
    store = Proposals(tmp_path / "db")
    store.add("t", {"n": 1}, "w", {})

    class Full(sqlite3.Connection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.execute("pragma max_page_count = 1")  # at least as many as there are

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Full, **options))
    return store


def test_a_proposal_that_cannot_be_kept_is_not_filed(store: Proposals) -> None:
    kept = store.all()
    words = "the proposal was not filed: database or disk is full; tell the owner, and ask again later"
    with pytest.raises(FullError, match=rf"\A{words}\Z"):
        store.add("t", {"n": 2}, "w" * 4000, {})
    assert store.all() == kept


@pytest.mark.parametrize(
    ("verb", "failed"),
    [("decide", "{} is still pending, because the verdict cannot be stored"),
     ("note", "the note on {} cannot be stored"), ("file", "the proposal was not filed")],
)  # fmt: skip
def test_the_owner_reads_one_line_about_what_cannot_be_stored(
    store: Proposals, verb: str, failed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (kept,) = store.all()
    payload = {"id": kept.id, "verdict": "approved", "reply": "r" * 5000, "note": "n" * 5000}
    payload |= {"tool": "t", "change": {"n": 2}, "words": "w" * 4000, "request": {}}
    monkeypatch.setattr(decide, "Proposals", lambda: store)
    monkeypatch.setattr("sys.argv", ["decide", verb])
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(payload)))
    assert decide.main() == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"{failed.format(kept.id)}: database or disk is full; ")
    assert store.all() == [kept]


def test_a_verdict_that_cannot_be_recorded_is_not_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    log = Audit("s", tmp_path)
    log.append({"event": "approved", "id": "p-1"})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        log.append({"event": "approved", "id": "p-2"})
