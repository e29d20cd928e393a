"""Verdicts as JSON lines in the container's log. The hooks' own output goes to the client, so they send them here."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any

SOCKET = "/run/git-gate/journal.sock"


def write(event: str, remote: str, verdict: str, **more: Any) -> None:
    """One verdict. Losing a line is better than losing a push, so nothing is raised."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "part": "git-gate", "event": event}
    data = json.dumps({**line, "remote": remote, "verdict": verdict, **more})[:60_000].encode()
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(data, SOCKET)
