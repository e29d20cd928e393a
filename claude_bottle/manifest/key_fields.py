"""Fields of the manifest's model, generated from declared keys (claude_bottle/policy/declared/keys.py). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from claude_bottle.policy.declared.keys import Choice, Flag, Key, Listed, Number


def key_fields(keys: Mapping[str, Key]) -> dict[str, Any]:
    """Type and field of each key, by its name in the manifest."""
    return {name: _field(key) for name, key in keys.items()}


def _field(key: Key) -> tuple[Any, Any]:
    one: Any = Annotated[str, AfterValidator(key.check)] if key.check else str
    kind: Any = list[one] if isinstance(key, Listed) else int if isinstance(key, Number) else one
    if isinstance(key, Flag | Choice):
        kind = Literal[key.options] if key.options else bool
    taken = kind
    if key.default is None and not key.required:
        kind = kind | None
    if key.also:
        other, read = key.also
        taken |= one if other is str else other
        kind = Annotated[kind, BeforeValidator(read, json_schema_input_type=taken)]
    return kind, Field(... if key.required else key.default, description=key.doc, **key.bounds)
