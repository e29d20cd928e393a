"""Checks of the machine before any resource is registered: engine, memory, images, leftovers of the stack."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from claude_bottle.engines.client import EngineError, Part
from claude_bottle.engines.facts import Facts
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import pipelock_memory
from claude_bottle.manifest.sizes import megabytes
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.names.nearest import did_you_mean
from claude_bottle.policy.own_command import own_command
from claude_bottle.workspace.copies import Workspace
from claude_bottle.workspace.mount_findings import mount_findings

# Set by claude_bottle.upkeep.repair: a volume with the stack's name that the state has lost is adopted again.
ADOPT_VOLUMES = "CLAUDE_BOTTLE_ADOPT_VOLUMES"
_MEMORY_TO_START = 768  # MB: the sidecars and an agent that was just started


def machine_findings(
    stack: str,
    manifest: Manifest,
    facts: Callable[[Sequence[str]], Facts],
    known_ids: Callable[[], set[str]],
    workspace: Workspace | None = None,
) -> list[Finding]:
    """All problems of this machine.

    manifest: its readable keys, if not all are valid. facts: queries the engine, also for these images. known_ids: ids
    of the resources in the stack's state. workspace: of the host; None if there is none or it cannot be read.
    """
    images = _chosen_images(manifest)
    try:
        known = facts([*images.values()])
    except EngineError as error:
        return [Finding("engine", NOT_SHOWN, str(error))]
    findings = [Finding("engine", NOT_SHOWN if value is None else value, reason) for value, reason in known.unfit]
    findings += [*_runtime(manifest, known), *_external(manifest, known), *_memory(manifest, known)]
    if known.parts:
        findings += _orphans(known.parts, known_ids(), stack)
    if known.far and manifest.workspace is not None and manifest.workspace.mode == "mount":
        message = (
            "the folder is on this machine, but the engine is on another; write mode: copy."
            f" {own_command(f'pull {stack}')} then copies the work back"
        )
        findings.append(Finding("workspace.mode", "mount", message))
    elif workspace is not None and workspace.mode == "mount":
        findings += mount_findings(workspace, known.mounts)
    for path, name in images.items():
        if why := known.missing_images.get(name):
            message = f"is not on this engine, and pulling it failed: {why}; build or load it, or name another image"
            findings.append(Finding(path, name, message))
    return findings


def _chosen_images(manifest: Manifest) -> dict[str, str]:
    chosen = {"agent.image": manifest.agent.image, "pipelock.image": manifest.pipelock.image}
    return {path: name for path, name in chosen.items() if name}


def _runtime(manifest: Manifest, facts: Facts) -> Iterator[Finding]:
    wanted = manifest.agent.runtime
    if wanted and facts.runtimes is not None and wanted not in facts.runtimes:
        yield Finding(
            "agent.runtime",
            wanted,
            f"this engine has only {', '.join(facts.runtimes)}; install the runtime there first, or remove the key",
        )


def _external(manifest: Manifest, facts: Facts) -> Iterator[Finding]:
    wanted = manifest.network.external
    if wanted and wanted not in facts.networks:
        near = did_you_mean(wanted, facts.networks) or "; remove the key to use a network of the bottle's own"
        yield Finding("network.external", wanted, f"no such network on this engine (docker network ls){near}")


def other_workspace(last: Mapping[str, Any], workspace: Workspace | None, stack: str) -> Iterator[Finding]:
    """Another folder than the one whose copy the bottle has. Its files would be copied over the other project's `.git`.

    last: the plan of the last `up`.
    """
    before = last.get("workspace")
    if not isinstance(before, Mapping) or workspace is None or not before.get("mode") == workspace.mode == "copy":
        return
    if before.get("source") != workspace.source:
        message = (
            f"this bottle works on a copy of {before.get('source')}. First run {own_command(f'pull {stack}')},"
            f" {own_command(f'down {stack}')}, then up again; or make another bottle for the other folder"
        )
        yield Finding("workspace.path", workspace.source, message)


def renamed(before: str | None, stack: str) -> Iterator[Finding]:
    """A renamed stack. Its volumes have the old name, and an `up` would replace them by new ones.

    before: the name that its bottle was brought up with.
    """
    if before is not None and before != stack:
        message = (
            f"was renamed from {before}, but the agent's home, mirrors and proposals still have the old name: an up"
            f" would delete them. Restore the name: pulumi stack rename {before} -s {stack}. For a bottle under"
            " another name, copy the stack file"
        )
        yield Finding("stack", stack, message)


def _memory(manifest: Manifest, facts: Facts) -> Iterator[Finding]:
    total, available = facts.memory_mb, facts.free_mb
    if 0 < total < megabytes(manifest.agent.memory):
        yield Finding(
            "agent.memory",
            manifest.agent.memory,
            f"the engine's machine has {total} MB of memory; write less than that",
        )
    needed = pipelock_memory(manifest.pipelock.dlp.max_body_mb)
    if 0 < total < needed:
        message = (
            f"pipelock needs {needed} MB of memory to hold and scan such a body; the engine's machine has {total} MB"
        )
        yield Finding("pipelock.dlp.max_body_mb", str(manifest.pipelock.dlp.max_body_mb), message)
    if not facts.parts and available is not None and available < _MEMORY_TO_START:
        message = f"{available} MB of memory are free, but {_MEMORY_TO_START} MB are needed; stop something first"
        yield Finding("engine", NOT_SHOWN, message)


def _orphans(parts: Sequence[Part], known: set[str], stack: str) -> Iterator[Finding]:
    for part in parts:
        if part.id not in known and not (part.kind == "volume" and os.environ.get(ADOPT_VOLUMES)):
            message = (
                "is not in this stack's state (another checkout or login made it, or a run that was killed);"
                f" inspect it, then run {own_command(f'repair {stack}')} or {part.removal}"
            )
            yield Finding(f"engine.{part.kind}", part.name, message)
