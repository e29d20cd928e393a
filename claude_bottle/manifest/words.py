"""Error messages about values of the manifest, generated from the model: one sentence that says what to write. Pure.

The project's own checks (manifest/fields.py, policy/routes/values.py) have their own sentences. All other refusals of
the model, most of them a wrong type of value, are described here from the key's type, bounds and example.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo

from claude_bottle.manifest.examples import EXAMPLES
from claude_bottle.manifest.model import Manifest
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.names.nearest import did_you_mean, nearest
from claude_bottle.policy.shown_values import may_be_shown, quotes

BOTTLE = "claude-bottle:bottle"
# For keys that accept text and a mapping.
_TWO_WAYS = {"prompt": "text (prompt: Answer in French.) or a file ({file: prompt.md})"}
_NAME_OF_A_KEY = "[key]"  # the last part of pydantic's place if the key is wrong and not its value


@dataclass(frozen=True)
class Place:
    """A place in the manifest and the values it accepts.

    shown: its path, such as `egress.routes[1].host`. key: the same as in EXAMPLES, or "". kind: its type. bounds: of
    its value. example: in YAML. optional: whether it may be left out.
    """

    shown: str
    key: str
    kind: Any
    bounds: tuple[Any, ...] = ()
    example: str = ""
    optional: bool = False


def findings(error: ValidationError) -> list[Finding]:
    """All refusals of the model, each mistake once."""
    return [finding(item) for item in news(error)]


def news(error: ValidationError) -> list[dict[str, Any]]:
    """pydantic's errors without consequences of others: a key is missing if its name is mistyped."""
    items: list[dict[str, Any]] = [dict(item) for item in error.errors(include_url=False)]
    mistyped: list[tuple[Any, ...]] = [item["loc"] for item in items if item["type"] == "extra_forbidden"]
    meant = {(*loc[:-1], nearest(loc[-1], _accepted(loc))) for loc in mistyped}
    return [item for item in items if item["type"] != "missing" or item["loc"] not in meant]


def finding(item: Mapping[str, Any]) -> Finding:
    """One of pydantic's errors as a finding about the manifest."""
    kind, value = item["type"], item.get("input")
    place = locate(item["loc"])
    shown = value if kind != "missing" and may_be_shown(place.shown, value) else NOT_SHOWN
    if kind == "value_error":
        message = str(item["msg"]).removeprefix("Value error, ")
    elif kind in ("extra_forbidden", "invalid_key"):
        shown, message = NOT_SHOWN, _unknown(item["loc"])
    elif kind == "missing":
        message = f"is required; write {place.shown.rpartition('.')[2]}: {place.example}"
    elif item["loc"][-1:] == (_NAME_OF_A_KEY,):
        shown, message = NOT_SHOWN, "a name is text; write it in quotes"
    else:
        message = wanted(place, value)
    if shown is NOT_SHOWN and isinstance(value, str) and quotes(message, value):
        message = wanted(place, value)
    return Finding(place.shown or BOTTLE, shown, message)


def wanted(place: Place, value: object) -> str:
    """What to write at a place instead of this value."""
    kinds = _kinds(place.kind, place.bounds)
    message = f"write {_listed([words for _, words in kinds])}"
    if place.key in _TWO_WAYS:
        return f"write {_TWO_WAYS[place.key]}"
    names = [str(name) for kind, _ in kinds if get_origin(kind) is Literal for name in get_args(kind)]
    if names:
        message += did_you_mean(value, names)
    elif all(kind is str for kind, _ in kinds) and not isinstance(value, str | list | Mapping | None):
        message += f', in quotes: "{place.example.strip(chr(34))}"'
    elif place.example and not any(kind in (bool, int, float) for kind, _ in kinds):
        message += f": {place.example}"
    if value is None:
        empty = "is empty, because ~ alone is null in YAML" if place.example.startswith("~/") else "is empty"
        return f"{empty}; {message}{', or leave it out' if place.optional else ''}"
    return message


def locate(loc: tuple[Any, ...]) -> Place:
    """The model's entry for one of pydantic's places."""
    place = Place("", "", Manifest)
    for part in loc:
        if part == _NAME_OF_A_KEY:
            break
        place = _within(place, part)
    return place


def _within(place: Place, part: Any) -> Place:
    kind = _core(place.kind)
    many = get_origin(kind)
    example = place.example
    if many is list:
        inner = example[1:-1] if example.startswith("[{") else example[1:-1].split(", ")[0]
        return Place(f"{place.shown}[{part}]", f"{place.key}[]", get_args(kind)[0], (), inner)
    shown = f"{place.shown}.{part}" if place.shown else str(part)
    if many is dict:
        last = example[1:-1].split(", ")[-1]
        return Place(shown, f"{place.key}{{}}", get_args(kind)[1], (), last.partition(": ")[2])
    field: FieldInfo | None = kind.model_fields.get(part) if _is_model(kind) else None
    if field is None:
        return Place(shown, "", Any)
    key = f"{place.key}.{part}" if place.key else str(part)
    return Place(shown, key, field.annotation, tuple(field.metadata), EXAMPLES[key], not field.is_required())


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _core(kind: Any) -> Any:
    """The type inside `Annotated` and inside `… | None`."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif get_origin(kind) in (Union, types.UnionType):
            kind = next(part for part in get_args(kind) if part is not type(None))
        else:
            return kind


def _kinds(kind: Any, bounds: tuple[Any, ...]) -> list[tuple[Any, str]]:
    """Every accepted type, with its name in messages."""
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        bounds = (*bounds, *more)
    for bound in bounds:
        if isinstance(bound, BeforeValidator) and isinstance(bound.json_schema_input_type, types.UnionType):
            return _kinds(bound.json_schema_input_type, ())
    if get_origin(kind) in (Union, types.UnionType):
        return [one for part in get_args(kind) if part is not type(None) for one in _kinds(part, bounds)]
    return [(kind, _in_words(kind, bounds))]


def _in_words(kind: Any, bounds: tuple[Any, ...]) -> str:
    if get_origin(kind) is Literal:
        return _listed([str(name) for name in get_args(kind)])
    if get_origin(kind) is list:
        return "a list" + _length(bounds, "entry", "entries")
    if kind is str:
        return "text" + _length(bounds, "character", "characters")
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return ("a whole number" if kind is int else "a number") + _range(bounds)
    return "a mapping"


def _bound(bounds: tuple[Any, ...], name: str) -> Any:
    return next((value for bound in bounds if (value := getattr(bound, name, None)) is not None), None)


def _length(bounds: tuple[Any, ...], one: str, many: str) -> str:
    least, most = _bound(bounds, "min_length"), _bound(bounds, "max_length")
    parts = [f"at least {least} {one if least == 1 else many}"] if least and (least > 1 or one == "entry") else []
    parts += [f"at most {most} {many}"] if most else []
    return f" of {' and '.join(parts)}" if parts else ""


def _range(bounds: tuple[Any, ...]) -> str:
    above, least, most = (_bound(bounds, name) for name in ("gt", "ge", "le"))
    if above is not None:
        return f" above {above:g}, {most:g} at most"
    return f" from {least:g} to {most:g}" if most is not None else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" or " if len(names) > 1 else "") + names[-1]


def _accepted(loc: tuple[Any, ...]) -> list[str]:
    """The keys of the mapping that this key is in."""
    return list(_core(locate(loc[:-1]).kind).model_fields)


def _unknown(loc: tuple[Any, ...]) -> str:
    """The message for an unknown key: the nearest one, or where it belongs, and all accepted ones."""
    name, accepted = str(loc[-1]), _accepted(loc)
    elsewhere = [key for key in EXAMPLES if key.rpartition(".")[2] == name]
    hint = did_you_mean(name, accepted)
    if not hint and len(elsewhere) == 1:
        hint = f"; write it under {elsewhere[0].rpartition('.')[0] or BOTTLE}"
    return f"unknown key{hint}{'' if hint.endswith('?') else ';'} accepted here: {', '.join(accepted)}"
