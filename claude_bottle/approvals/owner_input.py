"""Strict parsers for what an owner enters with a verdict: duration, stack name, edited change. Pure."""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from claude_bottle.manifest.change import Change
from claude_bottle.policy.errors import BottleError, printable

_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])\Z")
_STACK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def seconds(text: str) -> int:
    """`30m`, `2h` or `1d` in seconds; 0 for an empty text. Raises BottleError."""
    match = _DURATION.match(text)
    if text and match is None:
        raise BottleError(f"{text!r}: write how long as 30m, 2h or 1d")
    return int(match[1]) * {"m": 60, "h": 3600, "d": 86400}[match[2]] if match else 0


def stack_name(text: str) -> str:
    """The text, if it is a valid stack name. Raises BottleError."""
    if not _STACK.match(text):
        raise BottleError(f"{text[:60]!r} is not the name of a stack")
    return text


def as_yaml(change: Change) -> str:
    """The change as YAML for an editor."""
    out = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump({"path": change.path, "value": change.value}, out)
    return out.getvalue()


def from_yaml(text: str) -> Any:
    """The owner's edit of a change, not validated yet. Raises BottleError if it is not YAML, or empty: an emptied field
    is not the agent's wish.
    """
    try:
        edit = YAML(typ="safe", pure=True).load(io.StringIO(text))
    except (YAMLError, ValueError, LookupError) as error:  # ruamel raises all of these, such as for odd numbers
        raise BottleError(f"not YAML: {' '.join(str(error).split())[:300]}") from None
    if edit is None:
        raise BottleError("the edited change is empty; write path and value")
    return edit


def gain(change: dict[str, Any] | Change) -> str:
    """What the agent would gain, in plain words, or why the change is not valid."""
    try:
        parsed = change if isinstance(change, Change) else Change.read(change, owner=True)
        return printable(parsed.in_words())
    except ValueError as error:
        return f"not valid: {printable(str(error))}"
