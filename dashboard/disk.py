"""Keeps one bottle from filling the disk that all bottles of an engine share.

An engine can limit a container's disk usage on few file systems (xfs with project quotas, btrfs, zfs), so the disk is
polled instead. A low disk is reported. On a full one the agent that uses the most is stopped; nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from claude_bottle.approvals.audit.log import Audit
from claude_bottle.engines.client import EngineError, Host

LOW, FULL = 0.10, 0.03  # free share of the disk
_LEAST = 10**9  # bytes
_WORTH = 256 << 20  # bytes that a bottle must use to be stopped


@dataclass(frozen=True)
class Disk:
    """Size and free space of an engine's disk, in bytes."""

    size: int
    free: int

    @property
    def full(self) -> bool:
        """Whether an agent must be stopped: under 3 % or 1 GB is free; on a disk under 5 GB, under a fifth."""
        return self.free < max(self.size * FULL, min(_LEAST, self.size / 5))

    @property
    def low(self) -> bool:
        """Whether the owner must be notified."""
        return self.full or self.free < self.size * LOW


@dataclass(frozen=True)
class Verdict:
    """words: for the owner, or "". stop: the stack whose agent must be stopped, or None."""

    words: str = ""
    stop: str | None = None


def judge(disk: Disk, uses: Mapping[str, int], running: Iterable[str]) -> Verdict:
    """Decide. uses: stack to the bytes of its agent's layer and home. running: stacks whose agent runs."""
    if not disk.low:
        return Verdict()
    most = sorted(uses, key=lambda stack: -uses[stack])
    shown = ", ".join(f"{stack} {_size(uses[stack])}" for stack in most[:3])
    words = f"the engine's disk has {_size(disk.free)} of {_size(disk.size)} left" + (f"; {shown}" if shown else "")
    candidates = [stack for stack in most if stack in set(running) and uses[stack] >= _WORTH]
    return Verdict(words, candidates[0] if disk.full and candidates else None)


def look_at_disk(engine: Host, own: set[str]) -> Verdict:
    """Check the disk, and stop an agent if it must be. own: stacks that may be stopped. Raises BottleError.

    Costs one `df` in a sidecar. The usage of each bottle is only counted if the disk is low.
    """
    parts = [part for part in engine.bottles() if part.health != "stopped"]
    asked = next((part for part in parts if part.role != "agent"), None)
    if asked is None:
        return Verdict()
    disk = _read_df(engine.run_in(asked, "df", "-Pk", "/"))
    if not disk.low:
        return Verdict()
    verdict = judge(disk, engine.uses(own), {part.stack for part in parts if part.role == "agent"} & own)
    if verdict.stop is None:
        return verdict
    engine.stop("agent", verdict.stop)
    Audit(verdict.stop).append({"event": "stopped", "who": "the page", "found": verdict.words})
    return Verdict(f"{verdict.words}; the agent of {verdict.stop} was stopped", verdict.stop)


def _read_df(text: str) -> Disk:
    """Parse POSIX's `df -P`: file system, size, used, free in units of 1024 bytes. Raises EngineError."""
    try:
        _, size, _, free, *_ = text.splitlines()[-1].split()
        return Disk(int(size) << 10, int(free) << 10)
    except (IndexError, ValueError):
        raise EngineError("df did not report the usage of the engine's disk") from None


def _size(size: int) -> str:
    return f"{size / 10**9:.1f} GB" if size >= 10**9 else f"{size // 10**6} MB"
