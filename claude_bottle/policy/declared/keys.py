"""The properties of declared keys, by the type of their values. Pure.

The keys are the fields of `Route` (claude_bottle/policy/routes/route.py) and of `PushPolicy` (push_policy.py), each
with one of these. The manifest's model, its schema, pages and examples, the files for the sidecars, the plan and its
texts, and the agent's parameters are generated from them. `Route` and "table" below stand for either dataclass and the
sidecar's file that it is read from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from claude_bottle.policy.routes.expiry import parse_until

Words = Mapping[str, Any]  # a route with the manifest's names


def declared(key: Key) -> Any:
    """The field of a dataclass for a key."""
    return field(metadata={"key": key}) if key.required else field(default=key.empty, metadata={"key": key})


def keys_of(kind: Any) -> dict[str, Key]:
    """The keys of a dataclass, by the names of its fields."""
    declarations: tuple[Field[Any], ...] = fields(kind)
    return {
        each.name: replace(key, column=each.name, name=key.name or each.name)
        for each in declarations
        for key in [each.metadata["key"]]
    }


@dataclass(frozen=True, kw_only=True)
class Key:
    """A text key. Subclasses define how values of their type are read, compared and described.

    column, name: its name in the table, which `Route` gives, and in the manifest. doc: its meaning, "" if the manifest
    does not have it. example: in YAML. default, empty: its value if it is not given, in the manifest and in `Route`.
    check: for a text, or each one in a list; returns its stored form, or raises ValueError with what to write. bounds:
    pydantic's. also: another type that the manifest accepts, and its conversion. needs: why it conflicts with the rest
    of its route, or "". always: table and plan have it in any case.

    fits, wants: whether a table may hold a text, and the message if not. shown: the agent may see it. of_requests: it
    limits what a request may do. lends: routes with the same credential share it. right, says: the right that it gives
    in a plan, and its text. by_host: a bottle without an egress, which judges the host only, gives that right. limits:
    the right is a restriction, so its removal permits more. widens: the text of a proposal that has it. asks: the
    description for an agent, which may ask for it.
    """

    column: str = ""
    name: str = ""
    doc: str = ""
    example: str = ""
    required: bool = False
    default: Any = None
    empty: Any = None
    check: Callable[[str], str] | None = None
    bounds: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[type, Callable[[object], object]] | None = None
    needs: Callable[[Words], str] = lambda _: ""
    always: bool = False
    fits: Callable[[str], object] = lambda _: True
    wants: str = ""
    shown: bool = True
    of_requests: bool = True
    lends: bool = False
    right: str = ""
    says: Callable[..., str] | None = None
    by_host: bool = True
    limits: bool = False
    widens: Callable[[Any], str] | None = None
    asks: str = ""

    def holds(self, value: Any) -> bool:
        """Whether a table may hold a value."""
        return value is None or bool(self.fits(value))

    def read(self, value: Any) -> Any:
        """A table's value converted for `Route`."""
        return value if value is None else str(value)

    def write(self, value: Any) -> Any:
        """A `Route`'s value converted for the agent."""
        return value

    def planned(self, value: Any) -> Any:
        """A manifest's value as shown in a plan."""
        return value

    def within(self, one: Any, other: Any) -> bool:  # noqa: ARG002 - a text gives nothing by itself
        """Whether one value permits no more than another."""
        return True

    def common(self, values: Sequence[Any]) -> Any:
        """What all of the values permit."""
        return values[0]

    def together(self, values: Sequence[Any]) -> Any:
        """What the values permit together, if they lend to each other."""
        return values[0]

    def rights(self, value: Any) -> Iterable[tuple[str, ...]]:  # noqa: ARG002 - as above
        """The rights that a value gives, each as the arguments of its text."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Time(Key):
    """A UTC time."""

    wants: str = "write a UTC time like 2026-01-31T12:00:00Z"

    def holds(self, value: Any) -> bool:
        try:
            parse_until(str(value))
        except ValueError:
            return False
        return True

    def read(self, value: Any) -> Any:
        return parse_until(str(value))


@dataclass(frozen=True, kw_only=True)
class Flag(Key):
    """True or false; true permits more, or less if it limits. options: the words for both, if the manifest has some."""

    options: tuple[str, ...] = ()
    default: Any = False
    empty: Any = False
    wants: str = "true or false"

    def holds(self, value: Any) -> bool:
        return value in self.options if self.options else isinstance(value, bool)

    def read(self, value: Any) -> Any:
        return value == self.options[1] if self.options else value

    def write(self, value: Any) -> Any:
        return self.options[value] if self.options else value

    def within(self, one: Any, other: Any) -> bool:
        return bool(one >= other if self.limits else one <= other)

    def common(self, values: Sequence[Any]) -> Any:
        return any(values) if self.limits else all(values)

    def rights(self, value: Any) -> Iterable[tuple[str, ...]]:
        return [()] if value else []


@dataclass(frozen=True, kw_only=True)
class Permission(Flag):
    """A flag that has words in the table and in a plan, and true or false in the manifest and in the dataclass."""

    stored: tuple[str, str] = ("never", "allow")

    def holds(self, value: Any) -> bool:
        return value in self.stored

    def read(self, value: Any) -> Any:
        return bool(self.stored.index(value))

    def write(self, value: Any) -> Any:
        return self.stored[value]

    def planned(self, value: Any) -> Any:
        return self.stored[value]


@dataclass(frozen=True, kw_only=True)
class Number(Key):
    """A whole number; a larger one permits more."""

    def holds(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    def read(self, value: Any) -> Any:
        if not self.holds(value):
            raise ValueError(f"{self.name}: {value!r} is not a whole number")
        return value

    def within(self, one: Any, other: Any) -> bool:
        return bool(one <= other)


@dataclass(frozen=True, kw_only=True)
class Choice(Key):
    """One of some words, or none; each permits what the words after it permit too."""

    options: tuple[str, ...]
    empty: Any = ""

    def holds(self, value: Any) -> bool:
        return value in ("", *self.options)

    def within(self, one: Any, other: Any) -> bool:
        return not one or one in self._below(other)

    def common(self, values: Sequence[Any]) -> Any:
        return values[0] if len(set(values)) == 1 else ""  # servers read the path in two ways: unsure

    def rights(self, value: Any) -> Iterable[tuple[str, ...]]:
        return [(one,) for one in self._below(value)]

    def _below(self, value: Any) -> tuple[str, ...]:
        return self.options[self.options.index(value) :] if value else ()


@dataclass(frozen=True, kw_only=True)
class Listed(Key):
    """Texts in order; a tuple in `Route`."""

    default: Any = field(default_factory=list)
    empty: Any = ()

    def holds(self, value: Any) -> bool:
        if not isinstance(value, list) or len(value) < self.bounds.get("min_length", 0):
            return False
        return all(isinstance(one, str) and self.fits(one) for one in value)

    def read(self, value: Any) -> Any:
        return tuple(value)

    def rights(self, value: Any) -> Iterable[tuple[str, ...]]:
        return [(one,) for one in value]


@dataclass(frozen=True, kw_only=True)
class Names(Listed):
    """Texts in no order; a frozenset in `Route`. Each further one permits more."""

    empty: Any = frozenset()
    lower: bool = False  # case is insignificant
    sorts: bool = True  # in a plan

    def read(self, value: Any) -> Any:
        return frozenset(one.lower() if self.lower else one for one in value)

    def write(self, value: Any) -> Any:
        return sorted(value)

    def planned(self, value: Any) -> Any:
        return sorted(set(value)) if self.sorts else list(value)

    def within(self, one: Any, other: Any) -> bool:
        return bool(one <= other)

    def common(self, values: Sequence[Any]) -> Any:
        return frozenset.intersection(*values)

    def together(self, values: Sequence[Any]) -> Any:
        return frozenset().union(*values)


@dataclass(frozen=True, kw_only=True)
class Limit(Names):
    """The only permitted names; None, the value if a manifest has none, permits all."""

    empty: Any = None

    def holds(self, value: Any) -> bool:
        return value is None or super().holds(value)

    def read(self, value: Any) -> Any:
        return None if value is None else super().read(value)

    def within(self, one: Any, other: Any) -> bool:
        return other is None or (one is not None and one <= other)

    def common(self, values: Sequence[Any]) -> Any:
        limits = [one for one in values if one is not None]
        return super().common(limits) if limits else None

    def together(self, values: Sequence[Any]) -> Any:
        return None if None in values else super().together(values)
