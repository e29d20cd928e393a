"""What goes into the container's log: verdicts, each with its number, and of the daemon's own words a few.

Anybody on the agent's network can make git daemon complain, so its words and the verdicts about refused contacts are
limited in number; a verdict that is left out takes a number all the same, so that a reader sees the gap. What must not
be lost is in the record.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable
from itertools import count
from typing import IO

_VERDICTS, _WORDS = 100, 5  # lines a second
_WORD = 300  # bytes of a line of the daemon's


class Budget:
    """Some lines a second."""

    def __init__(self, lines: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines, self._clock = lines, clock
        self._second, self._left = -1, 0

    def allows(self) -> bool:
        """Whether one more line may be written now."""
        if (second := int(self._clock())) != self._second:
            self._second, self._left = second, self._lines
        self._left -= 1
        return self._left >= 0


class ContainerLog:
    """Writes lines whole, from any thread."""

    def __init__(self, out: IO[str] = sys.stdout) -> None:
        self._out, self._lock = out, threading.Lock()
        self._run, self._lines = uuid.uuid4().hex[:8], count(1)
        self._verdicts, self._words = Budget(_VERDICTS), Budget(_WORDS)

    def verdict(self, line: bytes) -> None:
        """A JSON object, to which its number is added."""
        number = next(self._lines)
        if self._verdicts.allows():
            self._write(f'{line.decode(errors="replace")[:-1]}, "run": "{self._run}", "line": {number}}}')

    def words_of(self, stream: IO[bytes]) -> None:
        """Read what a program says until it ends."""
        for line in iter(lambda: stream.readline(_WORD), b""):
            if self._words.allows():
                text = line.decode("ascii", errors="replace").strip()
                self._write("git daemon: " + "".join(c if c.isprintable() else "?" for c in text))

    def _write(self, line: str) -> None:
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()
