"""JSON that every parser reads alike: a repeated name in an object is refused (RFC 8259, 4). Pure."""

from __future__ import annotations

import json
from typing import Any


def read_json(body: bytes | str) -> Any:
    """The value; None for `null`, and for text that is not JSON, is nested too deeply, or repeats a name in an
    object."""
    try:
        return json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name that stands twice")
    return members
