"""Learns ids of things in the requested repositories from responses of GitHub's GraphQL. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from claude_bottle.policy.forge.graphql.fields import PEOPLE, Place
from claude_bottle.policy.forge.graphql.ids import PERSON, OutsideError, Steps
from claude_bottle.policy.forge.graphql.request import Query
from claude_bottle.policy.forge.graphql.scope import Scope, fields_of, operations_of, variables_of

if TYPE_CHECKING:
    from graphql import FieldNode, OperationDefinitionNode

_MOST_STEPS = 100_000  # fields that are looked up in one response

Fields = list[tuple["FieldNode", Place]]


def learn(scope: Scope, queries: Sequence[Query], answer: Any) -> None:
    """Store the ids in a response. queries: those of its request, which `scope` has allowed.

    Bounded: ids beyond the limit are not learned, so a request that names one is refused.
    """
    answers = answer if isinstance(answer, list) else [answer]
    if len(answers) != len(queries):
        return
    steps = Steps(_MOST_STEPS)
    try:
        for query, one in zip(queries, answers, strict=True):
            operation = _ran(query)
            data = one.get("data") if isinstance(one, dict) else None
            if operation is None or not isinstance(data, dict):
                continue
            roots: dict[str, list[tuple[FieldNode, Place, str]]] = {}
            for root in scope.roots(query, operation, variables_of(query, operation), steps):
                if root.place is not None:
                    key = (root.field.alias or root.field.name).value
                    roots.setdefault(key, []).append((root.field, root.place, root.repository))
            for key, some in roots.items():
                whose = {repository for _, _, repository in some}
                repository = whose.pop() if len(whose) == 1 else ""
                for id_, person in _ids(query, data.get(key), [(node, place) for node, place, _ in some], steps):
                    if person or repository:
                        scope.known.add(id_, PERSON if person else repository)
    except (OutsideError, RecursionError):
        return


def _ran(query: Query) -> OperationDefinitionNode | None:
    """The operation that the response belongs to; None if that is uncertain."""
    operations, name = operations_of(query), query.rest.get("operationName")
    if isinstance(name, list):
        name = name[0] if len(name) == 1 else None
    if not name:
        return operations[0] if len(operations) == 1 else None
    return next((one for one in operations if one.name and one.name.value == name), None)


def _ids(query: Query, value: Any, asked: Fields, steps: Steps) -> Iterator[tuple[str, bool]]:
    """The ids below a value, and whether each is a person's. asked: the fields whose value it is."""
    below: dict[str, Fields] | None = None
    for one in value if isinstance(value, list) else [value]:
        steps.take()
        if not isinstance(one, dict):
            continue
        below = _selected(query, asked, steps) if below is None else below  # the same for every item of a list
        steps.take(len(one))
        for key in one.keys() & below.keys():
            some = below[key]
            steps.take(len(some))
            if isinstance(one[key], str):
                # Fragments on two types may give two fields one key. The value is an id only if all of them are.
                if all(field.name.value == "id" and not at.connection for field, at in some):
                    inside = all(at.is_inside and at.kind not in ("Query", "Payload") for _, at in some)
                    if inside or all(at.is_inside or at.kind in PEOPLE for _, at in some):
                        yield one[key], not inside
                continue
            inner = [(field, to) for field, at in some if (to := at.field(field.name.value)) is not None]
            yield from _ids(query, one[key], inner, steps)


def _selected(query: Query, asked: Fields, steps: Steps) -> dict[str, Fields]:
    """The selection below some fields, by the keys in the response."""
    below: dict[str, Fields] = {}
    plain: set[tuple[str, str, Place]] = set()
    for node, place in asked:
        if node.selection_set is not None:
            for field, at in fields_of(query, place, node.selection_set, set(), steps):
                key, name = (field.alias or field.name).value, field.name.value
                if field.selection_set is None and (key, name, at) in plain:
                    continue  # a repetition
                plain.add((key, name, at))
                below.setdefault(key, []).append((field, at))
    return below
