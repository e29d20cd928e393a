"""The container's log: numbered verdicts, and a few of git daemon's own messages.

Anybody on the agent's network can make git daemon complain, so its messages, and the verdicts about refused contacts,
are rate-limited. A dropped verdict still takes a number, so that a reader sees the gap. The record
(claude_bottle/policy/record.py) holds what must not be lost.
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
_WORD = 300  # bytes of a line of git daemon's


class Budget:
    """A rate limit in lines a second."""

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
    """Writes whole lines, from any thread."""

    def __init__(self, out: IO[str] = sys.stdout) -> None:
        self._out, self._lock = out, threading.Lock()
        self._run, self._lines = uuid.uuid4().hex[:8], count(1)
        self._verdicts, self._words = Budget(_VERDICTS), Budget(_WORDS)

    def verdict(self, line: bytes) -> None:
        """Log a JSON object, with its number added."""
        number = next(self._lines)
        if self._verdicts.allows():
            self._write(f'{line.decode(errors="replace")[:-1]}, "run": "{self._run}", "line": {number}}}')

    def words_of(self, stream: IO[bytes]) -> None:
        """Log a program's output until it ends."""
        for line in iter(lambda: stream.readline(_WORD), b""):
            if self._words.allows():
                text = line.decode("ascii", errors="replace").strip()
                self._write("git daemon: " + "".join(c if c.isprintable() else "?" for c in text))

    def _write(self, line: str) -> None:
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()
