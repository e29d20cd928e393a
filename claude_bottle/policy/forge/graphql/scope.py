"""Whether a GraphQL request to GitHub stays within the repositories that its route names. Pure.

It does if each of its root fields names one of them (`repository(owner:, name:)`, a search by `repo:OWNER/NAME`, an id
from a response about one of them), and each selection below follows only fields that lead to no other
(policy/forge/graphql/fields.py). A request that cannot be understood does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claude_bottle.policy.forge.graphql.fields import PAYLOAD, Place
from claude_bottle.policy.forge.graphql.ids import KnownIds, OutsideError, Steps
from claude_bottle.policy.forge.graphql.names import check_ids, folded, named_by_input, named_by_search
from claude_bottle.policy.forge.graphql.request import Query

if TYPE_CHECKING:
    from graphql import FieldNode, OperationDefinitionNode, SelectionSetNode

_INTROSPECTION = frozenset(["__schema", "__type"])
# Limits of one request: fields, fragments and arguments that are inspected; its operations, fragments and variables.
_MOST_STEPS, _MOST_PARTS = 20_000, 50
Seen = set[tuple[str, Place]]


@dataclass(frozen=True)
class Root:
    """A root field. place: of its selection; None for introspection. repository: `owner/name` in lower case; "" if it
    belongs to none or to more than one.
    """

    field: FieldNode
    place: Place | None
    repository: str


@dataclass(frozen=True)
class Scope:
    """The names that a route allows in a request. repositories: `owner/name` in lower case. known: ids of one host."""

    repositories: frozenset[str]
    known: KnownIds

    def check(self, queries: Sequence[Query] | None, *, in_two_places: bool) -> None:
        """Raises OutsideError unless all queries stay within the repositories.

        in_two_places: both the URL and the body have fields, which servers merge in different ways.
        """
        if queries is None or in_two_places:
            raise OutsideError("it cannot be read in one way alone; send one plain query as JSON")
        steps = Steps(_MOST_STEPS)
        try:
            for query in queries:
                check_form(query)
                for operation in operations_of(query):
                    given, seen = variables_of(query, operation), Seen()
                    for root in self.roots(query, operation, given, steps):
                        if root.place is not None and root.field.selection_set is not None:
                            waiting = [(root.place, root.field.selection_set)]
                            self._keeps(query, waiting, given, seen, steps)
        except RecursionError:
            raise OutsideError("it is nested too deep") from None

    def _keeps(
        self,
        query: Query,
        waiting: list[tuple[Place, SelectionSetNode]],
        given: Mapping[str, Any],
        seen: Seen,
        steps: Steps,
    ) -> None:
        """Raises OutsideError for a field that leads out. A fragment is inspected once for each place.

        waiting: selections, each with its place; empty afterwards.
        """
        while waiting:
            here, selection = waiting.pop()
            for field, at in fields_of(query, here, selection, seen, steps):
                name = field.name.value
                check_ids(arguments(field, given, steps), self.repositories, self.known, steps)
                if field.selection_set is None:
                    if not at.may_read(name):
                        raise OutsideError(
                            f"the field {name} is a credential there, or says what is in another repository"
                        )
                    continue
                inner = at.field(name)
                if inner is None:
                    raise OutsideError(f"the field {name} may lead to another repository")
                waiting.append((inner, field.selection_set))

    def roots(
        self, query: Query, operation: OperationDefinitionNode, given: Mapping[str, Any], steps: Steps
    ) -> Iterator[Root]:
        """The root fields of an operation. Raises OutsideError at the first that names no repository of the route.

        given: its variables, from `variables_of`.
        """
        kind = operation.operation.value
        if kind == "subscription":
            raise OutsideError("subscriptions are not looked at")
        for field, _ in fields_of(query, Place(kind.capitalize()), operation.selection_set, set(), steps):
            name = field.name.value
            if name == "__typename" and field.selection_set is None:
                continue
            if name in _INTROSPECTION:
                yield Root(field, None, "")
            elif kind == "mutation":
                sent = arguments(field, given, steps)
                whose = named_by_input(name, sent, self.repositories, self.known, steps)
                yield Root(field, PAYLOAD, whose)
            else:
                yield self._asked(field, arguments(field, given, steps), steps)

    def _asked(self, field: FieldNode, given: Mapping[str, Any], steps: Steps) -> Root:
        name = field.name.value
        place = Place("Query").field(name)
        if name == "repository":
            owner, called = given.get("owner"), given.get("name")
            if not (isinstance(owner, str) and isinstance(called, str)) or "/" in owner + called:
                raise OutsideError("its repository is not told by owner and name")
            full = folded(f"{owner}/{called}")
            if full not in self.repositories:
                raise OutsideError("it names another repository")
            return Root(field, place, full)
        if name == "search":
            return Root(field, place, named_by_search(given, self.repositories, steps))
        if name in ("node", "nodes"):
            ids = given.get("ids") if name == "nodes" else [given.get("id")]
            if not isinstance(ids, list):
                ids = [ids]
            named = {self.known.repository(one, self.repositories) for one in ids}
            return Root(field, place, named.pop() if len(named) == 1 else "")
        if place is not None and not place.is_inside:
            return Root(field, place, "")
        raise OutsideError(f"the field {name} is of no repository")


def check_form(query: Query) -> None:
    """Raises OutsideError if servers could read a query in more than one way, or it comes with unknown fields."""
    from graphql import GraphQLSchema, specified_rules
    from graphql.validation import validate

    parts = len(query.document.definitions) + sum(len(one.variable_definitions) for one in operations_of(query))
    if parts > _MOST_PARTS:
        raise OutsideError(f"it has more than {_MOST_PARTS} operations, fragments and variables")
    # Rules that need no schema: names are unique, every fragment and variable is defined, no fragment includes itself.
    rules = [rule for rule in specified_rules if rule.__name__.removesuffix("Rule") in _FORM]
    try:
        wrong = bool(validate(GraphQLSchema(assume_valid=True), query.document, rules, max_errors=1))
    except Exception:
        wrong = True
    if wrong or any(value for name, value in query.rest.items() if not _goes_beside(name, value)):
        raise OutsideError("it is no query that every server reads alike, with variables and operationName alone")


def _goes_beside(name: str, value: Any) -> bool:
    """Apollo's clients identify themselves in `extensions`, which can also name a stored query."""
    return name == "operationName" or (
        name == "extensions" and isinstance(value, dict) and set(value) <= {"clientLibrary"}
    )


_FORM = frozenset(
    """
    UniqueOperationNames LoneAnonymousOperation UniqueFragmentNames KnownFragmentNames NoFragmentCycles
    UniqueVariableNames UniqueArgumentNames UniqueInputFieldNames NoUndefinedVariables ExecutableDefinitions
    """.split()  # noqa: SIM905 - a list of names
)


def operations_of(query: Query) -> list[OperationDefinitionNode]:
    """All operations of a query, whichever of them its sender selects."""
    from graphql import OperationDefinitionNode

    return [one for one in query.document.definitions if isinstance(one, OperationDefinitionNode)]


def variables_of(query: Query, operation: OperationDefinitionNode) -> dict[str, Any]:
    """The variables as a server uses them: those that were sent, else the operation's default values."""
    from graphql.utilities import value_from_ast_untyped

    own = {
        one.variable.name.value: value_from_ast_untyped(one.default_value)
        for one in operation.variable_definitions
        if one.default_value is not None
    }
    return {**own, **query.variables}


def arguments(field: FieldNode, variables: Mapping[str, Any], steps: Steps) -> dict[str, Any]:
    """The arguments of a field by name, with variables substituted. Arguments without a value are left out."""
    from graphql import Undefined
    from graphql.utilities import value_from_ast_untyped

    steps.take(len(field.arguments))
    given = {one.name.value: value_from_ast_untyped(one.value, variables) for one in field.arguments}  # type: ignore[arg-type]
    return {name: value for name, value in given.items() if value is not Undefined}


def fields_of(
    query: Query, place: Place, selected: SelectionSetNode, seen: Seen, steps: Steps
) -> Iterator[tuple[FieldNode, Place]]:
    """The fields of a selection with its fragments expanded, each with its place. seen: fragments that were expanded
    already. Raises OutsideError for a fragment on a type that is not known at its place.
    """
    from graphql.language.ast import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, InlineFragmentNode

    for one in selected.selections:
        steps.take()
        if isinstance(one, FieldNode):
            yield one, place
            continue
        if isinstance(one, FragmentSpreadNode):
            if (one.name.value, place) in seen:
                continue
            seen.add((one.name.value, place))
        part = query.fragments[one.name.value] if isinstance(one, FragmentSpreadNode) else one
        assert isinstance(part, (InlineFragmentNode, FragmentDefinitionNode))  # noqa: S101 - there is no other selection
        condition = part.type_condition.name.value if part.type_condition else ""
        inner = place.on(condition) if condition else place
        if inner is None:
            raise OutsideError(f"it asks for {condition}, which may be of another repository")
        yield from fields_of(query, inner, part.selection_set, seen, steps)
