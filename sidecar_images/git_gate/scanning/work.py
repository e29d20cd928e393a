"""The cost limits of scanning one push: seconds, objects and bytes. Beyond a limit the push is refused."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from subprocess import Popen
from typing import IO

from ..remotes import Remote

SECONDS, OBJECTS = 300, 100_000
_LEAST_MB, _TIMES = 64, 4  # unpacked, in relation to max_push_mb, which limits the packed size


class ScanError(Exception):
    """The push could not be scanned, so it is refused."""


class TooMuch(ScanError):
    """The push exceeds a limit. The message says which."""


def unpacked_mb(remote: Remote) -> int:
    """Limit in MB for the sum of all new contents of one push, unpacked."""
    return max(_LEAST_MB, _TIMES * remote.max_push_mb)


@dataclass
class Work:
    """The time left for a push. Child processes are ended when it is over."""

    until: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def left(self) -> float:
        """Seconds left. Raises TooMuch if there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TooMuch(f"scanning this push takes longer than {SECONDS} s; push it in parts")
        return left

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end. Raises TooMuch if the time is over first."""
        try:
            return subprocess.run(
                list(argv), input=stdin, env=env, cwd=cwd, capture_output=True, check=False, timeout=self.left()
            )
        except subprocess.TimeoutExpired:
            self.until = 0.0
            self.left()
            raise

    def git(self, *argv: str, stdin: bytes = b"") -> bytes:
        """Git's standard output. Raises ScanError if git fails, TooMuch if the time is over."""
        done = self.run(["git", *argv], stdin=stdin)
        if done.returncode != 0:
            raise ScanError(f"git {argv[0]}: {done.stderr.decode(errors='replace').strip()[-200:]}")
        return done.stdout

    @contextmanager
    def reading(self, argv: Sequence[str], stdin: IO[bytes] | int = subprocess.DEVNULL) -> Iterator[Popen[bytes]]:
        """A child whose output is read as it arrives. It is killed when the time is over, and when its reader
        leaves."""
        with Popen(list(argv), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            timer = threading.Timer(self.left(), child.kill)
            timer.daemon = True
            timer.start()
            try:
                yield child
                child.wait()
            finally:
                timer.cancel()
                child.kill()

    def read(self, argv: Sequence[str], most: int) -> bytes:
        """A program's output, of at most `most` bytes. Raises TooMuch beyond that, ScanError if the program fails."""
        with self.reading(argv) as child:
            assert child.stdout is not None  # noqa: S101 - it is a pipe
            data = child.stdout.read(most + 1)
            if len(data) > most:
                raise TooMuch(f"more than {most >> 20} MB to be reviewed in one push; push it in parts")
        self.left()
        if child.returncode != 0:
            raise ScanError(f"{' '.join(argv[:2])} failed")
        return data
