"""Sizes of memory, as a manifest writes them. Pure."""

from __future__ import annotations

import re


def megabytes(size: str) -> int:
    """`512m` or `2g` in MB. Raises ValueError."""
    match = re.fullmatch(r"([1-9][0-9]*)([mg])", size)
    if match is None:
        raise ValueError(f"not a memory size: {size}")
    return int(match[1]) * (1024 if match[2] == "g" else 1)
