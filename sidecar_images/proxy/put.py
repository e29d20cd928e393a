"""Installs a new policy in a running proxy: `put.py routes|policy`, with the content on standard input.

The content is validated before it replaces the old one; then this waits until the proxy reports it as live. If the
proxy refuses it, or does not report it in time, the old file is restored, and this exits with 1 and one line on
standard error. The proxy follows its file: if it has taken up the new policy, it returns to the old one as soon as it
has read that. Where nothing can be restored, or another put has replaced the new content, the line says so.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from claude_bottle.policy.names.files import PIPELOCK_CONFIG, PROXY_STATUS, ROUTES

STATUS = Path(PROXY_STATUS)
WAIT = 30.0  # seconds; a proxy that has just started compiles its rules first


_OTHER = "another policy was put since, and stays"
# The proxy may have taken the new one up too late, or without being able to report it.
_RESTORED = "the old one was restored and is in force, but the new one may have been in force for a short time before"


class _ReplacedError(Exception):
    """The file no longer holds what this put wrote."""


def _validator(kind: str) -> tuple[Path, Callable[[bytes], object]]:
    if kind == "routes":
        from claude_bottle.policy.routes.table import RouteTable

        return Path(ROUTES), RouteTable.parse
    from addons.pipelock.core import Policy

    return Path(PIPELOCK_CONFIG), Policy.parse


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
    try:
        _wait(digest)
    except TimeoutError as error:
        raise ValueError(f"{error}; {_restored(target, data, old)}") from None
    except ValueError as error:
        if old is not None and not _restores(target, data, old):
            raise ValueError(f"{error}; {_OTHER}") from None
        raise
    return digest


def _wait(digest: str) -> None:
    """Return once the proxy reports the content as live. Raises ValueError with its reason if it refuses the content,
    TimeoutError if it reports neither in time."""
    until = time.monotonic() + WAIT
    while True:
        in_time = time.monotonic() < until  # asked before the last look, which is just before the old file is restored
        try:
            status = json.loads(STATUS.read_text())
        except (OSError, ValueError):
            status = {}
        if status.get("live") == digest and status.get("error") is None:
            return
        if status.get("offered") == digest and status.get("error"):
            raise ValueError(status["error"])
        if not in_time:
            raise TimeoutError(f"the proxy did not take up the new policy within {WAIT:.0f} s (see its log)")
        time.sleep(0.05)


def _restored(target: Path, data: bytes, old: bytes | None) -> str:
    """Restore the old content after a timeout. Returns what is on disk now, in words."""
    stays = "the new one stays on disk, and the proxy applies it when it can"
    if old is None:
        return f"there is no other one, so {stays}"
    if old == data:
        return f"it was on disk already, so {stays}"
    try:
        return _RESTORED if _restores(target, data, old) else _OTHER
    except OSError as error:
        return f"the old one cannot be restored ({error.strerror}), so {stays}"


def _restores(target: Path, data: bytes, old: bytes) -> bool:
    """Restore the old content, unless somebody has replaced the new one since. Then False. Raises OSError."""
    from claude_bottle.policy.whole_file import write_whole

    def still() -> None:
        if target.read_bytes() != data:
            raise _ReplacedError

    try:
        write_whole(target, old, 0o644, still)
    except _ReplacedError:
        return False
    return True


if __name__ == "__main__":
    try:
        print("live", put(sys.argv[1], sys.stdin.buffer.read()))
    except ValueError as refused:
        sys.exit(f"refused: {refused}")
