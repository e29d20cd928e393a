"""What there is to know of a key of a route, by the kind of its value. Pure.

The keys are the fields of `Route` (policy/routes/route.py), each with one of these. The manifest's model, its schema,
pages and examples, the table, the plan and its words, and what an agent may ask for are made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claude_bottle.policy.routes.until import parse_until

Words = Mapping[str, Any]  # a route in the manifest's words


@dataclass(frozen=True, kw_only=True)
class Key:
    """A text. What a subclass adds is how a value of its kind is read, compared and told.

    column, name: its name in the table, which `Route` gives, and in the manifest. doc: its meaning, "" for what the
    manifest does not have. example: in YAML. default, empty: its value where it is not given, in the manifest and in
    `Route`. check: of a text, and of each in a list; gives it as it is kept, or raises ValueError with what to write.
    bounds: pydantic's. also: another type that the manifest takes for it, and what is made of that. needs: why it does
    not go with the rest of its route, or "". always: whether table and plan have it in any case.

    fits, wants: whether a table may hold a text, and what a refusal of the table says. shown: whether the agent may
    know of it. of_requests: whether it is about what a request may do. lends: whether routes of one credential have it
    together. right, says: the right that it gives in a plan, and its words. by_host: whether a bottle without an
    egress, in which the host alone is judged, has that right. widens: words of a wish that has it. asks: what an agent
    is told of it that may ask for it.
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
    widens: Callable[[Any], str] | None = None
    asks: str = ""

    def holds(self, value: Any) -> bool:
        """Whether a table may hold a value."""
        return value is None or bool(self.fits(value))

    def read(self, value: Any) -> Any:
        """The value in `Route` of one in a table."""
        return value if value is None else str(value)

    def write(self, value: Any) -> Any:
        """The other way, for the agent."""
        return value

    def planned(self, value: Any) -> Any:
        """What a plan says of a value of the manifest."""
        return value

    def within(self, one: Any, other: Any) -> bool:  # noqa: ARG002 - a text gives nothing by itself
        """Whether one value gives no more than another."""
        return True

    def common(self, values: Sequence[Any]) -> Any:
        """What each of some values gives."""
        return values[0]

    def together(self, values: Sequence[Any]) -> Any:
        """What some values give where one lends to the other."""
        return values[0]

    def rights(self, value: Any) -> Iterable[tuple[str, ...]]:  # noqa: ARG002 - as above
        """The rights that a value gives, each as what its words are about."""
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
    """True or false; true gives more. options: the two in words, where the manifest has words for them."""

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
        return bool(one <= other)

    def common(self, values: Sequence[Any]) -> Any:
        return all(values)

    def rights(self, value: Any) -> Iterable[tuple[str, ...]]:
        return [()] if value else []


@dataclass(frozen=True, kw_only=True)
class Choice(Key):
    """One of some words or none; each gives what those behind it give too."""

    options: tuple[str, ...]
    empty: Any = ""

    def holds(self, value: Any) -> bool:
        return value in ("", *self.options)

    def within(self, one: Any, other: Any) -> bool:
        return not one or one in self._below(other)

    def common(self, values: Sequence[Any]) -> Any:
        return values[0] if len(set(values)) == 1 else ""  # where servers read a path in two ways, it is not sure

    def rights(self, value: Any) -> Iterable[tuple[str, ...]]:
        return [(one,) for one in self._below(value)]

    def _below(self, value: Any) -> tuple[str, ...]:
        return self.options[self.options.index(value) :] if value else ()


@dataclass(frozen=True, kw_only=True)
class Listed(Key):
    """Texts in their order, in `Route` as a tuple."""

    default: Any = field(default_factory=list)
    empty: Any = ()

    def holds(self, value: Any) -> bool:
        if not isinstance(value, list) or len(value) < self.bounds.get("min_length", 0):
            return False
        return all(isinstance(one, str) and self.fits(one) for one in value)

    def read(self, value: Any) -> Any:
        return tuple(value)


@dataclass(frozen=True, kw_only=True)
class Names(Listed):
    """Texts in no order, in `Route` as a frozenset; one more gives more."""

    empty: Any = frozenset()
    lower: bool = False  # whether case says nothing
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

    def rights(self, value: Any) -> Iterable[tuple[str, ...]]:
        return [(one,) for one in value]


@dataclass(frozen=True, kw_only=True)
class Limit(Names):
    """Names beside which nothing is allowed; None, where there are none in a manifest, allows anything."""

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
