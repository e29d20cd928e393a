"""Edits a stack file as a person would: comments and order are kept, and nobody's edit is overwritten."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from claude_bottle.approvals.edit.route_edit import ROUTES, edit_of, holds_place, make
from claude_bottle.approvals.edit.yaml_splice import SpliceError, Style, spliced
from claude_bottle.host.stack_names import STACKS, stack_path
from claude_bottle.host.stack_size import too_large
from claude_bottle.manifest.change import APPENDS, ENDING, Change
from claude_bottle.manifest.model import AgentConfig
from claude_bottle.manifest.readable import apart
from claude_bottle.manifest.words import BOTTLE
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.hosts import host_matches
from claude_bottle.policy.routes.expiry import ended, parse_until
from claude_bottle.policy.whole_file import write_whole


@dataclass(frozen=True)
class StackFile:
    """The file of one stack."""

    path: Path

    @classmethod
    def of(cls, stack: str, project: Path) -> StackFile:
        """Raises BottleError if there is no such file."""
        path = stack_path(stack, project / STACKS)
        if not path.is_file():
            raise BottleError(f"{path}: no such stack file")
        return cls(path)

    def read(self) -> str:
        return self.path.read_text()

    def replace(self, seen: str, new: str) -> None:
        """Write `new` if the file still contains `seen`. Raises BottleError, and writes nothing, if it does not, or if
        `new` is too large for Pulumi.
        """
        if (wrong := too_large(new)) is not None:
            raise BottleError(f"{self.path}: {wrong}")

        def still() -> None:
            if self.read() != seen:
                raise BottleError(f"{self.path} was edited in the meantime; check it, then approve again")

        write_whole(self.path, new.encode(), self.path.stat().st_mode & 0o777, still)


def changed(text: str, change: Change) -> str:
    """The text of a stack file with only this change. Raises BottleError for a file without a bottle."""
    return _edited(text, lambda bottle: _make(bottle, change))


def bottle_of(text: str) -> Any:
    """The bottle's config object in a stack file, as written. Raises BottleError if there is none."""
    try:
        return YAML(typ="safe", pure=True).load(text)["config"][BOTTLE]
    except (LookupError, TypeError, YAMLError, ValueError):
        raise BottleError(f"the stack file has no {BOTTLE}, or is not YAML") from None


def without_ended(text: str) -> str:
    """The text without expired routes and allowed hosts, unless their removal would allow anything.

    An expired route stays if a wider route would otherwise allow what it refuses, and a host stays if
    pipelock.passthrough names it. `egress` is kept even with an empty list, which refuses everything. Raises
    BottleError if a route is not valid.
    """

    def sweep(bottle: Any) -> None:
        for path in ENDING:
            section, last = path.split(".")
            items = (bottle.get(section) or {}).get(last) or []
            for index in reversed(range(len(items))):
                over = isinstance(items[index], dict) and _is_over(items[index].get("until"))
                if over and not (path == ROUTES and holds_place(bottle, index)) and not _named(bottle, items[index]):
                    del items[index]

    return _edited(text, sweep)


def _named(bottle: Any, item: Any) -> bool:
    """Whether pipelock.passthrough names the host of an item. Such a host must be declared."""
    patterns = (bottle.get("pipelock") or {}).get("passthrough") or []
    return any(one == item.get("host") or host_matches(str(item.get("host")), str(one)) for one in patterns)


def _is_over(until: object) -> bool:
    try:
        return until is not None and ended(parse_until(str(until)))
    except ValueError:
        return False


def _edited(text: str, edit: Callable[[Any], None]) -> str:
    bottle_of(text)
    before = _load(text)
    meant = apart(before)
    edit(meant["config"][BOTTLE])
    if meant == before:
        return text
    for write in (_spliced, _written_anew):
        with contextlib.suppress(SpliceError, YAMLError, ValueError):
            if _load(after := write(text, before, meant, edit)) == meant:
                _read_by_others(after)
                return after
    raise BottleError(
        "the edit would change more than intended, because the stack file says one thing in two places (YAML anchors,"
        " aliases or merge keys). Write it out in both, then approve again"
    )


def _read_by_others(text: str) -> None:
    """Raises ValueError if another YAML reader refuses the text, because Pulumi uses a Go library."""
    try:
        yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def _spliced(text: str, before: Any, meant: Any, _: Callable[[Any], None]) -> str:
    return spliced(text, before, meant, Style(_indent(text), _offset(text)))


def _written_anew(text: str, _: Any, __: Any, edit: Callable[[Any], None]) -> str:
    """The whole file rewritten, with comments and order, for an edit that cannot be spliced, as with merge keys."""
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = 4096
    mapping, offset = _indent(text), _offset(text)
    writer.indent(mapping=mapping, sequence=offset + 2, offset=offset)
    document = writer.load(text)
    edit(document["config"][BOTTLE])
    out = io.StringIO()
    writer.dump(document, out)
    return out.getvalue()


def _make(bottle: Any, change: Change) -> None:
    *way, last = change.path.split(".")
    place = bottle
    for key in way:
        if place.get(key) is None:
            place[key] = {}
        place = place[key]
    if change.path not in APPENDS:
        if change.owner or not _has_more(place, last, change.value):
            place[last] = change.value
        return
    if place.get(last) is None:
        place[last] = []
    items = place[last]
    if change.path == ROUTES:
        make(items, edit_of(bottle, change), bottle)
    elif change.path == "pipelock.allow":
        _allow(items, change.value)
    elif change.value not in items:
        items.append(change.value)


def _has_more(agent: Any, key: str, value: Any) -> bool:
    """Whether the agent has at least this much. A wish of the agent's never reduces memory or cpus."""
    current = agent.get(key)
    current = AgentConfig.model_fields[key].default if current is None else current
    try:
        return _amount(current) >= _amount(value)
    except (ValueError, TypeError, LookupError):
        return False  # the present value is not valid, which `up` reports


def _amount(value: Any) -> float:
    return float(value[:-1]) * {"m": 1, "g": 1024}[value[-1]] if isinstance(value, str) else float(value)


def _allow(items: Any, value: Any) -> None:
    """Allow a host for the wished time. A host that is allowed for as long already stays as it is."""
    host, until = _host_and_end(value)
    for index, item in enumerate(items):
        pattern, end = _host_and_end(item)
        lasts = not _is_over(end) and (end is None or (until is not None and end >= until))
        if lasts and (pattern == host or host_matches(pattern, host)):
            return
        if pattern == host:
            items[index] = value
            return
    items.append(value)


def _host_and_end(item: Any) -> tuple[str, str | None]:
    entry = item if isinstance(item, dict) else {"host": item}
    return str(entry.get("host")), None if entry.get("until") is None else str(entry["until"])


def _indent(text: str) -> int:
    """The width of the file's indentation."""
    widths = (len(line) - len(line.lstrip(" ")) for line in text.splitlines() if line.startswith(" "))
    return next((width for width in widths if width), 2)


def _offset(text: str) -> int:
    """How many columns the file indents the dash of a list below its key."""
    above = 0
    for line in text.splitlines():
        bare = line.lstrip(" ")
        if bare.startswith("- "):
            return max(len(line) - len(bare) - above, 0)
        if bare and not bare.startswith("#"):
            above = len(line) - len(bare)
    return _indent(text)
