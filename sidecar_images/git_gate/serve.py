"""Runs git daemon for the declared mirrors, on the agent's network only."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from claude_bottle.policy.names.files import GATE_ROOTS, SYSTEM_ROOTS
from claude_bottle.policy.names.roles import PORTS

from . import journal, open_pushes
from .container_log import ContainerLog
from .mirror import RUN, prepare
from .remotes import ETC, MIRRORS, Remote, read_remotes
from .scanning import leaks

PORT = PORTS["git-gate"]
_DAEMON = "/usr/lib/git-core/git-daemon"  # not `git daemon`, which would put git's own folder before SERVED
SERVED = "/app/served"
_MEMORY = 800 << 20  # bytes of data of one process, of the container's 1024 MB


def address() -> str:
    """This container's address on the agent network. Raises OSError while it has none."""
    addresses = socket.getaddrinfo(os.environ["GATE_ADDRESS_NAME"], PORT, socket.AF_INET, socket.SOCK_STREAM)
    return str(addresses[0][4][0])


def daemon(listen: str, remotes: list[Remote]) -> list[str]:
    """The command line: strict paths, and only the mirrors by name."""
    argv = [_DAEMON, f"--listen={listen}", f"--port={PORT}", "--reuseaddr", "--strict-paths", "--export-all"]
    argv += [
        f"--base-path={MIRRORS}",
        "--enable=receive-pack",
        "--forbid-override=receive-pack",
        "--informative-errors",
    ]
    argv += ["--access-hook=/app/hooks/access", "--timeout=1800", "--init-timeout=30", "--max-connections=64"]
    return [*argv, *(str(remote.mirror) for remote in remotes)]


def roots() -> None:
    """Write the public roots and the owner's to one file for git."""
    extra = ETC / "upstream-roots.pem"
    if extra.exists():
        public = Path(SYSTEM_ROOTS).read_text()
        put(Path(GATE_ROOTS), public + extra.read_text())


def put(file: Path, text: str) -> None:
    """Write a file only if its content changes, so that a gate restarts even on a full disk."""
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def listen_for_verdicts(log: ContainerLog) -> None:
    """Log the verdicts that the hooks send."""
    Path(journal.SOCKET).unlink(missing_ok=True)
    inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    inbox.bind(journal.SOCKET)

    def loop() -> None:
        while True:
            log.verdict(inbox.recv(65_536))

    threading.Thread(target=loop, daemon=True).start()


def watch(current: str, running: Callable[[], bool]) -> None:
    """Return when the daemon ends, or when the container's address changes."""
    while running():
        time.sleep(1)
        try:
            if address() != current:
                return
        except OSError:
            continue


def main() -> None:
    """Serve until a signal stops the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold credentials
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    remotes = read_remotes()
    for old in RUN.glob("accepted-*"):
        old.unlink()
    leaks.clear()
    # A git that needs more ends by itself and cleans up; otherwise the kernel might kill another process.
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    log = ContainerLog()
    listen_for_verdicts(log)
    roots()
    for remote in remotes:
        prepare(remote)
    threading.Thread(target=open_pushes.close_all, args=[{r.name: r for r in remotes}], daemon=True).start()
    while True:
        try:
            listen = address()
        except OSError:
            time.sleep(0.3)
            continue
        put(RUN / "listening", listen)
        env = {**os.environ, "PATH": f"{SERVED}:{os.environ['PATH']}"}
        with subprocess.Popen(daemon(listen, remotes), env=env, stderr=subprocess.PIPE) as served:
            assert served.stderr is not None  # noqa: S101 - asked for above
            threading.Thread(target=log.words_of, args=[served.stderr], daemon=True).start()
            try:
                watch(listen, lambda: served.poll() is None)
            finally:
                served.terminate()
        time.sleep(0.3)


if __name__ == "__main__":
    main()
