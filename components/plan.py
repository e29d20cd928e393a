"""The stack output `plan`: the whole resolved bottle without a secret. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from components.copies import Copies, WorkspaceCopy
from components.egress_plan import CLAUDE_TOKEN, EgressPlan
from components.git_remotes import GateRemote
from components.manifest import Manifest
from components.naming import docker_name
from components.pipelock_config import allowlist, endings, looks_for_seed_phrases

SCHEMA = 1


def plan(
    stack: str,
    manifest: Manifest,
    egress: EgressPlan,
    copies: Copies,
    remotes: Sequence[GateRemote],
    images: dict[str, str],
) -> dict[str, Any]:
    """Keys in a fixed order; the values say what will be, before anything is."""
    return {
        "schema": SCHEMA,
        "stack": stack,
        "agent": {
            "image": images["agent"],
            "memory": manifest.agent.memory,
            "cpus": manifest.agent.cpus,
            "runtime": manifest.agent.runtime,
            "apt": sorted(manifest.agent.apt),
            "npm": sorted(manifest.agent.npm),
            "command": manifest.agent.command,
            "env": sorted(manifest.env),
            "home_volume": docker_name("home", stack),
            "claude_placeholder": CLAUDE_TOKEN in egress.slots,
            "proxy": "egress" if manifest.egress.routes else "pipelock",
        },
        "prompt_sha256": hashlib.sha256(copies.prompt.encode()).hexdigest() if copies.prompt else None,
        "skills": [{"name": skill.name, "source": skill.source, "sha256": skill.digest} for skill in copies.skills],
        "workspace": _workspace(copies.workspace),
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
                    **({"until": route.until} if route.until else {}),
                }
                for route in manifest.egress.routes
            ],
            "token_slots": {slot: ref for ref, slot in egress.slots.items()},
        },
        "pipelock": {
            "engine": manifest.pipelock.engine,
            "image": images["pipelock"],
            "allowlist": allowlist(manifest),
            "until": endings(manifest),
            "passthrough": list(manifest.pipelock.passthrough),
            "trusted": list(manifest.pipelock.trusted),
            "upstream_roots": list(manifest.pipelock.upstream_roots),
            "revocation_lists": list(manifest.pipelock.revocation_lists),
            "dlp_patterns": [pattern.name for pattern in manifest.pipelock.dlp.patterns],
            "disabled_rules": list(manifest.pipelock.dlp.disabled_rules),
            "max_body_mb": manifest.pipelock.dlp.max_body_mb,
            "seed_phrases": looks_for_seed_phrases(manifest),
        },
        "network": {"outside": manifest.network.outside or "own"},
        "supervise": {"image": images["supervise"]} if manifest.supervise else None,
        "git_remotes": [
            {
                **remote.entry(),
                "credential": remote.config.identity_file or f"token {remote.config.token_ref}",
                "served_as": f"git://git-gate/{remote.name}.git",
            }
            for remote in remotes
        ],
        "git_gate": {"image": images["git-gate"], "mirrors_volume": docker_name("mirrors", stack)} if remotes else None,
    }


def _workspace(workspace: WorkspaceCopy | None) -> dict[str, Any] | None:
    if workspace is None:
        return None
    said = {"source": workspace.source, "mode": workspace.mode, "copy_git": workspace.copy_git}
    return {**said, **({"files": workspace.files, "sha256": workspace.digest} if workspace.mode == "copy" else {})}
