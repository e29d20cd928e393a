"""Verdicts: those on pushes to an upstream in the record (claude_bottle/policy/record.py), all as JSON lines in the
log.

The hooks' own output goes to the client, so they send their lines to the daemon's process, which prints them.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from claude_bottle.policy.names import files
from claude_bottle.policy.record import Record, RecordFullError

SOCKET = f"{files.GATE_RUN}/journal.sock"
RECORD = Path(os.environ.get("CLAUDE_BOTTLE_RECORD", files.RECORD))
# Bytes of one: Docker's json-file driver splits lines at 16 KB, and a part of a line is not valid JSON.
_RECORD = 14_000
_ITEM = 4_200  # characters of a string in a list, more than a ref has; half as many if JSON escapes them
_PATIENCE = 2.0  # seconds


class NotWritten(Exception):
    """A verdict could not be recorded."""


def records(event: str, remote: str, verdict: str, **more: Any) -> list[dict[str, Any]]:
    """One verdict as one or more complete records; `piece` numbers them. Pure."""
    head: dict[str, Any] = {"part": "git-gate", "event": event, "remote": remote, "verdict": verdict}
    head.update((key, value) for key, value in more.items() if not isinstance(value, str | list | tuple))
    pieces: list[dict[str, Any]] = [dict(head)]
    for key, value in more.items():
        if isinstance(value, str) and len(value) <= _ITEM:
            head[key] = value
            pieces[-1][key] = value
        elif isinstance(value, str | list | tuple):
            for item in _items(value):
                if _size({**pieces[-1], key: [*pieces[-1].get(key, []), item]}) > _RECORD:
                    pieces.append(dict(head))
                pieces[-1].setdefault(key, []).append(item)
    if len(pieces) > 1:
        for number, record in enumerate(pieces, 1):
            record["piece"] = f"{number} of {len(pieces)}"
    return pieces


def write(event: str, remote: str, verdict: str, **more: Any) -> None:
    """Log a verdict. Losing a line is better than losing a push, so nothing is raised."""
    for record in records(event, remote, verdict, **more):
        _log(record)


def keep(event: str, remote: str, verdict: str, **more: Any) -> None:
    """Record a verdict in full, and log it. Raises NotWritten."""
    for record in records(event, remote, verdict, **more):
        try:
            number = Record(RECORD).append(record, sync=True)
        except RecordFullError as error:
            raise NotWritten(str(error)) from None
        _log({**record, "record": number})


def close(event: str, remote: str, verdict: str, **more: Any) -> None:
    """The final verdict about a push that is already on record. If the record is full, it is only logged."""
    try:
        keep(event, remote, verdict, **more)
    except NotWritten:
        write(event, remote, verdict, **more)


def _log(record: dict[str, Any]) -> None:
    line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **record}).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out, contextlib.suppress(OSError):
        out.settimeout(_PATIENCE)
        out.sendto(line, SOCKET)


def _items(value: Any) -> Iterator[str]:
    for item in [value] if isinstance(value, str) else value:
        text = str(item)
        longest = _ITEM if text.isascii() else _ITEM // 2
        for at in range(0, max(len(text), 1), longest):
            yield text[at : at + longest]


def _size(record: dict[str, Any]) -> int:
    return len(json.dumps(record))
