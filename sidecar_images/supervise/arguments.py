"""Checks a tool call's arguments against its schema, with messages that an agent can act on. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any


def wrong_arguments(tool: str, given: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """What is wrong with the names or types of a call's arguments; None if nothing is.

    schema: of the tool's input, as the protocol gives it to clients (JSON Schema).
    """
    accepted: Mapping[str, Any] = schema.get("properties", {})
    required = [name for name in schema.get("required", ()) if name not in given]
    wrong = [f"{name} is required ({_described(accepted[name])})" for name in required]
    for name in given:
        if name not in accepted:
            near = get_close_matches(name.lower(), accepted, n=1, cutoff=0.6)
            wrong.append(f"{name[:60]} is unknown" + (f" (did you mean {near[0]}?)" if near else ""))
        elif kinds := _refused(given[name], accepted[name]):
            wrong.append(f"{name} is {kinds}{_as_list(given[name], kinds)}")
    if not wrong:
        return None
    listed = ", ".join(f"{name}{' (required)' if name in schema.get('required', ()) else ''}" for name in accepted)
    return f"{tool}: {'; '.join(wrong)}; its arguments: {listed or 'none'}"


_WORDS = {
    "string": "text",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "boolean": "true or false",
    "number": "a number",
    "integer": "a whole number",
}
_KINDS: dict[str, type] = {"string": str, "array": list, "object": dict, "null": type(None), "boolean": bool}


def _described(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description", "")).rstrip(".").partition(": ")[0] or "see the tool's description"


def _refused(value: object, schema: Mapping[str, Any]) -> str:
    """The accepted types, after the word `not`, if the value has none of them; otherwise an empty string."""
    options = schema.get("anyOf", [schema])
    if any(_is_of(value, option) for option in options):
        return ""
    names = [_named(option) for option in options if option.get("type") != "null"]
    return f"not {' or '.join(names)}"


def _as_list(value: object, kinds: str) -> str:
    """What to write instead of a text where a list of texts is accepted; otherwise an empty string."""
    return f": write {json.dumps([value[:60]])}" if isinstance(value, str) and "a list of text" in kinds else ""


def _named(schema: Mapping[str, Any]) -> str:
    kind = str(schema.get("type"))
    inner = schema.get("items", {}).get("type")
    return f"a list of {_WORDS.get(inner, inner)}" if kind == "array" and inner else _WORDS.get(kind, kind)


def _is_of(value: object, schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    if kind in ("array", "object") and isinstance(value, str):  # some clients send JSON text, which the SDK parses
        try:
            value = json.loads(value)
        except ValueError:
            return False
    if kind == "array" and isinstance(value, list):
        return all(_is_of(item, schema.get("items", {})) for item in value)
    known = _KINDS.get(str(kind))
    return known is None or isinstance(value, known)
