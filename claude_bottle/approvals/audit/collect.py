"""Copies the sidecars' records (policy/record.py) into a bottle's audit log: each one once, and complete."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from claude_bottle.approvals.audit.decisions import read_decision
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.engines.chosen import open_client
from claude_bottle.policy.errors import BottleError

PARTS = ("egress", "git-gate")
_SECONDS = 60


def collect(stack: str, project: Path, parts: Iterable[str] = PARTS) -> int:
    """Copy all records and return their number. Raises BottleError for a sidecar that does not answer.

    A sidecar deletes records once it is notified that they are in the audit log. If this is killed in between, the
    sidecar sends them again, and the audit log itself shows which ones it has.
    """
    audit = Audit(stack)
    with audit.collecting():
        return sum(_take_all(audit, stack, project, part) for part in parts)


def _take_all(audit: Audit, stack: str, project: Path, part: str) -> int:
    taken, until = 0, 0
    while True:
        mark = audit.read_to().get(part, {})
        identity, following = str(mark.get("record", "")), int(mark.get("next", 1))
        lines = _read(stack, project, part, identity, following)
        if not lines:
            return taken
        events = list(events_of(stack, part, lines, identity, following))
        audit.append_decisions(*events)
        taken += len([event for event in events if event["event"] == "decision"])
        until = until or int(json.loads(lines[0])["next"])
        # Records that arrive meanwhile are left for the next call, because a flood would keep this one from ending.
        if not events or int(json.loads(lines[-1]).get("n", until)) + 1 >= until:
            return taken


def events_of(stack: str, part: str, lines: list[bytes], identity: str, following: int) -> Iterator[dict[str, Any]]:
    """The events that one answer adds to the audit log. identity, following: record that was read last, next number.

    Pure.
    """
    head = json.loads(lines[0])
    if head["id"] != identity:
        if identity:
            gap = {"record": identity, "from": following, "to": "its end"}
            yield {"event": "gap", "part": part, **gap, "read": {"record": head["id"], "next": 1}}
        following = 1
    if head["next"] < following:  # the volume was replaced by an older copy
        gap = {"record": head["id"], "from": head["next"], "to": following - 1}
        yield {"event": "gap", "part": part, **gap, "read": {"record": head["id"], "next": head["next"]}}
    if head["first"] > following:
        gap = {"record": head["id"], "from": following, "to": head["first"] - 1}
        yield {"event": "gap", "part": part, **gap, "read": {"record": head["id"], "next": head["first"]}}
    for line in lines[1:]:
        entry = json.loads(line)
        decision = read_decision(stack, entry)
        shown = {k: v for k, v in decision.to_json().items() if v and k not in ("stack", "time")} if decision else entry
        at = {"at": decision.time} if decision else {}
        more = {key: entry[key] for key in ("refs", "before", "after", "options", "commits", "piece") if key in entry}
        if "refs" in more:
            shown.pop("path", None)
        read = {"record": head["id"], "next": entry["n"] + 1}
        yield {"event": "decision", **at, **shown, **more, "part": part, "n": entry["n"], "count": 1, "read": read}


def _read(stack: str, project: Path, part: str, identity: str, number: int) -> list[bytes]:
    command = ["python3", "-m", "claude_bottle.policy.record", "read", identity or "none", str(number)]
    answer = open_client(stack, project).exec(part, command, folder="/app", timeout=_SECONDS)
    if not answer.exists:
        return []
    if answer.code != 0:
        raise BottleError(f"the record of {part} cannot be read: {answer.last_words or 'no answer'}")
    return answer.out.splitlines()
