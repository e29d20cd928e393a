"""Pushes that are being forwarded and have no verdict on record yet. Their notes survive a kill.

At startup the gate asks the upstream about each, and records the outcome.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from claude_bottle.policy.whole_file import write_whole

from . import journal
from .forward import has, refs_of
from .mirror import RUN, UpstreamError, locked
from .push_policy import Command
from .remotes import Remote


def folder() -> Path:
    """The folder of the notes."""
    return RUN / "open"


def begin(remote: Remote, commands: Sequence[Command]) -> Path:
    """Note that this push is about to be forwarded. Raises OSError; then it must not be."""
    folder().mkdir(mode=0o700, exist_ok=True)
    file = folder() / f"{os.getpid()}-{remote.name}.json"
    moves = [[command.old, command.new, command.ref] for command in commands]
    write_whole(file, json.dumps({"remote": remote.name, "moves": moves}).encode(), 0o644)
    return file


def close_all(remotes: Mapping[str, Remote]) -> None:
    """Record the outcome of pushes that were interrupted by a kill. Safe while pushes of this run are going on."""
    for file in sorted(folder().glob("*.json")):
        if _is_of(file):
            continue
        try:
            entry = json.loads(file.read_text())
            remote, commands = remotes.get(entry["remote"]), [Command(*move) for move in entry["moves"]]
        except (OSError, ValueError, KeyError, TypeError):
            file.unlink(missing_ok=True)
            continue
        if remote is not None:
            with locked(remote):
                _close(remote, commands)
        file.unlink(missing_ok=True)


def _close(remote: Remote, commands: Sequence[Command]) -> None:
    why = "the gate was stopped while it was forwarded"
    try:
        current = refs_of(remote, [command.ref for command in commands])
    except UpstreamError as error:
        journal.close("push", remote.name, "unknown", refs=[c.ref for c in commands], reason=f"{why}; {error}")
        return
    for verdict, refs in (
        ("accepted", [c.ref for c in commands if has(current, c)]),
        ("unknown", [c.ref for c in commands if not has(current, c)]),
    ):
        if refs:
            journal.close("push", remote.name, verdict, refs=refs, reason=why)


def _is_of(file: Path) -> bool:
    """Whether the process that wrote the note is still running."""
    try:
        return b"git_gate.receive" in Path(f"/proc/{int(file.name.partition('-')[0])}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
