"""How long a connection may be silent before a proxy ends it. Pure."""

from __future__ import annotations

# An answer that takes long, an idle WebSocket or event stream: people leave these over a meeting, or a night's build.
IDLE_SECONDS = 6 * 3600
LONGEST = 24 * 3600


def checked_idle(value: object) -> float:
    """The number of seconds that a policy names; raises ValueError beyond a second and a day."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= LONGEST:
        raise ValueError(f"idle_timeout_seconds: a number from 1 to {LONGEST}")
    return float(value)
