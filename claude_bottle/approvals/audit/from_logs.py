"""Audit records from the sidecars' logs: equal decisions are counted, and so are missing lines. Pure.

The agent determines how much is in a log, and the engine rotates a long one. Decisions that must be recorded one by one
come from the sidecars' records (claude_bottle/approvals/audit/collect.py). Refusals, reads and the like come from here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from claude_bottle.approvals.audit.decisions import Decision, Line

# Distinct decisions of one sidecar per second in an audit log, because an agent must not fill its owner's disk.
_KINDS = 20


_RUNS = 20  # earlier runs of a sidecar's process whose lines are known to have been read
_AGAIN = 6 * 3600.0  # seconds of a log that are read again; lines already read are recognised by their position
_BACK = 5.0  # seconds by which the engine's clock may go back without a record

Marks = Mapping[str, Mapping[str, Any]]  # by sidecar, the last line that was read: until, run, line, runs


def is_new(line: Line, mark: Mapping[str, Any]) -> bool:
    """Whether a line comes after a mark: by its position, because clocks are adjusted, or by time if it has none."""
    if not line.number:
        return line.at > str(mark.get("until", ""))
    if line.run == mark.get("run"):
        return line.number > int(mark["line"])
    return line.run not in mark.get("runs", ())


def for_audit(lines: Iterable[Line], read: Marks) -> tuple[list[dict[str, Any]], Marks]:
    """The records for a batch of lines, and the marks after it. read: the marks before it.

    Lines that were read before make no record. Equal decisions within one second, by the decision's own time, are one
    record with a count; each sidecar adds at most 20 distinct ones per second, and the rest are only counted. Missing
    lines in between make a record, and so does a clock that went back.
    """
    counts: Counter[tuple[str, str, Decision]] = Counter()
    first: dict[tuple[str, str, Decision], Decision] = {}
    marks = {part: dict(mark) for part, mark in read.items()}
    gaps: Counter[str] = Counter()
    clocks: list[dict[str, Any]] = []
    for line in lines:
        mark = marks.setdefault(line.part, {})
        if not is_new(line, mark if line.number else read.get(line.part, {})):
            continue
        gaps[line.part] += _missing(line, mark)
        if _seconds(line.at) < _seconds(mark.get("until")) - _BACK:
            clocks.append({"event": "clock", "part": line.part, "from": mark["until"], "to": line.at})
        move(mark, line)
        if line.decision is not None and not line.on_record:
            key = line.part, line.decision.time[:19], replace(line.decision, time="", path="")
            first.setdefault(key, line.decision)
            counts[key] += 1
    records: list[dict[str, Any]] = []
    kinds: Counter[tuple[str, str]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    for key, count in counts.items():
        part, second, _ = key
        kinds[part, second] += 1
        if kinds[part, second] > _KINDS:
            left_out[part, second] += count
            continue
        fields = {
            name: value for name, value in first[key].to_json().items() if value and name not in ("stack", "time")
        }
        records.append({"event": "decision", "at": first[key].time, **fields, "count": count})
    records += [
        {"event": "decision", "at": second, "part": part, "not_recorded": n} for (part, second), n in left_out.items()
    ]
    records += [{"event": "gap", "part": part, "lines_missing": missing} for part, missing in gaps.items() if missing]
    records += clocks
    last = {event["part"]: event for event in records}
    for part, event in last.items():
        event["read"] = {key: marks[part][key] for key in ("until", "run", "line", "runs") if key in marks[part]}
    return records, marks


def since_of(mark: Mapping[str, Any], now: float | None = None) -> str:
    """The time from which to read a sidecar's log again, in the engine's format; "" for all of it.

    It is six hours before the mark, because the engine compares with the clock as it was when the line was written.
    """
    until = min(_seconds(mark.get("until")), time.time() if now is None else now)
    return datetime.fromtimestamp(until - _AGAIN, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if until > _AGAIN else ""


def move(mark: dict[str, Any], line: Line) -> None:
    """Advance a mark to this line."""
    mark["until"] = line.at
    if line.number:
        if line.run != mark.get("run") and mark.get("run"):
            mark["runs"] = [*mark.get("runs", ()), mark["run"]][-_RUNS:]
        mark.update(run=line.run, line=line.number)


def _seconds(stamp: object) -> float:
    """Seconds of the epoch of an engine's time, which has nine decimal places; 0 if it is not valid."""
    try:
        return datetime.fromisoformat(str(stamp)[:19]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _missing(line: Line, mark: Mapping[str, Any]) -> int:
    """How many lines of the sidecar's log are missing before this one."""
    if not line.number:
        return 0
    if line.run == mark.get("run"):
        return max(0, line.number - int(mark["line"]) - 1)
    return line.number - 1  # the first line read of this run of the process
