"""Differences between two plans that change no right, in the manifest's terms, each reported once. Pure.

A key without words of its own is reported as it is, old and new.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from claude_bottle.manifest.renamed import RENAMED

Path = tuple[str, ...]
_IMAGES = {(part, "image") for part in ("agent", "egress", "pipelock", "supervise", "git_gate")}
# Keys that facts report (claude_bottle/plan/facts.py) if only one of the plans has them.
_SAID_AS_A_WHOLE = {("supervise",), ("git_gate",), ("workspace",)}
_SAID_BY_FACTS = {("workspace", "mode"), ("workspace", "copy_git"), ("workspace", "source")}
_OF_A_COPY = {("workspace", "files"), ("workspace", "sha256")}


def told_otherwise(path: Path, was: Any, now: Any) -> Iterator[str]:
    """Lines for one key that differs. was, now: None if a plan does not have it."""
    name = key_of(path)
    if path in _SAID_BY_FACTS or (path in _SAID_AS_A_WHOLE and None in (was, now)):
        return
    if path in _OF_A_COPY:
        if None not in (was, now) and path[1] == "sha256":
            yield (
                "~ workspace: its contents differ from those that were copied in; up copies what the agent has not"
                " changed"
            )
        return
    if path == ("workspace", "branches_sha256"):
        if None not in (was, now):
            yield "~ workspace: your branches have moved; up brings them to the agent"
        return
    if path == ("skills",) and isinstance(was, list) and isinstance(now, list):
        yield from _skills(was, now)
    elif path == ("prompt_sha256",):
        yield f"~ prompt: {_becomes(was, now)}{_digests(was, now)}"
    elif path[:2] == ("agent", "env") and len(path) == 3:
        yield f"~ env.{path[2]}: {_becomes(was, now)}{_digests(was, now)}"
    elif path == ("network", "pool"):
        yield f"~ network.pool: {was or 'the default'} → {now or 'the default'}; all networks of the bottle are new"
    elif path == ("agent", "command"):
        yield f"~ agent.command: {_or_own(was)} → {_or_own(now)}"
    elif path == ("agent", "proxy"):
        way = "to egress first" if now == "egress" else "straight to pipelock"
        yield f"~ egress: requests of the agent go {way} from now on"
    elif path[:2] == ("pipelock", "on_match") and len(path) == 3:
        yield f"~ pipelock.dlp.hosts.{path[2]}.on_match: {was or 'no request'} → {now or 'no request'}"
    elif path in _IMAGES:
        yield f"~ image of {path[0].replace('_', '-')}: {_text(was)} → {_text(now)}"
    else:
        yield f"~ {name}: {_text(was)} → {_text(now)}"


def key_of(path: Path) -> str:
    """The path of a plan's key with the manifest's current names. Plans have the old names."""
    name = ".".join(path)
    return next((f"{one.within}.{one.new}" for one in RENAMED if name == f"{one.within}.{one.old}"), name)


def _skills(was: list[Any], now: list[Any]) -> Iterator[str]:
    before, after = ({(one["name"], one["source"]): one["sha256"] for one in some} for some in (was, now))
    both = [key for key in after if key in before]
    for key in both:
        if before[key] != after[key]:
            yield f"~ skill {key[0]}: other contents{_digests(before[key], after[key])}"
    if before == after:
        yield "~ skills: the same in another order"


def _becomes(was: object, now: object) -> str:
    return "new" if was is None else "removed" if now is None else "changed"


def _digests(was: object, now: object) -> str:
    known = [str(one)[:16] for one in (was, now) if one is not None]
    return f" (sha256 {' → '.join(known)})" if known else ""


def _or_own(command: Any) -> str:
    return "the image's own" if command is None else _text(command)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def without_words(route: Any) -> Any:
    """A route without its description, which gives no right. Anything else is returned unchanged."""
    return {key: value for key, value in route.items() if key != "description"} if isinstance(route, Mapping) else route
