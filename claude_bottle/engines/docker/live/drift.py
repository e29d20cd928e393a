"""What is live in a sidecar and is not what its stack put there, in words, and what makes an `up` mend it. Pure.

What was last put there is read from the stack's state: a policy from the command that put it, files from the
fingerprints that the container gave when it was ready for the first time. An edit of the owner's is no drift: what is
live is then still what was put there.
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

LABEL_MENDED = "claude-bottle.mended"  # why a container was replaced; the engine shows it too


@dataclass(frozen=True)
class Drift:
    """differences: what is not as it was put, in words, for the owner. unseen: why a part could not be looked at,
    or "".

    again: a value that a command has run with, or is to run with; a new one runs it. mended: the same of a container,
    which a new one replaces.
    """

    differences: tuple[str, ...] = ()
    unseen: str = ""
    again: str | None = None
    mended: str | None = None


@dataclass(frozen=True)
class Put:
    """What a stack's state says of one sidecar. policy: SHA-256 of what was put last. files: as `Look.files`.

    known: the state knows the container. done: its command has run on this container. uploads: path to SHA-256, where
    the content is no secret. again, mended: as of a Drift.
    """

    known: bool = False
    done: bool = False
    policy: str | None = None
    files: Mapping[str, str] | None = None
    uploads: Mapping[str, str] | None = None
    again: str | None = None
    mended: str | None = None


def put_of(role: str, stack: str, resources: Iterable[Mapping[str, Any]]) -> Put:
    """From the resources of the stack's state; whatever cannot be read there counts as unknown."""
    named = {str(r.get("urn", "")).rpartition("::")[2]: r for r in resources if not r.get("delete")}
    container = named.get(f"{stack}-{role}-container", {})
    command = named.get(f"{stack}-{role}-{SIDECARS[role].put}") or named.get(f"{stack}-{role}-ready") or {}
    inputs, given = container.get("inputs") or {}, command.get("inputs") or {}
    env = given.get("environment") or {}
    done = bool(container.get("id")) and given.get("triggers") == [container.get("id")]
    stdin = given.get("stdin")
    return Put(
        known=bool(container.get("id")),
        done=done,
        policy=_sha256(stdin) if done and SIDECARS[role].policy and isinstance(stdin, str) and stdin else None,
        files=_kept(command) if done and env.get("PROBE") == version(role) else None,
        uploads={
            upload["file"]: _sha256(upload["content"])
            for upload in inputs.get("uploads") or []
            if isinstance(upload, Mapping) and isinstance(upload.get("content"), str)
        },
        again=env.get("DRIFT"),
        mended=next((x["value"] for x in inputs.get("labels") or [] if x.get("label") == LABEL_MENDED), None),
    )


def drift_of(role: str, look: Look, put: Put, now: float | None = None) -> Drift:
    """Compare. A part of which the state knows nothing yet has no drift."""
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
    """What the probe has said when the part was ready: the last line of the command's output."""
    try:
        said = str((command.get("outputs") or {})["stdout"])
        files = json.loads(said.splitlines()[-1])["files"]
        return {str(path): str(digest) for path, digest in files.items()}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fresh(words: Iterable[str], now: float | None) -> str:
    """The words with the time: the same drift seen a second time is mended a second time."""
    return f"{'; '.join(words)}; seen {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(now))}"
