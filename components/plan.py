"""The stack output `plan`: the whole resolved bottle without a secret. Pure."""

from __future__ import annotations

from typing import Any

from components.egress_plan import CLAUDE_TOKEN, EgressPlan
from components.manifest import Manifest
from components.pipelock_config import allowlist, looks_for_seed_phrases

SCHEMA = 1


def plan(stack: str, manifest: Manifest, egress: EgressPlan, images: dict[str, str]) -> dict[str, Any]:
    """Keys in a fixed order; the values say what will be, before anything is."""
    return {
        "schema": SCHEMA,
        "stack": stack,
        "agent": {
            "image": images["agent"],
            "memory": manifest.agent.memory,
            "cpus": manifest.agent.cpus,
            "env": sorted(manifest.env),
            "claude_placeholder": CLAUDE_TOKEN in egress.slots,
            "proxy": "egress" if manifest.egress.routes else "pipelock",
        },
        "egress": {
            "image": images.get("egress"),
            "routes": [
                {
                    "host": route.host,
                    "path": list(route.path),
                    "methods": list(route.methods),
                    "auth_scheme": route.scheme,
                    "token_slot": egress.slots.get(route.token_ref or ""),
                    "description": route.description,
                }
                for route in manifest.egress.routes
            ],
            "token_slots": {slot: ref for ref, slot in egress.slots.items()},
        },
        "pipelock": {
            "engine": manifest.pipelock.engine,
            "image": images["pipelock"],
            "allowlist": allowlist(manifest),
            "passthrough": list(manifest.pipelock.passthrough),
            "trusted": list(manifest.pipelock.trusted),
            "seed_phrases": looks_for_seed_phrases(manifest),
        },
        "network": {"outside": manifest.network.outside or "own"},
        "git_remotes": [],
        "git_gate": None,
    }
