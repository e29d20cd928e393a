"""The record: what leaves is in it once and whole, and nothing leaves that cannot be in it."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_bottle.approvals.audit import collect
from claude_bottle.approvals.audit import log as audit
from claude_bottle.approvals.audit.log import Audit, AuditFull
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.record import LINE, Record, RecordFullError
from sidecar_images.git_gate.container_log import Budget, ContainerLog


def page(record: Record, identity: str = "", number: int = 1) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    head, *lines = (json.loads(line) for line in record.read(identity, number))
    return head, lines


def test_lines_are_numbered_whole_and_stay_until_they_were_read(tmp_path: Path) -> None:
    record = Record(tmp_path / "r", segment=1000)
    for n in range(1, 101):
        assert record.append({"what": f"{n}" * 10}) == n
    number, got = 1, []
    while True:
        head, lines = page(Record(tmp_path / "r", segment=1000), page(record)[0]["id"], number)
        if not lines:
            break
        got += lines
        number = lines[-1]["n"] + 1
    assert [line["n"] for line in got] == list(range(1, 101))
    assert [line["what"] for line in got] == [f"{n}" * 10 for n in range(1, 101)]
    assert head["next"] == 101
    assert len(list((tmp_path / "r").glob("*.jsonl"))) == 1  # what was read is gone
    assert record.append({}) == 101
    # Another reader is given what there is, and deletes nothing.
    assert page(record, "another", 500)[1][0]["n"] == page(record)[0]["first"]


def test_a_full_record_refuses_and_drops_nothing(tmp_path: Path) -> None:
    record = Record(tmp_path / "r", segments=3, segment=1000)
    count = 0
    with pytest.raises(RecordFullError, match="full"):
        for _ in range(1000):
            count = record.append({"what": "x" * 100})
    head, lines = page(record)
    assert (head["first"], lines[0]["n"]) == (1, 1)
    with pytest.raises(RecordFullError):
        record.append({"what": "x" * 100})
    page(record, head["id"], count + 1)  # all of it was read
    assert record.append({"what": "x" * 100}) == count + 1
    with pytest.raises(RecordFullError, match="longer"):
        record.append({"what": "x" * LINE})


def test_what_a_killed_writer_left_is_no_record(tmp_path: Path) -> None:
    record = Record(tmp_path / "r")
    record.append({"what": 1})
    with (tmp_path / "r/000000000000001.jsonl").open("ab") as file:
        file.write(b'{"n": 2, "wha')
    assert [line["n"] for line in page(record)[1]] == [1]
    assert record.append({"what": 2}) == 2
    assert [line["n"] for line in page(record)[1]] == [1, 2]


def test_a_full_disk_refuses_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, write = Record(tmp_path / "r"), os.write
    record.append({"what": 1})
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(RecordFullError, match="disk"):
        record.append({"what": 2})
    monkeypatch.undo()
    assert record.append({"what": 3}) == 2
    assert [line["what"] for line in page(record)[1]] == [1, 3]


def _write(folder: str) -> None:
    for _ in range(200):
        Record(Path(folder), segment=4000).append({"who": os.getpid()})


def test_several_processes_write_one_record(tmp_path: Path) -> None:
    writers = [multiprocessing.get_context("spawn").Process(target=_write, args=[str(tmp_path / "r")]) for _ in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    record, number, numbers = Record(tmp_path / "r", segment=4000), 1, []
    identity = page(record)[0]["id"]
    while lines := page(record, identity, number)[1]:
        numbers += [line["n"] for line in lines]
        number = numbers[-1] + 1
    assert numbers == list(range(1, 601))


# ---- the owner's side


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Record]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    record = Record(tmp_path / "r", segments=1000, segment=2000)

    def read(_: str, __: Path, part: str, identity: str, number: int) -> list[bytes]:
        return list(record.read(identity, number)) if part == "egress" else [b'{"id": "g", "first": 1, "next": 1}']

    monkeypatch.setattr(collect, "_read", read)
    yield record


def writes(record: Record, count: int, **more: Any) -> None:
    for n in range(count):
        record.append(
            {"part": "egress", "decision": "allowed", "method": "POST", "host": "a.b", "path": f"/{n}", **more}
        )


def numbers() -> list[int]:
    return [record["n"] for record in Audit("s").records() if "n" in record]


def test_every_write_is_in_the_audit_log_once_and_whole(part: Record) -> None:
    writes(part, 50, path="/" + "x" * 5000)
    assert collect.collect("s", Path()) == 50
    writes(part, 7)
    assert collect.collect("s", Path()) == 7
    assert collect.collect("s", Path()) == 0
    assert numbers() == list(range(1, 58))
    first = next(Audit("s").records())
    assert (first["verdict"], first["what"], first["path"]) == ("allowed", "POST a.b", "/" + "x" * 5000)
    assert Audit("s").verify()[0] == 57


def test_a_kill_between_log_and_head_takes_nothing_twice(part: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    writes(part, 3)
    collect.collect("s", Path())
    writes(part, 3)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit.AuditFiles, "write_head", killed)
    with pytest.raises(KeyboardInterrupt):
        collect.collect("s", Path())
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(part._folder.parent / "state"))
    monkeypatch.setattr(
        collect,
        "_read",
        lambda *a: list(part.read(a[3], a[4])) if a[2] == "egress" else [b'{"id":"g","first":1,"next":1}'],
    )
    assert collect.collect("s", Path()) == 0
    assert numbers() == [1, 2, 3, 4, 5, 6]
    assert Audit("s").verify()[0] == 6


def test_what_is_missing_is_a_record(part: Record) -> None:
    writes(part, 60)
    collect.collect("s", Path())
    writes(part, 60)
    for file in sorted(part._folder.glob("*.jsonl"))[:-1]:
        file.unlink()  # by hand
    collect.collect("s", Path())
    (gap,) = (record for record in Audit("s").records() if record["event"] == "gap")
    assert gap["from"] == 61
    assert numbers() == [*range(1, 61), *range(gap["to"] + 1, 121)]
    last = max(part._folder.glob("*.jsonl"))
    kept, read = last.read_bytes(), numbers()
    writes(part, 3)
    collect.collect("s", Path())
    last.write_bytes(kept)  # an older copy of it
    part._known = None
    collect.collect("s", Path())
    older = [record for record in Audit("s").records() if record["event"] == "gap"][1]
    assert (older["from"], older["to"]) == (121, 123)
    writes(part, 1)
    collect.collect("s", Path())
    assert numbers() == [*read, 121, 122, 123, 121]
    (part._folder / "id").unlink()  # another record in its place, as after destroy and up
    collect.collect("s", Path())
    ended = [record for record in Audit("s").records() if record["event"] == "gap"][2]
    assert (ended["from"], ended["to"]) == (122, "its end")


def test_a_long_log_is_sealed_and_goes_on(part: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "FILE", 5000)
    for _ in range(10):
        writes(part, 5)
        collect.collect("s", Path())
        Audit("s").append({"event": "approved", "id": "p"})
    sealed = sorted(Audit("s").file.parent.glob("s.jsonl.0*"))
    assert len(sealed) > 2
    assert all(file.stat().st_mode & 0o777 == 0o400 for file in sealed)
    assert all(json.loads(file.read_bytes().splitlines()[-1])["event"] == "sealed" for file in sealed)
    assert numbers() == list(range(1, 51))
    count, head = Audit("s").verify()
    assert count == sum(1 for _ in Audit("s").records())
    sealed[1].rename(sealed[1].with_name("away-1"))
    with pytest.raises(BottleError, match="does not follow"):
        Audit("s").verify()
    sealed[0].rename(sealed[0].with_name("away-0"))  # the oldest ones may be kept elsewhere
    assert Audit("s").verify() == (count, head)
    Audit("s").append({"event": "approved", "id": "last"})
    count, head = Audit("s").verify()
    for file in sorted(Audit("s").file.parent.glob("s.jsonl.0*")):
        file.rename(file.with_name(f"{file.name}.away"))
    assert Audit("s").verify() == (count, head)
    Audit("s").append({"event": "approved", "id": "more"})
    assert Audit("s").verify()[0] == count + 1
    lines = Audit("s").file.read_bytes().splitlines(keepends=True)
    Audit("s").file.write_bytes(b"".join(lines[1:]))  # but no record of a file
    with pytest.raises(BottleError, match="does not follow"):
        Audit("s").verify()


def test_sealed_files_that_were_moved_away_are_not_counted_anew(part: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "FILE", 300)
    for n in range(5):
        Audit("s").append({"event": "approved", "id": f"p-{n}"})
    files = sorted(Audit("s").file.parent.glob("s.jsonl.*"))
    assert len(files) > 1
    for file in files:
        file.rename(file.with_name(f"kept-{file.name}"))
    if not Audit("s").verify()[0]:
        raise AssertionError("nothing is known of what was moved away")
    for n in range(5):
        Audit("s").append({"event": "approved", "id": f"q-{n}"})
    again = {file.name for file in Audit("s").file.parent.glob("s.jsonl.*")}
    assert again and again.isdisjoint(file.name for file in files)
    Audit("s.jsonl.000001").append({"event": "approved", "id": "another stack"})
    assert Audit("s").verify()


def test_verify_beside_a_writer(part: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "FILE", 5000)
    writer = multiprocessing.get_context("spawn").Process(target=_append, args=[os.environ["XDG_STATE_HOME"]])
    writer.start()
    try:
        while writer.is_alive():
            Audit("s").verify()
    finally:
        writer.join()
    assert Audit("s").verify()[0] > 300
    with Audit("s").file.open("ab") as log:
        log.write(b'{"torn')
    assert Audit("s").verify()
    assert list(Audit("s").records())


def _append(state: str) -> None:
    os.environ["XDG_STATE_HOME"] = state
    audit.FILE = 5000
    for n in range(300):
        Audit("s").append({"event": "approved", "id": f"p-{n}"})


def test_a_flood_does_not_keep_a_collector(part: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    read, calls = collect._read, 0

    def flooded(*args: Any) -> list[bytes]:
        nonlocal calls
        calls += 1
        assert calls < 20
        lines = read(*args)
        if args[2] == "egress":
            writes(part, 3)
        return lines

    monkeypatch.setattr(collect, "_read", flooded)
    writes(part, 30)
    assert collect.collect("s", Path()) >= 30
    assert numbers() == list(range(1, len(numbers()) + 1))


def test_a_kill_before_the_sealed_file_is_put_away(part: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "FILE", 100)
    monkeypatch.setattr(audit.AuditFiles, "seal", lambda *_: None)
    Audit("s").append({"event": "approved", "id": "p-1"})
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(part._folder.parent / "state"))
    Audit("s").append({"event": "approved", "id": "p-2"})
    assert [record["event"] for record in Audit("s").records()] == ["approved", "sealed", "approved"]
    assert Audit("s").verify()[0] == 3
    assert len(Audit("s").file.read_bytes().splitlines()) == 1


def test_a_log_that_has_its_size_takes_no_more_and_the_part_keeps_it(
    part: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes(part, 20)
    collect.collect("s", Path())
    monkeypatch.setattr(audit, "LIMIT", 2000)
    writes(part, 20)
    with pytest.raises(AuditFull, match="move the oldest"):
        collect.collect("s", Path())
    Audit("s").append({"event": "approved", "id": "p-1"})  # the owner's own verdicts always have room
    monkeypatch.setattr(audit, "LIMIT", 1 << 30)
    assert collect.collect("s", Path()) == 20
    assert numbers() == list(range(1, 41))


def test_the_end_alone_is_read(part: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Audit("s")
    for _ in range(40):
        log.append(*({"event": "decision", "part": "x", "text": "y" * 900} for _ in range(50)))
    log.append({"event": "approved", "id": "p-1"})
    read = 0
    lines = audit.read_record

    def counted(line: bytes, number: int | None) -> dict[str, Any]:
        nonlocal read
        read += 1
        return lines(line, number)

    monkeypatch.setattr("claude_bottle.approvals.audit.files.read_record", counted)
    log.append({"event": "rejected", "id": "p-2"})
    assert log.has("approved", "p-1", 0)
    assert read < 10


def test_what_a_daemon_says_is_limited_and_a_verdict_left_out_is_a_gap() -> None:
    out = io.StringIO()
    log = ContainerLog(out)
    log.words_of(io.BytesIO(b"junk \x1b[2J\n" * 10_000 + b"x" * 10_000))
    words = out.getvalue().splitlines()
    assert len(words) < 50 and all(line.startswith("git daemon: ") and len(line) < 400 for line in words)
    assert "\x1b" not in out.getvalue()
    out.seek(0)
    out.truncate()
    for _ in range(2_000):
        log.verdict(b'{"part": "git-gate", "event": "push"}')
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) < 2_000
    log._verdicts = Budget(1)
    log.verdict(b'{"part": "git-gate", "event": "push"}')
    assert json.loads(out.getvalue().splitlines()[-1])["line"] == 2_001
