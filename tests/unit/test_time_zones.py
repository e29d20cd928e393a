"""Times of ours across both changes of daylight saving time, and where a signed and an unsigned time_t of 32 bits end.

Sources: the IANA time zone database, europe: Europe/Berlin, whose rule is given here in POSIX's form (TZ), so that no
machine lacks it; POSIX.1-2017, sys/types.h: time_t.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from addons.http.fresh_leaves import drop_old
from claude_bottle.approvals.audit.decisions import Line, read_line
from claude_bottle.approvals.audit.from_logs import for_audit, since_of
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.cli import proposal_text
from claude_bottle.host import local_backend
from claude_bottle.policy import once as grants
from claude_bottle.policy import proposals
from claude_bottle.policy.once import Once, digest_of
from claude_bottle.policy.proposals import LimitError, Proposals
from claude_bottle.policy.record import Record
from claude_bottle.policy.routes.expiry import ended, parse_until, write_until

MOMENTS = {
    "2026-03-29T01:00:00Z": 1774746000,
    "2026-10-25T01:00:00Z": 1792890000,
    "2038-01-19T03:14:07Z": 2**31 - 1,
    "2038-01-19T03:14:08Z": 2**31,
    "2106-02-07T06:28:16Z": 2**32,
}
AROUND = (-7200, -3600, -1, 0, 1, 3599, 3600, 7200)  # seconds
Clock = Callable[[float], None]


@pytest.fixture(autouse=True, params=["CET-1CEST,M3.5.0,M10.5.0/3", "UTC0"], ids=["Berlin", "UTC"])
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    spring, autumn = ([time.localtime(MOMENTS[f"2026-{day}T01:00:00Z"] - n).tm_hour for n in (1, 0)]
                      for day in ("03-29", "10-25"))  # fmt: skip
    assert (spring, autumn) == (([1, 3], [2, 2]) if request.param != "UTC0" else ([0, 1], [0, 1]))
    yield
    if before is None:
        monkeypatch.delenv("TZ")
    else:
        monkeypatch.setenv("TZ", before)
    time.tzset()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: float(seconds))


@pytest.fixture(params=MOMENTS.items(), ids=MOMENTS)
def moment(request: pytest.FixtureRequest) -> tuple[str, int]:
    pair: tuple[str, int] = request.param
    return pair


def test_the_end_of_a_permission_is_the_same_moment_in_every_zone(moment: tuple[str, int], clock: Clock) -> None:
    text, at = moment
    assert (parse_until(text), write_until(at)) == (at, text)
    for seconds in AROUND:
        assert parse_until(write_until(at + seconds)) == at + seconds
        clock(at + seconds)
        assert ended(parse_until(text)) is (seconds >= 0)


def test_a_grant_holds_for_an_hour_of_seconds_and_not_in_an_earlier_one(
    moment: tuple[str, int], clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, at = moment
    status = SimpleNamespace(st_mtime=float(at), st_size=1)  # whatever times the disk's file system can hold
    monkeypatch.setattr(grants, "_stat", lambda file: status if file.exists() else None)
    clock(at)
    once, digest = Once(tmp_path / "once"), digest_of(b"x")
    once.hold(digest, {})
    assert once.grant(digest, "p-0123456789")
    for seconds in AROUND:
        clock(at + seconds)
        assert once.is_granted(digest) is (-5 <= seconds <= 3600)
        assert (once.held(digest) is not None) is (seconds >= -5)


def test_proposals_of_an_hour_are_those_of_its_seconds(
    moment: tuple[str, int], clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "MAX_PER_HOUR", 3)
    _, at = moment
    store = Proposals(tmp_path / "p.db")
    for number in range(3):
        clock(at - 1800 + number)
        store.decide(store.add("t", {"path": "x", "value": number}, "w", {}).id, "rejected", "no")
    clock(at + 1799)
    with pytest.raises(LimitError):
        store.add("t", {"path": "x", "value": "more"}, "w", {})
    clock(at + 1801)
    last = store.add("t", {"path": "x", "value": "more"}, "w", {})
    assert [p.created - at for p in store.all()] == [*(n - 1800 for n in range(3)), 1801]
    assert store.get(last.id) == last


def test_the_audit_log_is_in_order_and_has_what_it_has_after_steps_both_ways(
    moment: tuple[str, int], clock: Clock, tmp_path: Path
) -> None:
    text, at = moment
    log = Audit("s", tmp_path)
    for seconds in AROUND:
        clock(at + seconds)
        log.append({"event": "approved", "id": f"p{seconds}"})
    stamps = [record["time"] for record in log.records()]
    assert stamps == sorted(stamps) == [write_until(at + seconds) for seconds in AROUND]
    assert text in stamps
    for step in (-3600, 3600, -at + 1, 10 * 365 * 86_400):  # the last but one: a clock that lost its battery
        clock(at + step)
        log.append({"event": "step", "id": f"s{step}"})
        assert log.has("step", f"s{step}", at)
        assert log.has("approved", "p0", at)
        assert not log.has("approved", "p1000", at)
    assert [record["seq"] for record in log.records()] == list(range(1, log.verify()[0] + 1))


def test_a_clock_that_goes_back_is_a_record_and_a_change_of_the_zone_is_none(moment: tuple[str, int]) -> None:
    _, at = moment

    def line(number: int, seconds: int) -> Line:
        return Line("egress", write_until(at + seconds).replace("Z", ".123456789Z"), "run", number)

    records, marks = for_audit([line(n, seconds) for n, seconds in enumerate(AROUND, 1)], {})
    assert records == []
    assert since_of(marks["egress"], at + 9000) == write_until(at + 7200 - 6 * 3600)
    assert since_of(marks["egress"], at) == write_until(at - 6 * 3600)  # a clock that was ahead
    records, _ = for_audit([line(9, 3600), line(10, 7200)], marks)
    assert [record["event"] for record in records] == ["clock"]
    assert for_audit([line(9, 7200 + 3600)], marks)[0] == []


def test_a_decision_and_a_line_of_the_record_have_their_time(
    moment: tuple[str, int], clock: Clock, tmp_path: Path
) -> None:
    text, at = moment
    record = Record(tmp_path / "record")
    for number, seconds in enumerate(AROUND, 1):
        clock(at + seconds)
        assert record.append({"event": "x"}) == number
        entry = {"part": "egress", "decision": "allowed", "host": "a", "time": at + seconds + 0.25}
        read = read_line("s", f"{text} {json.dumps(entry)}")
        assert read is not None
        assert read.decision is not None
        assert read.decision.time == write_until(at + seconds).replace("Z", ".250Z")
    lines = [json.loads(line) for line in record.read("", 1)][1:]
    assert [(line["n"], line["at"]) for line in lines] == [(n, at + s) for n, s in enumerate(AROUND, 1)]


def test_a_leaf_is_old_at_half_its_life(moment: tuple[str, int]) -> None:
    half = datetime.fromtimestamp(moment[1], UTC)
    life = timedelta(days=100)
    for seconds in AROUND:
        entry = SimpleNamespace(cert=SimpleNamespace(notbefore=half - life, notafter=half + life))
        store: Any = SimpleNamespace(expire_queue=[entry], certs={"a": entry})
        assert drop_old(store, half + timedelta(seconds=seconds)) == (1 if seconds > 0 else 0)


def test_two_proposals_an_hour_apart_never_show_the_same_time(moment: tuple[str, int]) -> None:
    approval: Any = SimpleNamespace(gain=lambda _: "")
    asked = [SimpleNamespace(id="p", created=moment[1] + seconds, verdict="pending") for seconds in (-1800, 1800)]
    lines = [proposal_text.line(approval, proposal) for proposal in asked]
    assert lines[0] != lines[1]


def test_a_broken_lock_of_a_clock_that_was_ahead_is_broken(clock: Clock, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.touch()
    written = lock.stat().st_mtime
    for seconds, broken in ((-86_400, True), (-1, False), (1, False), (3600, True)):
        clock(written + seconds)
        assert local_backend._is_broken(lock) is broken
