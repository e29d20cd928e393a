"""Installs a new policy in a running proxy: `put.py routes|policy`, with the content on standard input.

The content is validated before it replaces the old one; then this waits until the proxy reports it as live. If it is
refused, this exits with 1 and one line on standard error, and the old policy stays in force, on disk and in the
process. After a timeout the new content stays on disk.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

STATUS = Path("/run/claude-bottle/status.json")
WAIT = 30.0  # seconds; a proxy that has just started compiles its rules first


def _validator(kind: str) -> tuple[Path, Callable[[bytes], object]]:
    if kind == "routes":
        from claude_bottle.policy.routes.table import RouteTable

        return Path("/etc/claude-bottle/routes.json"), RouteTable.parse
    from addons.pipelock.core import Policy

    return Path("/etc/pipelock/pipelock.yaml"), Policy.parse


def put(kind: str, data: bytes) -> str:
    """Install the content. Returns the digest that is live. Raises ValueError if it is refused or not applied in
    time."""
    from claude_bottle.policy.whole_file import write_whole

    target, parse = _validator(kind)
    parse(data)
    digest = hashlib.sha256(data).hexdigest()
    old = target.read_bytes() if target.exists() else None
    try:
        write_whole(target, data, 0o644)
    except OSError as error:
        raise ValueError(f"{target} cannot be written: {error.strerror}; the old one stays") from None
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        try:
            status = json.loads(STATUS.read_text())
        except (OSError, ValueError):
            status = {}
        if status.get("live") == digest and status.get("error") is None:
            return digest
        if status.get("offered") == digest and status.get("error"):
            if old is not None:
                write_whole(target, old, 0o644)
            raise ValueError(status["error"])
        time.sleep(0.05)
    raise ValueError(f"the proxy did not take the new policy up within {WAIT:.0f} s; see its log")


if __name__ == "__main__":
    sys.path.insert(0, "/app")
    try:
        print("live", put(sys.argv[1], sys.stdin.buffer.read()))
    except ValueError as refused:
        sys.exit(f"refused: {refused}")
