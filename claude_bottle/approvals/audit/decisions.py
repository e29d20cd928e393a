"""What the parts of a bottle have decided, from the lines of their logs and records, in one form. Pure.

Hosts, paths and names in there are the agent's choice: everything is made printable here, and cut to a length where it
comes from a log. What comes from a record is whole.
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

    rule: reason, or what let it through.
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
        """The same with texts of a length that a page can show."""
        return replace(self, rule=self.rule[:_RULE], what=self.what[:_TEXT], path=self.path[:_TEXT])


@dataclass(frozen=True)
class Line:
    """A line of a part's log. at: the engine's time of it. run, number: its place in one run of the part's process.

    decision: None for other words. on_record: it is in the part's record as well, whole. asks: digest of a content that
    waits at the part for the owner's word.
    """

    part: str
    at: str
    run: str = ""
    number: int = 0
    decision: Decision | None = None
    on_record: bool = False
    asks: str = ""


def read_line(stack: str, line: str) -> Line | None:
    """A line of a part's log after the engine's time; None for one that is no part's."""
    at, _, rest = line.partition(" ")
    told = _object(rest)
    if told is None or told.get("part") not in _READERS:
        return None
    decision = read_decision(stack, told, at)
    run, number = str(told.get("run", ""))[:16], told.get("line")
    return Line(
        part=str(told["part"]),
        at=at,
        run=run,
        number=number if isinstance(number, int) else 0,
        decision=decision.cut if decision else None,
        on_record="record" in told,
        asks=str(told["content"]) if told.get("decision") == "asking" and is_digest(told.get("content")) else "",
    )


def read_decision(stack: str, told: Mapping[str, Any], at: str = "") -> Decision | None:
    """What a part has told, if it is a decision; whole. at: its time, where it does not tell one itself."""
    made = _READERS.get(str(told.get("part")), lambda _: None)(told)
    if made is None:
        return None
    verdict, rule, what, path = (printable(str(text)).replace("\n", " ") for text in made)
    return Decision(stack, _time(told.get("at", told.get("time")), at), str(told["part"]), verdict, rule, what, path)


def _object(text: str) -> dict[str, Any] | None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _time(told: object, otherwise: str) -> str:
    if isinstance(told, float | int) and 0 <= told < 1e11:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(told)) + f".{int(told * 1000) % 1000:03d}Z"
    return told[:30] if isinstance(told, str) and told else otherwise


_VERDICTS = {"allowed": "allowed", "refused": "refused", "unfinished": "allowed", "asking": "asked", "failed": "failed"}


def _proxy(told: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    verdict = _VERDICTS.get(str(told.get("decision")))
    if verdict is None:
        return None
    rule = told.get("reason") or ("passthrough" if told.get("passthrough") else told.get("route") or "allowlist")
    if told.get("once"):
        rule = "let through once by the owner"
    if told["decision"] == "unfinished":
        rule = f"{rule}, not sent to its end"
    if told.get("redacted"):
        rule = f"{rule}, masked in its body: {told['redacted']}"
    if told.get("injected"):
        rule = f"{rule}, token put in"
    what = f"{told.get('method', 'CONNECT')} {told.get('host', '')}"
    # What DLP has found may be in the path.
    return verdict, str(rule), what, "" if rule == "dlp_match" else str(told.get("path", ""))


def _gate(told: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    verdict = {"accepted": "allowed", "stale": "allowed"}.get(str(told.get("verdict")), str(told.get("verdict")))
    if verdict not in ("allowed", "refused", "forwarding", "unknown"):
        return None
    refs = told.get("refs") or []
    rule = told.get("reason") or ("stale mirror" if told.get("verdict") == "stale" else "")
    what = f"{told.get('event', '')} {told.get('remote', '')}"
    return verdict, str(rule), what, " ".join(map(str, refs)) if isinstance(refs, list) else ""


def _supervise(told: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    if told.get("event") != "proposed":
        return None
    change = told.get("change") if isinstance(told.get("change"), dict) else {}
    return "asked", str(told.get("tool", "")), str(told.get("id", "")), str(change.get("path", ""))  # type: ignore[union-attr]


_READERS = {"egress": _proxy, "pipelock": _proxy, "git-gate": _gate, "supervise": _supervise}
