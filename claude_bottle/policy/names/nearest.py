"""The name that somebody meant. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(text: object, names: Iterable[str], alike: float = 0.6) -> str:
    """The one of some names that a mistyped one is nearest to, or "". alike: how near at least, 1 for the same."""
    by_lower = {name.lower(): name for name in sorted(names)}
    near = get_close_matches(text.lower(), by_lower, n=1, cutoff=alike) if isinstance(text, str) else []
    return by_lower[near[0]] if near else ""


def did_you_mean(text: object, names: Iterable[str]) -> str:
    """`; did you mean x?` for the nearest of some names, or nothing."""
    near = nearest(text, names)
    return f"; did you mean {near}?" if near else ""
