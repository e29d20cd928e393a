"""What looking at one push may cost: seconds, objects and bytes. Beyond a bound the push is refused."""

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
_LEAST_MB, _TIMES = 64, 4  # unpacked, for what max_push_mb allows packed


class ScanError(Exception):
    """The push could not be looked at, so it is not let through."""


class TooMuch(ScanError):
    """More than one push may bring; the message says of what."""


def unpacked_mb(remote: Remote) -> int:
    """The sum of all new contents, each unpacked, that one push may bring."""
    return max(_LEAST_MB, _TIMES * remote.max_push_mb)


@dataclass
class Work:
    """The time that is left for a push; `git` and `run` end their children with it."""

    until: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def left(self) -> float:
        """Seconds; raises TooMuch when there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TooMuch(f"this push takes longer than {SECONDS} s to look at; push it in parts")
        return left

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Any program, to its end or to the end of the time."""
        try:
            return subprocess.run(
                list(argv), input=stdin, env=env, cwd=cwd, capture_output=True, check=False, timeout=self.left()
            )
        except subprocess.TimeoutExpired:
            self.until = 0.0
            self.left()
            raise

    def git(self, *argv: str, stdin: bytes = b"") -> bytes:
        """What git says. Raises ScanError where it says no."""
        done = self.run(["git", *argv], stdin=stdin)
        if done.returncode != 0:
            raise ScanError(f"git {argv[0]}: {done.stderr.decode(errors='replace').strip()[-200:]}")
        return done.stdout

    @contextmanager
    def reading(self, argv: Sequence[str], stdin: IO[bytes] | int = subprocess.DEVNULL) -> Iterator[Popen[bytes]]:
        """A child whose output is read as it comes; killed when the time is over, and when its reader gives up."""
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
        """The output of a program, of at most so many bytes. Raises TooMuch beyond that, ScanError when it fails."""
        with self.reading(argv) as child:
            assert child.stdout is not None  # noqa: S101 - it is a pipe
            data = child.stdout.read(most + 1)
            if len(data) > most:
                raise TooMuch(f"more than {most >> 20} MB to be reviewed in one push; push it in parts")
        self.left()
        if child.returncode != 0:
            raise ScanError(f"{' '.join(argv[:2])} failed")
        return data
