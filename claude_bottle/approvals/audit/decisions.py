"""Decisions of a bottle's sidecars, read from their logs and records into one form. Pure.

The agent chooses hosts, paths and names in them, so all texts are made printable here. Texts from a log are cut to a
length, those from a record are not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from claude_bottle.policy.errors import printable
from claude_bottle.policy.once import is_digest

_TEXT, _RULE = 300, 120


@dataclass(frozen=True)
class Decision:
    """time: RFC 3339. verdict: allowed, refused, failed (no answer came), forwarding, unknown or asked.

    rule: the reason, or what allowed it.
    """

    stack: str
    time: str
    part: str
    verdict: str
    rule: str
    what: str
    path: str = ""

    def to_json(self) -> dict[str, str]:
        return dict(vars(self))

    @property
    def cut(self) -> Decision:
        """The same with texts short enough for a page."""
        return replace(self, rule=self.rule[:_RULE], what=self.what[:_TEXT], path=self.path[:_TEXT])


@dataclass(frozen=True)
class Line:
    """A line of a sidecar's log. at: the engine's time. run, number: its position in one run of the sidecar's process.

    decision: None for other lines. on_record: the decision is also in the sidecar's record, complete. asks: digest of a
    content that the sidecar holds for the owner's verdict, or "".
    """

    part: str
    at: str
    run: str = ""
    number: int = 0
    decision: Decision | None = None
    on_record: bool = False
    asks: str = ""


def read_line(stack: str, line: str) -> Line | None:
    """Parse a log line, after the engine's time; None for a line that no sidecar of a bottle writes."""
    at, _, rest = line.partition(" ")
    entry = _object(rest)
    if entry is None or entry.get("part") not in _READERS:
        return None
    decision = read_decision(stack, entry, at)
    run, number = str(entry.get("run", ""))[:16], entry.get("line")
    return Line(
        part=str(entry["part"]),
        at=at,
        run=run,
        number=number if isinstance(number, int) else 0,
        decision=decision.cut if decision else None,
        on_record="record" in entry,
        asks=str(entry["content"]) if entry.get("decision") == "asking" and is_digest(entry.get("content")) else "",
    )


def read_decision(stack: str, entry: Mapping[str, Any], at: str = "") -> Decision | None:
    """The decision in an entry, uncut; None if it is not one. at: time for an entry that has none of its own."""
    texts = _READERS.get(str(entry.get("part")), lambda _: None)(entry)
    if texts is None:
        return None
    verdict, rule, what, path = (printable(str(text)).replace("\n", " ") for text in texts)
    return Decision(stack, _time(entry.get("at", entry.get("time")), at), str(entry["part"]), verdict, rule, what, path)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _time(value: object, otherwise: str) -> str:
    if isinstance(value, float | int) and 0 <= value < 1e11:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(value)) + f".{int(value * 1000) % 1000:03d}Z"
    return value[:30] if isinstance(value, str) and value else otherwise


_VERDICTS = {"allowed": "allowed", "refused": "refused", "unfinished": "allowed", "asking": "asked", "failed": "failed"}


def _proxy(entry: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    verdict = _VERDICTS.get(str(entry.get("decision")))
    if verdict is None:
        return None
    rule = entry.get("reason") or ("passthrough" if entry.get("passthrough") else entry.get("route") or "allowlist")
    if entry.get("once"):
        rule = "allowed once by the owner"
    if entry["decision"] == "unfinished":
        rule = f"{rule}, not sent completely"
    if entry.get("redacted"):
        rule = f"{rule}, masked in its body: {entry['redacted']}"
    if entry.get("injected"):
        rule = f"{rule}, token injected"
    what = f"{entry.get('method', 'CONNECT')} {entry.get('host', '')}"
    # The path may contain what DLP has found.
    return verdict, str(rule), what, "" if rule == "dlp_match" else str(entry.get("path", ""))


def _gate(entry: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    verdict = {"accepted": "allowed", "stale": "allowed"}.get(str(entry.get("verdict")), str(entry.get("verdict")))
    if verdict not in ("allowed", "refused", "forwarding", "unknown"):
        return None
    refs = entry.get("refs") or []
    rule = entry.get("reason") or ("stale mirror" if entry.get("verdict") == "stale" else "")
    what = f"{entry.get('event', '')} {entry.get('remote', '')}"
    return verdict, str(rule), what, " ".join(map(str, refs)) if isinstance(refs, list) else ""


def _supervise(entry: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    if entry.get("event") != "proposed":
        return None
    change = entry.get("change") if isinstance(entry.get("change"), dict) else {}
    return "asked", str(entry.get("tool", "")), str(entry.get("id", "")), str(change.get("path", ""))  # type: ignore[union-attr]


_READERS = {"egress": _proxy, "pipelock": _proxy, "git-gate": _gate, "supervise": _supervise}
