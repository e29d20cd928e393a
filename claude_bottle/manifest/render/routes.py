"""The input of egress: the route table without secrets, and the slot of each token. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from claude_bottle.manifest.model import EgressConfig, Manifest
from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.names.hosts import any_match
from claude_bottle.policy.routes.route import row_of
from claude_bottle.policy.routes.table import TABLE_VERSION

CLAUDE_TOKEN = "CLAUDE_CODE_OAUTH_TOKEN"  # noqa: S105 - the name of a secret, not one


def assign_slots(config: EgressConfig) -> dict[str, str]:
    """token_ref to slot, in the order in which routes first name it. Routes with the same token_ref share a slot."""
    refs = dict.fromkeys(route.token_ref for route in config.routes if route.token_ref)
    return {ref: f"EGRESS_TOKEN_{index}" for index, ref in enumerate(refs)}


def placeholders(config: EgressConfig) -> list[str]:
    """The names of the agent's variables that hold a placeholder; sorted."""
    return sorted({name for route in config.routes for name in route_placeholders(route)})


def route_placeholders(route: EgressRoute) -> list[str]:
    """The names of a route's placeholders. Claude Code's is added by itself, so that it believes it is signed in."""
    return sorted({*route.placeholder, *([CLAUDE_TOKEN] if route.token_ref == CLAUDE_TOKEN else [])})


@dataclass(frozen=True)
class RouteTableFile:
    """The resolved egress policy.

    slots: token_ref to slot. table: the route table file as JSON, without secrets.
    """

    slots: dict[str, str]
    table: str

    @classmethod
    def of(cls, manifest: Manifest) -> RouteTableFile:
        """Resolve the routes of a valid manifest."""
        config, pipelock = manifest.egress, manifest.pipelock
        slots = assign_slots(config)
        routes = [
            {
                **row_of({**route.words, "placeholder": route_placeholders(route)}),
                **({"slot": slots[route.token_ref]} if route.token_ref else {}),
                # Only this project's pipelock engine removes the mark that egress sets.
                "inspected": pipelock.engine == "builtin" and not any_match(pipelock.passthrough, route.host),
            }
            for route in config.routes
        ]
        return cls(slots, json.dumps({"version": TABLE_VERSION, "routes": routes}, indent=2) + "\n")
