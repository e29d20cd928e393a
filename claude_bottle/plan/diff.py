"""The changes of an `up`, from two plans: one line for each gain, loss or other change. Nothing is omitted. Pure.

`+` is a gain: a destination, a right, a trusted key, a rule that no longer applies. `-` is a loss, `~` is neither.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from claude_bottle.host.type_tokens import is_of
from claude_bottle.plan.facts import Facts, differences
from claude_bottle.plan.places import Ground, Place, Plan, Right, rights
from claude_bottle.plan.resolved import SCHEMA
from claude_bottle.plan.rest import key_of, told_otherwise, without_words
from claude_bottle.plan.words import REACH, lines, when
from claude_bottle.policy.declared.keys import Listed, Number
from claude_bottle.policy.declared.push_policy import FIELDS

# Keys whose changes get their own lines if they have an effect. Without an effect they are reported as plain changes.
_BY_HOST = {
    ("egress", "routes"), ("pipelock", "allow"), ("pipelock", "allowlist"), ("pipelock", "until"),
    ("pipelock", "passthrough"), ("pipelock", "trusted"),
}  # fmt: skip
_BY_FACTS = {
    ("agent", "memory"), ("agent", "cpus"), ("agent", "runtime"), ("agent", "apt"), ("agent", "npm"),
    ("agent", "claude_placeholder"), ("network", "outside"), ("pipelock", "engine"), ("pipelock", "upstream_roots"),
    ("pipelock", "internal_exempt"), ("pipelock", "upstream_proxy"), ("pipelock", "upstream_proxy_ref"),
    ("pipelock", "revocation_lists"), ("pipelock", "dlp_patterns"), ("pipelock", "seed_phrases"), ("stack",),
}  # fmt: skip
_GIT_FACTS = {*FIELDS, "rules", "known_hosts_sha256", "rules_sha256", "credential", "token_user"}
_DIGEST = re.compile(r"[0-9a-f]{16,64}\Z")


def changes(old: Plan | None, new: Plan) -> Iterator[str]:
    """The changes of an `up`, in plain words. Plans of older schemas are compared as far as they have the data."""
    if old is None:
        yield "+ the bottle is new"
        return
    if old == new:
        return
    try:
        was, note = upgraded(old, new)
        reported = [
            *note,
            *_places(was, new),
            *(f"{mark} {words}" for mark, words in differences(*map(Facts.of, (was, new)))),
        ]
    except (KeyError, TypeError, AttributeError, ValueError):
        # Of another version, or not a plan: report every difference as it is.
        yield "~ the plan of the running bottle is of another version; what differs:"
        yield from _rest(old, new, ())
        return
    reported += _rest(was, new, reported)
    # Two spellings of the same value, such as 1g and 1024m.
    yield from reported or (f"~ {key_of(path)}: {_text(a)} → {_text(b)}" for path, a, b in _differing(was, new))


def secrets_changed(steps: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each secret whose value differs from the one in use, from the steps of a preview."""
    for step in steps:
        if not is_of("SecretDigests", step["urn"]):
            continue
        was, now = (
            ((step.get(f"{age}State") or {}).get("inputs") or {}).get("digests") or {} for age in ("old", "new")
        )
        for name in sorted(was.keys() & now.keys()):
            if was[name] != now[name] and all(_DIGEST.match(str(one[name])) for one in (was, now)):
                yield f"~ the secret {name} has another value than the one in use"


def upgraded(old: Plan, new: Plan) -> tuple[Plan, list[str]]:
    """A plan of schema 1 converted to the current one, and a note on missing data. new: the plan to compare it with.

    Raises ValueError for an unknown schema.
    """
    if old["schema"] == SCHEMA:
        return old, []
    if old["schema"] != 1:
        raise ValueError("unknown schema")
    slots, pipelock = old["egress"]["token_slots"], old["pipelock"]
    routes = [
        {
            **{key: value for key, value in route.items() if key != "token_slot"},
            "token_ref": slots.get(route["token_slot"]),
        }
        for route in old["egress"]["routes"]
    ]
    new_pipelock = new["pipelock"]
    patterns = {one["name"]: one["sha256"] for one in new_pipelock["dlp_patterns"]}
    now = {remote["name"]: remote for remote in new["git_remotes"]}
    unknown = ("known_hosts_sha256", "rules_sha256")
    new_lists: dict[str, list[str]] = {name: [] for name, key in FIELDS.items() if isinstance(key, Listed)}
    files = {
        key: [{"file": name, "sha256": _known(new_pipelock[key], name)} for name in pipelock.get(key, [])]
        for key in ("upstream_roots", "revocation_lists")
    }
    plan = {
        **old,
        "schema": SCHEMA,
        "agent": {**old["agent"], "env": {name: new["agent"]["env"].get(name) for name in old["agent"]["env"]}},
        "egress": {**old["egress"], "routes": routes},
        "pipelock": {
            **pipelock,
            **files,
            "allow": new_pipelock["allow"],
            "dlp_patterns": [{"name": name, "sha256": patterns.get(name)} for name in pipelock["dlp_patterns"]],
            "seed_phrases_wanted": new_pipelock["seed_phrases_wanted"],
        },
        "git_remotes": [
            {**new_lists, **remote, **{key: now.get(remote["name"], {}).get(key) for key in unknown}}
            for remote in old["git_remotes"]
        ],
    }
    note = (
        "the plan of the running bottle is an older one: the contents of files, patterns and variables are not compared"
    )
    return plan, [f"~ {note}"]


def _known(files: list[dict[str, Any]], name: str) -> str | None:
    return next((one["sha256"] for one in files if one["file"] == name), None)


def _places(old: Plan, new: Plan) -> Iterator[str]:
    ground = Ground((old, new))
    was, now = rights(old, ground), rights(new, ground)
    for mark, word, before, after in (("-", "loses", now, was), ("+", "gains", was, now)):
        given: dict[Place, dict[Right, str]] = {}
        for place, held in after.items():
            for right, spans in held.items():
                so_far = before.get(place, {}).get(right, frozenset())
                if spans <= so_far:
                    continue
                time = when(spans, ground)
                if so_far:
                    other = f"{'so far' if mark == '+' else 'from now on'}{when(so_far, ground) or ' without an end'}"
                    time = f"{time or ', without an end'} ({other})"
                given.setdefault(place, {})[right] = time
        stays = {place for place in given if mark == "-" and _passes(now.get(place, {}))}
        for some, still in ((set(given) - stays, False), (stays, True)):
            for line in lines({place: given[place] for place in given if place in some}, ground):
                if line.kind != REACH:
                    yield f"{mark} {'' if mark == '+' else 'no longer: '}{line}"
                elif still:  # losing the host itself is reported differently
                    yield f"- no longer: {line}; it stays reachable"
                else:
                    yield f"{mark} the agent {word} {line}"


def _passes(held: Mapping[Right, object]) -> bool:
    return any(right[0] in ("pass", "free") for right in held)


def _rest(old: Plan, new: Plan, reported: Iterable[str]) -> Iterator[str]:
    """All differences without a line yet, as plain changes."""
    said = " ".join(reported)
    for path, was, now in sorted(_differing(old, new), key=lambda one: one[0]):
        if path in _BY_FACTS | _BY_HOST and _in_another_order(was, now):
            if path != ("pipelock", "allowlist"):  # it follows the routes
                yield f"~ {key_of(path)}: the same in another order"
            continue
        if path in _BY_FACTS or path[:2] == ("egress", "token_slots"):
            continue
        if path in _BY_HOST and isinstance(was, list) and isinstance(now, list):
            yield from _items(path, was, now, said)
        elif path[:2] == ("pipelock", "until") and path[2] in said:
            continue
        elif path == ("git_remotes",) and isinstance(was, list) and isinstance(now, list):
            yield from _remotes(was, now)
        elif path[:2] == ("pipelock", "on_match") and path[2] in said:
            continue
        else:
            yield from told_otherwise(path, was, now)


def _in_another_order(was: Any, now: Any) -> bool:
    return isinstance(was, list) and isinstance(now, list) and sorted(map(_text, was)) == sorted(map(_text, now))


def _items(path: tuple[str, ...], was: list[Any], now: list[Any], said: str) -> Iterator[str]:
    plain = [[without_words(one) for one in some] for some in (was, now)]
    gone, come = ([one for one in some if one not in others] for some, others in (plain, plain[::-1]))
    for mark, items in (("removed", gone), ("added", come)):
        for one in items:
            host = one["host"] if isinstance(one, Mapping) else one
            if str(host) not in said:
                yield f"~ {key_of(path)}: {mark}: {_text(one)}"
    described = False
    texts = (
        [{(r["host"], *r["path"]): r["description"] for r in some} for some in (was, now)]
        if path[1] == "routes"
        else []
    )
    if texts:
        for key in texts[0].keys() & texts[1].keys():
            if texts[0][key] != texts[1][key]:
                described = True
                yield f"~ description of {' '.join(key)}: {texts[0][key] or 'none'} → {texts[1][key] or 'none'}"
    if not gone and not come and not described:
        yield f"~ {key_of(path)}: in another order"


def _remotes(was: list[Any], now: list[Any]) -> Iterator[str]:
    before, after = ({remote["upstream"]: remote for remote in some} for some in (was, now))
    for url in before.keys() & after.keys():
        for path, old, new in _differing(before[url], after[url]):
            # The plan of a version without this key: a number cannot be compared with nothing.
            unknown = isinstance(FIELDS.get(path[0]), Number) and None in (old, new)
            if path[0] not in _GIT_FACTS or unknown:
                yield f"~ git {url}: {'.'.join(path)}: {_text(old)} → {_text(new)}"


def _differing(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**old, **new}:
            yield from _differing(old.get(key), new.get(key), (*path, str(key)))
    elif old != new:
        yield path, old, new


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
