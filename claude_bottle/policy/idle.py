"""How long a connection may be silent before a proxy closes it. Pure."""

from __future__ import annotations

# Slow responses, idle WebSockets, event streams: people leave these open during a meeting, or a night's build.
IDLE_SECONDS = 6 * 3600
LONGEST = 24 * 3600


def checked_idle(value: object) -> float:
    """A policy's number of seconds. Raises ValueError unless it is between a second and a day."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= LONGEST:
        raise ValueError(f"idle_timeout_seconds: a number from 1 to {LONGEST}")
    return float(value)
