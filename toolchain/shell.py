"""Runs commands with progress messages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "claude-bottle"
TICK_SECONDS = 15


class SetupError(Exception):
    """Set-up cannot continue. The message says what to do."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(text, file=sys.stderr, flush=True)


def quiet(*argv: str, timeout: float = 60, env: Mapping[str, str] | None = None) -> str | None:
    """The standard output of a command that succeeded, else None. For queries, not for changes."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})}, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def run(
    argv: Sequence[str | Path],
    what: str,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 3600,
) -> None:
    """Run with output in a log and a message every 15 seconds. Raises SetupError with the end of the log on failure."""
    log = CACHE / "log" / f"{what.replace(' ', '-').replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(TICK_SECONDS):
            say(f"      … {what}: {time.monotonic() - started:.0f} s (log: {log})")

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        with log.open("wb") as out:
            done = subprocess.run(
                [str(a) for a in argv],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            )
        failed = f"ended with {done.returncode}" if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        failed = str(error)
    finally:
        ended.set()
    if failed:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SetupError(f"{what} {failed}; the end of {log}:\n{tail}")


def as_root(*argv: str) -> list[str]:
    """The command line that runs as root. Raises SetupError if that is not possible."""
    if os.geteuid() == 0:
        return list(argv)
    if shutil.which("sudo"):
        return ["sudo", *argv]
    raise SetupError(f"this needs root and there is no sudo; run as root: {' '.join(argv)}")


def apt_install(*packages: str) -> None:
    """Install Debian or Ubuntu packages. Raises SetupError."""
    if not shutil.which("apt-get"):
        raise SetupError(f"install these with your package manager, then run again: {' '.join(packages)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    run(as_root("apt-get", "update"), "apt-get update", env=environment)
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    run(as_root(*install), f"apt-get install {packages[0]}", env=environment)
