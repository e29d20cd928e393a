"""When an engine's disk is low, and who has to stop. Source of the words: df -P of POSIX.1-2017, docker system df."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_bottle.approvals.audit.log import Audit
from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.engine import ContainerStatus, Engine
from dashboard.disk import Disk, judge, look_at_disk

GB = 10**9
# As two engines said it.
DF = "Filesystem     1024-blocks     Used Available Capacity Mounted on\noverlay  {size} 34678944 {free} 37% /\n"
USES = {
    "Containers": [{"Names": "claude-bottle-agent-a", "Size": "1.5GB (virtual 2.1GB)"}],
    "Volumes": [{"Name": "claude-bottle-home-a", "Size": "2GB"}, {"Name": "claude-bottle-home-b", "Size": "12.3MB"}],
}


@pytest.mark.parametrize(
    ("size", "free", "low", "full"),
    [
        (250 * GB, 30 * GB, False, False),
        (250 * GB, 20 * GB, True, False),
        (250 * GB, 7 * GB, True, True),
        (20 * GB, 1.5 * GB, True, False),
        (20 * GB, 0.9 * GB, True, True),
        (3 * GB, 0.7 * GB, False, False),
        (3 * GB, 0.5 * GB, True, True),
    ],
)
def test_low_and_full(size: float, free: float, low: bool, full: bool) -> None:
    disk = Disk(int(size), int(free))
    assert (disk.low, disk.full) == (low, full)


def test_the_one_that_takes_the_most_stops_and_only_on_a_full_disk() -> None:
    uses = {"a": 2 * GB, "b": 9 * GB, "c": 1000}
    low, full = Disk(100 * GB, 9 * GB), Disk(100 * GB, GB)
    assert judge(low, uses, uses).stop is None
    assert judge(low, uses, uses).words == "the engine's disk has 9.0 GB of 100.0 GB left; b 9.0 GB, a 2.0 GB, c 0 MB"
    assert judge(full, uses, uses).stop == "b"
    assert judge(full, uses, ["a", "c"]).stop == "a"  # b does not run
    assert judge(full, uses, ["c"]).stop is None  # it would help nobody
    assert judge(Disk(100 * GB, 50 * GB), uses, uses).words == ""


class FakeEngine(Engine):
    """An engine whose disk has so many GB left."""

    def __init__(self, free: float, stacks: tuple[str, ...] = ("a", "b")) -> None:
        self.said: list[tuple[str, ...]] = []
        self._free, self._stacks = free, stacks

    def bottles(self) -> list[ContainerStatus]:
        return [
            ContainerStatus(s, role, f"{s}-{role}", "Up 2 minutes")
            for s in self._stacks
            for role in ("agent", "egress")
        ]

    def docker(self, *argv: str, timeout: float = 30) -> str:
        self.said.append(argv)
        if argv[0] == "exec":
            return DF.format(size=100 * GB >> 10, free=int(self._free * GB) >> 10)
        return json.dumps(USES)


@pytest.fixture(autouse=True)
def _state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_only_an_own_bottle_is_stopped_and_it_is_on_record() -> None:
    engine = FakeEngine(1)
    assert "a 3.5 GB" in look_at_disk(engine, {"a", "b"}).words
    assert engine.said[-1] == ("stop", "claude-bottle-agent-a")
    assert [record["event"] for record in Audit("a").records()] == ["stopped"]
    others = FakeEngine(1)
    assert look_at_disk(others, {"b"}).stop is None
    assert not [said for said in others.said if said[0] == "stop"]


def test_a_disk_with_room_costs_one_question() -> None:
    engine = FakeEngine(50)
    assert look_at_disk(engine, {"a"}).words == ""
    assert [said[:2] for said in engine.said] == [("exec", "a-egress")]
    assert look_at_disk(FakeEngine(1, ()), {"a"}).words == ""  # nobody to ask


def test_words_that_are_none_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(1)
    monkeypatch.setattr(engine, "docker", lambda *argv, **_: "sh: df: not found\n")
    with pytest.raises(EngineError):
        look_at_disk(engine, {"a"})
