"""The benchmark of git-gate on real histories: its plants are where it says, and a miss would be counted."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from gate_repository import Repository, fake_gitleaks, repository

from bench import git_plants
from bench.git_histories import History, measure
from sidecar_images.git_gate.scanning import leaks

__all__ = ["repository"]


@pytest.fixture
def history(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    for number in range(6):
        tip = repository.commit({f"src/{number % 2}.py": b"a line\n" * (number + 3), "README": b"%d\n" % number})
    repository.git("update-ref", "refs/heads/main", tip)
    repository.git("symbolic-ref", "HEAD", "refs/heads/main")
    monkeypatch.setattr(git_plants, "_LINES", ("{}",))
    return History(repository.folder, tmp_path / "history.git")


@pytest.mark.parametrize("place", git_plants.PLACES)
def test_a_plant_is_in_the_push_and_not_in_the_upstream(history: History, place: str) -> None:
    plot = git_plants.Plot(history, random.Random(3))
    base, tip = git_plants.PLACES[place](plot, b"the planted line", b"an old line")
    log = history.git("log", "-p", "-m", "--format=%B", f"{base}..{tip}")
    assert "the planted line" in log
    assert "the planted line" not in history.git("log", "-p", "--format=%B", base)
    assert ("an old line" in history.git("log", "-p", base)) is (place == "beside")


def test_what_is_missed_is_counted_and_named(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = git_plants.plant([history], 14, random.Random(1))
    assert lines[-1] == f"| all | {sum(line.startswith('missed: ') for line in lines)} of 14 |"
    assert not lines[-1].startswith("| all | 0 ")  # the fake knows four kinds
    monkeypatch.setattr(git_plants.Kind, "sample", lambda *_: f"ghp_{random.getrandbits(200):036x}"[:40])
    assert git_plants.plant([history], 14, random.Random(1))[-1] == "| all | 0 of 14 |"


def test_commits_are_looked_at_by_themselves_and_at_once(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    def run(self: leaks.Gitleaks, files: Path, size: int) -> object:
        runs.append(size)
        return fake_gitleaks(files)

    monkeypatch.setattr(leaks.Gitleaks, "_run", run)
    measurement = measure(history, 5)
    assert (measurement.commits, measurement.refused, measurement.findings, measurement.whole) == (5, 0, 0, "")
    assert len(runs) == 6
