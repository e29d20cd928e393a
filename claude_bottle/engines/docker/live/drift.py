"""Differences between a live sidecar and what its stack put there, in words, and how an `up` repairs them. Pure.

What was put there last is read from the stack's state: a policy from the command that put it, files from the
fingerprints that the container returned when it was first ready. An edit of the stack file is no drift, because the
live sidecar still matches what was put there.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from claude_bottle.engines.docker.live.look import Look, version
from claude_bottle.engines.sidecars import SIDECARS

LABEL_MENDED = "claude-bottle.mended"  # why a container was replaced; `docker inspect` shows it too


@dataclass(frozen=True)
class Drift:
    """differences: in words, for the owner. unseen: why a sidecar could not be inspected, or "".

    again: the value that its command last ran with or will run with; a new value runs it. mended: the same for the
    container, which a new value replaces.
    """

    differences: tuple[str, ...] = ()
    unseen: str = ""
    again: str | None = None
    mended: str | None = None


@dataclass(frozen=True)
class Put:
    """What a stack's state records of one sidecar. policy: SHA-256 of the one put last. files: as `Look.files`.

    known: the state has the container. done: the command has run on this container. uploads: path to SHA-256, for
    content that is not secret. again, mended: as in Drift.
    """

    known: bool = False
    done: bool = False
    policy: str | None = None
    files: Mapping[str, str] | None = None
    uploads: Mapping[str, str] | None = None
    again: str | None = None
    mended: str | None = None


def put_of(role: str, stack: str, resources: Iterable[Mapping[str, Any]]) -> Put:
    """From the resources of the stack's state. Whatever cannot be read counts as unknown."""
    named = {str(r.get("urn", "")).rpartition("::")[2]: r for r in resources if not r.get("delete")}
    container = named.get(f"{stack}-{role}-container", {})
    command = named.get(f"{stack}-{role}-{SIDECARS[role].put}") or named.get(f"{stack}-{role}-ready") or {}
    inputs, ran = container.get("inputs") or {}, command.get("inputs") or {}
    done = bool(container.get("id")) and ran.get("triggers") == [container.get("id")]
    given = _given(ran)
    content = given.get("content")
    return Put(
        known=bool(container.get("id")),
        done=done,
        policy=_sha256(content) if done and SIDECARS[role].policy and isinstance(content, str) and content else None,
        files=_kept(command) if done and given.get("probe") == version(role) else None,
        uploads={
            upload["file"]: _sha256(upload["content"])
            for upload in inputs.get("uploads") or []
            if isinstance(upload, Mapping) and isinstance(upload.get("content"), str)
        },
        again=given.get("drift"),
        mended=next((x["value"] for x in inputs.get("labels") or [] if x.get("label") == LABEL_MENDED), None),
    )


def _given(ran: Mapping[str, Any]) -> Mapping[str, Any]:
    """The input of the step that readied a sidecar (claude_bottle/engines/docker/steps/ready.py)."""
    env = ran.get("environment") or {}
    if "PROBE" in env:  # in a state of before the release that gives steps JSON
        return {"content": ran.get("stdin"), "probe": env["PROBE"], "drift": env.get("DRIFT")}
    try:
        given = json.loads(ran["stdin"])
    except (KeyError, TypeError, ValueError):
        return {}
    return given if isinstance(given, dict) else {}


def drift_of(role: str, look: Look, put: Put, now: float | None = None) -> Drift:
    """Compare a sidecar with its state. A sidecar that is not in the state has no drift."""
    if not put.known:
        return Drift()
    if look.state == "unknown":
        return Drift((), f"{role} could not be inspected: it {look.why}", put.again, put.mended)
    if look.state != "running":
        words = f"{role} is {'stopped' if look.state == 'stopped' else 'missing'}"
        return Drift((words,), "", _fresh([words], now), put.mended)
    files, policy = list(_files(role, look, put)), list(_policy(role, look, put))
    again, mended = put.again, put.mended
    if not look.ready:
        policy.append(f"{role} runs but does not answer")
    if policy:
        again = _fresh(policy, now)
    if files:
        mended = _fresh(files, now)
    return Drift((*policy, *files), "", again, mended)


def _policy(role: str, look: Look, put: Put) -> Iterator[str]:
    if put.policy is None or look.live is None:
        return
    what, other = ("routes", "other routes") if role == "egress" else ("policy", "another policy")
    digests = "(sha256 {:.12} in place of {:.12})"
    if look.live and look.live != put.policy:
        yield f"{role} has {other} in force than this stack's {digests.format(look.live, put.policy)}"
    elif not look.live and look.ready:
        yield f"{role} has no {what} in force"
    if look.disk not in (look.live, put.policy):
        file = SIDECARS[role].policy
        yield f"{role}: {file} is not this stack's {digests.format(look.disk or 'none', put.policy)}, and not in force"
    elif look.disk != put.policy and look.live == put.policy:
        yield f"{role}: {SIDECARS[role].policy} is not the one in force"


def _files(role: str, look: Look, put: Put) -> Iterator[str]:
    if look.files is not None and put.files is not None:
        for path in sorted({*look.files, *put.files}):
            was, now = put.files.get(path), look.files.get(path)
            if was != now:
                how = "was added" if was is None else "was deleted" if now is None else "was changed"
                yield f"{role}: {path} {how} by hand"
    if look.plain is not None and put.uploads is not None:
        for path, digest in sorted(put.uploads.items()):
            if look.plain.get(path) != digest:
                yield f"{role}: {path} was {'changed' if path in look.plain else 'deleted'} by hand"


def _kept(command: Mapping[str, Any]) -> dict[str, str] | None:
    """The fingerprints that the probe printed when the sidecar was ready: the last line of the command's output."""
    try:
        said = str((command.get("outputs") or {})["stdout"])
        files = json.loads(said.splitlines()[-1])["files"]
        return {str(path): str(digest) for path, digest in files.items()}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fresh(words: Iterable[str], now: float | None) -> str:
    """The words and the time, so that the same drift seen again is repaired again."""
    return f"{'; '.join(words)}; seen {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(now))}"
