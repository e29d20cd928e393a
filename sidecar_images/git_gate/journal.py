"""Verdicts: what reaches an upstream on record (policy/record.py), and all as JSON lines in the container's log.

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

from claude_bottle.policy.record import Record, RecordFullError

SOCKET = "/run/git-gate/journal.sock"
RECORD = Path(os.environ.get("CLAUDE_BOTTLE_RECORD", "/var/lib/claude-bottle/record"))
# Bytes of one: Docker's json-file driver splits a line at 16 KB, and a part of a line is no JSON.
_RECORD = 14_000
_ITEM = 4_200  # characters of one string in a list, more than a ref can have; half of it where JSON escapes them
_PATIENCE = 2.0  # seconds


class NotWritten(Exception):
    """A verdict could not be put on record."""


def records(event: str, remote: str, verdict: str, **more: Any) -> list[dict[str, Any]]:
    """One verdict in as many records as it needs, each whole; `piece` tells which of how many. Pure."""
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
    """One verdict for the log. Losing it is better than losing a push, so nothing is raised."""
    for record in records(event, remote, verdict, **more):
        _log(record)


def keep(event: str, remote: str, verdict: str, **more: Any) -> None:
    """One verdict for the record, all of it, and for the log. Raises NotWritten."""
    for record in records(event, remote, verdict, **more):
        try:
            number = Record(RECORD).append(record, sync=True)
        except RecordFullError as error:
            raise NotWritten(str(error)) from None
        _log({**record, "record": number})


def close(event: str, remote: str, verdict: str, **more: Any) -> None:
    """The verdict about something that is on record already; where there is no room for it, in the log alone."""
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
