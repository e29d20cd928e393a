"""The end of a time-limited permission. Pure."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")


def parse_until(text: str) -> float:
    """Seconds since the epoch of a UTC time like 2026-01-31T12:00:00Z. Raises ValueError for any other form."""
    if not _FORM.match(text):
        raise ValueError("write a UTC time like 2026-01-31T12:00:00Z")
    return datetime.fromisoformat(text).timestamp()


def write_until(when: float) -> str:
    """A time, in seconds since the epoch, in the form that `parse_until` reads."""
    return datetime.fromtimestamp(int(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ended(until: float | None) -> bool:
    """Whether that time has come; False for None."""
    return until is not None and time.time() >= until
