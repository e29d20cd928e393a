"""The state of a mirror: its last fetch, and the error if that failed. Kept even if the disk is full."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from claude_bottle.policy.whole_file import write_whole

from .remotes import Remote

SCRATCH = Path("/tmp")  # noqa: S108 - in memory, and the container's own: has room if the engine's disk is full
ROOM = 32 << 20  # bytes that must be free on the disk for a push
_FULL = ("No space left on device", "Disk quota exceeded")  # strerror(3) of ENOSPC and EDQUOT

State = dict[
    str, Any
]  # started: of the last fetch, monotonic ns; fetched: time of the last good one, as text; error: of the last fetch;
# suffixed: the upstream that redirected to the same address with .git


def read(remote: Remote) -> State:
    """The state kept last; empty if there is none."""
    for file in reversed(_files(remote)):
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(file.read_text()))
    return {}


def keep(remote: Remote, state: State) -> None:
    """Keep the state beside the mirror or, while the disk is full, in memory."""
    kept, beside = _files(remote)
    try:
        write_whole(kept, json.dumps(state).encode(), 0o644)
    except OSError:
        with contextlib.suppress(OSError):  # the next contact will query the upstream
            beside.write_text(json.dumps(state))
    else:
        beside.unlink(missing_ok=True)


def address(remote: Remote) -> str:
    """The upstream's address: as declared, or with the `.git` to which it redirected the gate."""
    return f"{remote.upstream}.git" if read(remote).get("suffixed") == remote.upstream else remote.upstream


def age(state: State) -> str | None:
    """Why the mirror may be old, and how old it is; None if it is not."""
    if not (error := str(state.get("error") or "")):
        return None
    what = "the engine's disk is full" if any(words in error for words in _FULL) else "the upstream does not answer"
    return f"{what}: {error}; serving what was fetched {state.get('fetched')}"


def no_room(remote: Remote) -> str | None:
    """Why a push cannot be accepted, or None. Reading needs no room."""
    disk = os.statvfs(remote.mirror)
    left = disk.f_bavail * disk.f_frsize
    if left >= ROOM:
        return None
    return (
        f"git-gate accepts no push now: the engine's disk has {left >> 20} MB left. Nothing was sent; fetch still"
        " works. Only the owner of the bottle can free space"
    )


def _files(remote: Remote) -> tuple[Path, Path]:
    return remote.mirror / "gate.json", SCRATCH / f"{remote.name}.gate.json"
