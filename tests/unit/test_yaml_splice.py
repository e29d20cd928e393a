"""Random documents in random styles, and random edits: the outcome says what was meant, and all else is as it was."""

from __future__ import annotations

import copy
import difflib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from claude_bottle.approvals.edit.yaml_splice import Style, spliced

KEYS = ["routes", "host", "allow", "a-b", "path", "memory", "apt", "x"]
WORDS = ["a.example.com", "2g", "GET", "it's", "a: b", "# no comment", "", "[x]", "7", "null", "two\nlines\n", "yes"]
SCALARS = st.one_of(st.sampled_from(WORDS), st.integers(-5, 5), st.booleans(), st.none())
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(st.sampled_from(KEYS), below, max_size=4)),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=5)


def load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


class Writer:
    """Writes a document as people do: each list and mapping in either style, comments and empty lines between."""

    def __init__(self, draw: Any, style: Style) -> None:
        self.draw, self.style, self.wide = draw, style, draw(st.integers(1, 3))

    def document(self, value: dict[str, Any]) -> str:
        return "".join(self.mapping(value, 0))

    def mapping(self, value: dict[str, Any], column: int):
        for key, one in value.items():
            yield from self.between(column)
            yield from self.entry(f"{' ' * column}{key}:", one, column)

    def entry(self, head: str, value: Any, column: int):
        """head: the key or the dash."""
        if isinstance(value, dict | list) and value and self.draw(st.booleans()):
            is_list = isinstance(value, list)
            deeper = column + (2 if head.endswith("-") else self.style.dash if is_list else self.style.step)
            yield f"{head}{self.comment()}\n"
            yield from self.list(value, deeper) if is_list else self.mapping(value, deeper)
        elif value == "two\nlines\n":
            yield f"{head} |\n"
            yield from (f"{' ' * (column + self.style.step + 2)}{line}\n" for line in value.splitlines())
        elif value is None and head.endswith(":") and self.draw(st.booleans()):
            yield f"{head}{self.comment()}\n"
        else:
            yield f"{head}{' ' * self.wide}{self.flow(value)}{self.comment()}\n"

    def list(self, value: list[Any], column: int):
        for one in value:
            yield from self.between(column)
            if isinstance(one, dict) and one and self.draw(st.booleans()):
                first, *rest = one.items()
                yield from self.entry(f"{' ' * column}- {first[0]}:", first[1], column + 2)
                yield from self.mapping(dict(rest), column + 2)
            else:
                yield from self.entry(f"{' ' * column}-", one, column)

    def flow(self, value: Any) -> str:
        space = " " * self.draw(st.integers(0, 2))
        if isinstance(value, dict):
            return "{" + space + f",{space or ' '}".join(f"{k}: {self.flow(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + space + f",{space or ' '}".join(map(self.flow, value)) + "]"
        if isinstance(value, str):
            quoted = "'" + value.replace("'", "''") + "'"
            return quoted if "\n" not in value else '"two\\nlines\\n"'
        return (
            {True: "true", False: "false", None: "null"}[value]
            if value is None or isinstance(value, bool)
            else str(value)
        )

    def comment(self) -> str:
        return self.draw(st.sampled_from(["", "", "  # why", " #x: [y"]))

    def between(self, column: int):
        yield self.draw(st.sampled_from(["", "", "", "\n", f"{' ' * column}# a comment\n", "# at the margin\n\n"]))


def places(value: Any, way: tuple[Any, ...] = ()):
    yield way
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(one, (*way, key))


def edited(draw: Any, old: dict[str, Any]) -> dict[str, Any]:
    """One edit, as approvals make them: something appended, put in place, or taken out."""
    new = copy.deepcopy(old)
    *way, last = draw(st.sampled_from([way for way in places(new) if way]))
    at: Any = new
    for key in way:
        at = at[key]
    kind = draw(st.sampled_from(["put", "append", "out"]))
    if kind == "out" and len(at) > 1:
        del at[last]
    elif not isinstance(at[last], dict | list) or not at[last]:
        at[last] = draw(VALUES)
    elif isinstance(at[last], list):
        at[last].insert(draw(st.integers(0, len(at[last]))), draw(VALUES))
    else:
        at[last][draw(st.sampled_from(["new-key", "other"]))] = draw(VALUES)
    return new


@st.composite
def edits(draw: Any) -> tuple[str, dict[str, Any], dict[str, Any], Style]:
    step = draw(st.sampled_from([2, 4]))
    style = Style(step, draw(st.sampled_from([0, 2, step])))
    old = draw(DOCUMENTS)
    return Writer(draw, style).document(old), old, edited(draw, old), style


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits())
def test_an_edit_is_what_was_meant_and_leaves_all_else(case: tuple[str, dict[str, Any], dict[str, Any], Style]) -> None:
    text, old, new, style = case
    assert load(text) == old, text
    after = spliced(text, old, new, style)
    assert load(after) == new, f"{text}\n---\n{after}\n---\n{new}"
    taken = [line for line in difflib.ndiff(text.splitlines(), after.splitlines()) if line.startswith("- ")]
    if is_addition(old, new):
        assert len(taken) <= 1, after  # of a list in brackets, or of a key that had no value


def is_addition(old: Any, new: Any) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and is_addition(one, new[key]) for key, one in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(new) >= len(old) and all(map(is_addition, old, new))
    return bool(old == new)
