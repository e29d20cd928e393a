"""What a full disk leaves of Pulumi's files. Sources: write(2), ENOSPC and short writes; pulumi/pkg/backend/diy (`.bak`,
backups, history, locks); a state and its newest backup cut to the same 61,440 bytes were seen on a disk of 60 KB.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from claude_bottle.host import state_files
from claude_bottle.host.local_backend import locks, remove_broken
from claude_bottle.host.state_files import problem, restore, room
from claude_bottle.policy.errors import BottleError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    backend = tmp_path / ".pulumi"
    for folder in ("stacks/claude-bottle", "backups/claude-bottle/s", "history/claude-bottle/s"):
        (backend / folder).mkdir(parents=True)
    return backend


def state(number: int) -> str:
    resources = [{"urn": f"urn:{n}", "id": str(n)} for n in range(number)]
    return json.dumps({"version": 3, "checkpoint": {"stack": "s", "latest": {"resources": resources}}})


def put(root: Path, text: str, *names: str) -> None:
    for age, name in enumerate(names):
        file = root / name
        file.write_text(text)
        os.utime(file, (1e9 - age, 1e9 - age))


CURRENT = "stacks/claude-bottle/s.json"
BACKUPS = [f"backups/claude-bottle/s/s.{n}.json" for n in (3, 2, 1)]
HISTORY = [f"history/claude-bottle/s/s-{n}.checkpoint.json" for n in (3, 2, 1)]


@pytest.mark.parametrize("cut", [0, 1, 20, 61, 100, "half", "last"])
def test_the_newest_whole_one_is_taken(root: Path, cut: int | str) -> None:
    whole = state(50)
    end = {"half": len(whole) // 2, "last": len(whole) - 1}.get(str(cut), cut)
    put(root, whole[: int(end)], CURRENT, BACKUPS[0], HISTORY[0])
    put(root, state(3), BACKUPS[1], HISTORY[1])
    put(root, state(2), BACKUPS[2])
    os.utime(root / BACKUPS[1], (2e9, 2e9))
    assert restore("s") == root / BACKUPS[1]
    assert (root / CURRENT).read_text() == state(3)
    assert [f.read_text() for f in (root / CURRENT).parent.glob("*.broken-*")] == [whole[: int(end)]]
    assert restore("s") is None  # nothing is wrong any more


@pytest.mark.parametrize("cut", range(0, len(state(2)), 7))
def test_no_cut_state_passes_for_a_whole_one(root: Path, cut: int) -> None:
    put(root, state(2)[:cut], CURRENT)
    assert problem(root / CURRENT)


def test_a_missing_one_is_restored_and_the_one_beside_it_counts(root: Path) -> None:
    put(root, state(4), f"{CURRENT}.bak")
    assert restore("s") == root / f"{CURRENT}.bak"
    assert (root / CURRENT).read_text() == state(4)


def test_without_any_good_one_nothing_is_changed(root: Path) -> None:
    put(root, "{", CURRENT, *BACKUPS, *HISTORY)
    with pytest.raises(BottleError, match="neither is any earlier one"):
        restore("s")
    assert (root / CURRENT).read_text() == "{"


def test_where_there_is_no_room_what_is_there_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "{", CURRENT)
    put(root, state(2), BACKUPS[0])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_files, "write_whole", full)
    with pytest.raises(BottleError, match="free some space first"):
        restore("s")
    assert (root / CURRENT).read_text() == "{"


def test_a_lock_without_content_is_taken_away_and_a_young_or_whole_one_is_not(root: Path) -> None:
    folder = root / "locks/organization/claude-bottle/s"
    folder.mkdir(parents=True)
    for name, text in (("empty", ""), ("cut", '{"pid": 1'), ("young", ""), ("whole", '{"pid": 1, "hostname": "x"}')):
        (folder / f"{name}.json").write_text(text)
        if name != "young":
            os.utime(folder / f"{name}.json", (0, 0))
    assert remove_broken("s") == 2
    assert [lock.stem for lock in locks("s")] == ["whole", "young"]


def test_an_up_asks_for_room_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, state(2), CURRENT)
    assert room("s") is None
    monkeypatch.setattr(state_files.os, "statvfs", lambda _: SimpleNamespace(f_bavail=15, f_frsize=4096))
    finding = room("s")
    assert finding is not None
    assert "60 KB are free" in str(finding)
