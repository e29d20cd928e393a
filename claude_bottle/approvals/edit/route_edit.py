"""Applies the smallest edit (approvals/edit/smallest_edit.py) to the routes of a stack file, and keeps its comments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml.comments import CommentedSeq

from claude_bottle.approvals.edit.smallest_edit import Edit, EditError, credential_around, smallest
from claude_bottle.host.stack_names import STACKS
from claude_bottle.manifest.change import Change
from claude_bottle.manifest.route_check import needless
from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.hosts import host_matches
from claude_bottle.policy.routes.expiry import write_until
from claude_bottle.presets.use import use_presets

ROUTES = "egress.routes"


def routes_of(bottle: Any) -> list[EgressRoute]:
    """The routes of a bottle's config object, in order, then those of its presets. Raises BottleError if one is not
    valid.
    """
    try:
        items = _plain(((bottle or {}).get("egress") or {}).get("routes") or [])
    except AttributeError:
        raise BottleError("egress of the stack file is not valid: write a mapping with routes") from None
    if not isinstance(items, list):
        raise BottleError("egress.routes of the stack file is not valid: write a list")
    routes = []
    for index, item in enumerate(items):
        try:
            routes.append(EgressRoute.model_validate(item))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise BottleError(f"egress.routes[{index}] of the stack file is not valid: {first['msg']}") from None
    return [*routes, *_given(bottle, len(routes))]


def _given(bottle: Any, own: int) -> list[EgressRoute]:
    """The routes of the presets, which are not in the file. own: how many routes the file has."""
    if not (bottle or {}).get("use"):
        return []
    merged: Any = use_presets(_plain(bottle), Path.cwd() / STACKS)[0]
    return [EgressRoute.model_validate(route) for route in (merged.get("egress") or {}).get("routes", [])[own:]]


def named(bottle: Any, change: Change) -> Change:
    """An agent's route with the credential that it would get."""
    wish, _ = credential_around(routes_of(bottle), _wish(change))
    scheme = {"auth_scheme": wish.auth_scheme} if wish.auth_scheme else {}
    return change.with_value({**change.value, "token_ref": wish.token_ref, **scheme})


def credential_note(bottle: Any, change: Change) -> str:
    """The remark for the owner about the credential of an agent's route, or its lack of one; "" if there is none."""
    return credential_around(routes_of(bottle), _wish(change))[1]


def edit_of(bottle: Any, change: Change) -> Edit:
    """The edit of a bottle's routes that a change needs. Raises BottleError if it cannot be granted."""
    try:
        return smallest(routes_of(bottle), _wish(change), owner=change.owner)
    except EditError as error:
        raise BottleError(f"this cannot be granted: {error}") from None


def holds_place(bottle: Any, index: int) -> bool:
    """Whether a request would pass without this route that does not pass with it. Raises BottleError."""
    routes = routes_of(bottle)
    own = list(bottle["egress"]["routes"])
    left = {**bottle, "egress": {"routes": own[:index] + own[index + 1 :]}}
    # Without the owner's last route for its host, a preset's routes would take effect.
    return not needless(routes, index) or len(routes_of(left)) > len(routes) - 1


def make(items: Any, edit: Edit, bottle: Any) -> None:
    """Apply the edit to the list in the bottle's file. Unchanged items are not touched.

    A host with a route in the file gets none from a preset, so the preset's routes for it are added to the file too.
    """
    hosts = [route.host for route in (*edit.changed.values(), *edit.added)]
    written = {}
    for number, route in enumerate(_given(bottle, len(items)), len(items)):
        if any(host_matches(host, route.host) for host in hosts):
            written[number] = len(items)
            items.append(_told(route))
    for number, route in edit.changed.items():
        index = written.get(number, number)
        old, new = _told(EgressRoute.model_validate(_plain(items[index]))), _told(route)
        for key in old.keys() - new.keys():
            del items[index][key]
        for key, value in new.items():
            if key not in old or value != old[key]:
                items[index][key] = _longer(items[index].get(key), value)
    items.extend(_told(route) for route in edit.added)


def _longer(old: Any, value: Any) -> Any:
    """The value. A list that only grows is extended in place, to keep its comments and style."""
    if isinstance(old, CommentedSeq) and isinstance(value, list) and value[: len(old)] == list(old):
        old.extend(value[len(old) :])
        return old
    return value


def _wish(change: Change) -> EgressRoute:
    return EgressRoute.model_validate(_plain(change.value))


def _told(route: EgressRoute) -> dict[str, Any]:
    return route.model_dump(exclude_defaults=True)


def _plain(node: Any) -> Any:
    """A copy without the YAML library's formatting data."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, datetime):  # an unquoted time
        return write_until(node.replace(tzinfo=node.tzinfo or UTC).timestamp())
    return str(node) if isinstance(node, str) else node
