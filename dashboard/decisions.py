"""What the parts of a bottle have decided, from the lines of their logs, in one form. Pure.

Hosts, paths and names in there are the agent's choice: everything is cut to a length and made printable here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from components.errors import printable

_TEXT, _RULE = 300, 120
# Distinct decisions of one part that one second may add to an audit log: an agent must not fill its owner's disk.
_KINDS = 20


@dataclass(frozen=True)
class Decision:
    """time: the engine's, RFC 3339. verdict: allowed, refused or asked. rule: reason id, or what let it through."""

    stack: str
    time: str
    part: str
    verdict: str
    rule: str
    what: str
    path: str = ""

    def to_json(self) -> dict[str, str]:
        return dict(vars(self))


def read_decision(stack: str, line: str) -> Decision | None:
    """A line of `docker logs --timestamps`; None for one that is no decision."""
    when, _, rest = line.partition(" ")
    try:
        told = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    made = _READERS.get(str(told.get("part")), lambda _: None)(told)
    if made is None:
        return None
    verdict, rule, what, path = (printable(str(text)).replace("\n", " ") for text in made)
    return Decision(stack, when, str(told["part"]), verdict, rule[:_RULE], what[:_TEXT], path[:_TEXT])


def _proxy(told: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    if told.get("decision") not in ("allowed", "refused"):
        return None
    rule = told.get("reason") or ("passthrough" if told.get("passthrough") else told.get("route") or "allowlist")
    if told.get("once"):
        rule = "let through once by the owner"
    if told.get("injected"):
        rule = f"{rule}, token put in"
    what = f"{told.get('method', 'CONNECT')} {told.get('host', '')}"
    # What DLP has found may be in the path.
    return str(told["decision"]), str(rule), what, "" if rule == "dlp_match" else str(told.get("path", ""))


def _gate(told: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    verdict = {"accepted": "allowed", "stale": "allowed"}.get(str(told.get("verdict")), str(told.get("verdict")))
    if verdict not in ("allowed", "refused"):
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


def for_audit(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """The records that a batch of decisions makes: the same ones counted, and not more kinds than a disk can bear."""
    counts: Counter[Decision] = Counter()
    first: dict[Decision, Decision] = {}
    last: dict[str, str] = {}
    for decision in decisions:
        alike = replace(decision, time="", path="")
        first.setdefault(alike, decision)
        counts[alike] += 1
        last[decision.part] = max(decision.time, last.get(decision.part, ""))
    made: list[dict[str, Any]] = []
    kinds: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for alike, count in counts.items():
        kinds[alike.part] += 1
        if kinds[alike.part] > _KINDS:
            left_out[alike.part] += count
            continue
        told = {key: value for key, value in first[alike].to_json().items() if value and key not in ("stack", "time")}
        made.append({"event": "decision", "at": first[alike].time, "until": last[alike.part], **told, "count": count})
    for part, count in left_out.items():
        made.append({"event": "decision", "at": last[part], "until": last[part], "part": part, "not_recorded": count})
    return made


def read_up_to(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Part to the time of the last decision that an audit log has of it."""
    found: dict[str, str] = {}
    for record in records:
        if record.get("event") == "decision":
            found[str(record["part"])] = max(str(record.get("until", "")), found.get(str(record["part"]), ""))
    return found
