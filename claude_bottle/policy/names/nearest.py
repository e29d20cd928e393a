"""Suggestions for mistyped names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(text: object, names: Iterable[str], alike: float = 0.6) -> str:
    """The name most similar to a mistyped one, or "". alike: the least similarity, 1 for equal."""
    by_lower = {name.lower(): name for name in sorted(names)}
    near = get_close_matches(text.lower(), by_lower, n=1, cutoff=alike) if isinstance(text, str) else []
    return by_lower[near[0]] if near else ""


def did_you_mean(text: object, names: Iterable[str]) -> str:
    """`; did you mean x?` with the most similar name, or nothing."""
    near = nearest(text, names)
    return f"; did you mean {near}?" if near else ""
