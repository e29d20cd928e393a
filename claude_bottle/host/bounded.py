"""Runs a command whose output an agent controls, with limits of time and size. Standard library only."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import IO

from claude_bottle.host.child_env import child_env
from claude_bottle.policy.errors import BottleError

SECONDS, BYTES = 120.0, 64 << 20
_CHUNK, _SAID = 1 << 20, 64 << 10  # bytes: of one read, and of standard error that is kept


def run_bounded(
    argv: Sequence[str],
    what: str,
    *,
    stdin: IO[bytes] | None = None,
    out: IO[bytes],
    seconds: float = SECONDS,
    most: int = BYTES,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> str:
    """Write the command's standard output to `out` and return its standard error. cwd: its working directory.

    Raises BottleError, with `what` in its message, for more than `most` bytes, after `seconds`, and if it fails.
    """
    until, taken, said = time.monotonic() + seconds, 0, b""
    source: IO[bytes] | int = subprocess.DEVNULL if stdin is None else stdin
    env = child_env() if env is None else env
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, stdin=source, stdout=pipe, stderr=pipe, env=env, cwd=cwd, start_new_session=True
    ) as child:
        assert child.stdout is not None and child.stderr is not None  # noqa: S101 - asked for above
        with selectors.DefaultSelector() as ready:
            ready.register(child.stdout, selectors.EVENT_READ)
            ready.register(child.stderr, selectors.EVENT_READ)
            try:
                while ready.get_map():
                    events = ready.select(max(0.0, until - time.monotonic()))
                    if not events and time.monotonic() >= until:
                        raise BottleError(f"{what} took longer than {seconds:g} s, so it was stopped")
                    for key, _ in events:
                        data = os.read(key.fd, _CHUNK)
                        if not data:
                            ready.unregister(key.fileobj)
                        elif key.fileobj is child.stderr:
                            said = (said + data)[-_SAID:]
                        else:
                            taken += len(data)
                            if taken > most:
                                raise BottleError(f"{what} gave more than {most >> 20} MB, so it was stopped")
                            out.write(data)
                child.wait(max(1.0, until - time.monotonic()))
            except (BottleError, subprocess.TimeoutExpired) as error:
                _end(child)
                if isinstance(error, BottleError):
                    raise
                raise BottleError(f"{what} did not end within {seconds:g} s") from None
            except BaseException:
                _end(child)
                raise
    words = said.decode(errors="replace").strip()
    if child.returncode != 0:
        raise BottleError(f"{what}: {(words.splitlines() or ['the command failed'])[-1]}")
    return words


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and every process in its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
