"""The stack output `plan`: the whole resolved bottle without secrets. Pure.

It is complete: two manifests that differ in any key have different plans. Secrets appear by name. Contents of files,
patterns and literals appear as SHA-256. A key that was renamed in the manifest (claude_bottle/manifest/renamed.py)
keeps its old name here, because a plan is compared with that of the running bottle, which an older version may have
made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from claude_bottle.host.git_remotes import GateRemote
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import allowlist, endings, looks_for_seed_phrases, reactions
from claude_bottle.manifest.render.routes import CLAUDE_TOKEN, RouteTableFile
from claude_bottle.policy.routes.route import KEYS
from claude_bottle.workspace.copies import Copies, Workspace

SCHEMA = 2


def plan(
    stack: str,
    manifest: Manifest,
    egress: RouteTableFile,
    copies: Copies,
    remotes: Sequence[GateRemote],
    images: Mapping[str, str],
    volumes: Mapping[str, str],
    files: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The plan, with keys in a fixed order. It describes the result of an `up` before anything is created.

    volumes: role of a volume to the engine's name for it. files: name of a file for pipelock, as in the manifest, to
    its content.
    """
    config = manifest.pipelock
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
            "env": {name: sha256(value) for name, value in sorted(manifest.env.items())},
            "home_volume": volumes["home"],
            "claude_placeholder": CLAUDE_TOKEN in egress.slots,
            "proxy": "egress" if manifest.routed else "pipelock",
        },
        "prompt_sha256": sha256(copies.prompt) if copies.prompt else None,
        "skills": [{"name": skill.name, "source": skill.source, "sha256": skill.digest} for skill in copies.skills],
        "workspace": _workspace(copies.workspace),
        "egress": {
            "image": images.get("egress"),
            "routes": [_route(route.words) for route in manifest.egress.routes],
            "token_slots": {slot: ref for ref, slot in egress.slots.items()},
        },
        "pipelock": {
            "engine": config.engine,
            "image": images["pipelock"],
            "allow": [item.model_dump(exclude_none=True) for item in config.allow],
            "allowlist": allowlist(manifest),
            "until": endings(manifest),
            "passthrough": list(config.passthrough),
            "trusted": list(config.allow_private_addresses),
            "internal_exempt": sorted(set(config.internal_exempt)),
            "upstream_proxy": config.upstream_proxy,
            "upstream_proxy_ref": config.upstream_proxy_ref,
            "upstream_roots": _files(config.ca_files, files or {}),
            "revocation_lists": _files(config.crl_files, files or {}),
            "dlp_patterns": [{"name": one.name, "sha256": sha256(one.regex)} for one in config.dlp.patterns],
            "disabled_rules": list(config.dlp.disabled_rules),
            "host_disabled_rules": {host: list(one.disabled_rules) for host, one in config.dlp.hosts.items()},
            "on_match": reactions(manifest) if config.engine == "builtin" else {},
            "inbound": config.inbound,
            "packs": list(config.dlp.packs),
            "max_body_mb": config.dlp.max_body_mb,
            "seed_phrases": looks_for_seed_phrases(manifest),
            "seed_phrases_wanted": config.dlp.seed_phrases,
        },
        "network": {
            "outside": manifest.network.external or "own",
            **({"pool": manifest.network.pool} if manifest.network.pool else {}),
        },
        "supervise": {"image": images["supervise"]} if manifest.supervise else None,
        "git_remotes": [
            {
                **remote.entry(),
                "credential": remote.credential,
                "known_hosts_sha256": sha256(remote.config.known_hosts) if remote.config.known_hosts else None,
                "rules_sha256": sha256(remote.rules) if remote.rules else None,
                "served_as": f"git://git-gate/{remote.name}.git",
            }
            for remote in remotes
        ],
        "git_gate": {"image": images["git-gate"], "mirrors_volume": volumes["mirrors"]} if remotes else None,
    }


def _route(words: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: key for name, key in KEYS.items() if key.always or words[name] != key.default}
    return {name: key.planned(words[name]) for name, key in given.items()}


def sha256(text: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _files(names: Sequence[str], contents: Mapping[str, str]) -> list[dict[str, str | None]]:
    return [{"file": name, "sha256": sha256(contents[name]) if name in contents else None} for name in names]


def _workspace(workspace: Workspace | None) -> dict[str, Any] | None:
    if workspace is None:
        return None
    said: dict[str, Any] = {"source": workspace.source, "mode": workspace.mode, "copy_git": workspace.copy_git}
    if workspace.mode == "copy":
        said |= {"files": workspace.files, "sha256": workspace.digest}
        said |= {"branches_sha256": workspace.branches} if workspace.copy_git else {}
    return said
