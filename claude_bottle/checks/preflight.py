"""What must be true of the machine before any resource: engine, memory, images, nothing of the stack left by others."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.engine import Engine, Part
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import pipelock_memory
from claude_bottle.manifest.sizes import megabytes
from claude_bottle.policy.errors import NOT_SHOWN, Finding
from claude_bottle.policy.names.nearest import did_you_mean
from claude_bottle.policy.own_command import own_command
from claude_bottle.workspace.copies import WorkspaceCopy
from claude_bottle.workspace.mount_findings import mount_findings

# The engine that everything here was tried on; older ones lack options that the networks need.
OLDEST_ENGINE = (20, 10)
# Set by claude_bottle.upkeep.repair: a volume of the stack's own name that its state has lost is taken up again.
ADOPT_VOLUMES = "CLAUDE_BOTTLE_ADOPT_VOLUMES"
_MEMORY_TO_START = 768  # MB: the sidecars and an agent that has just started


def machine_findings(
    stack: str,
    manifest: Manifest,
    engine: Engine,
    known_ids: Callable[[], set[str]],
    available_mb: int | None,
    workspace: WorkspaceCopy | None = None,
) -> list[Finding]:
    """Everything that stands in the way on this machine.

    manifest: its readable keys, where not all are valid. known_ids: ids of what the
    stack's state knows. available_mb: free memory of the engine's machine, None where that cannot be told. workspace:
    of the host, None where there is none or it cannot be read.
    """
    try:
        info, parts = engine.info, engine.parts(stack)
    except EngineError as error:
        return [
            Finding(
                "engine",
                NOT_SHOWN,
                f"Docker cannot be reached: {error}; start it ({own_command('doctor')} says how), or set DOCKER_HOST",
            )
        ]
    findings = [*_engine(info, engine), *_runtime(manifest, info), *_outside(manifest, engine)]
    findings += [*_memory(manifest, info, available_mb, running=bool(parts))]
    if parts:
        findings += _orphans(parts, known_ids(), stack)
    if is_far() and manifest.workspace is not None and manifest.workspace.mode == "mount":
        message = (
            "the folder is on this machine, the engine on another; write mode: copy, and"
            f" {own_command(f'pull {stack}')} brings the work back"
        )
        findings.append(Finding("workspace.mode", "mount", message))
    elif workspace is not None and workspace.mode == "mount":
        findings += mount_findings(workspace, info)
    return [*findings, *_images(manifest, engine)]


def _engine(info: dict[str, object], engine: Engine) -> Iterator[Finding]:
    version = str(info.get("ServerVersion", ""))
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if number < OLDEST_ENGINE and engine.is_podman():
        message = (
            "is Podman: its networks do not know com.docker.network.bridge.inhibit_ipv4, which keeps this machine's"
            " services out of the agent's reach; use Docker Engine, which can be rootless too"
            " (docs.docker.com/engine/security/rootless)"
        )
        yield Finding("engine", version, message)
    elif number < OLDEST_ENGINE:
        yield Finding("engine", version, f"too old; {'.'.join(map(str, OLDEST_ENGINE))} or newer is needed")
    if info.get("OSType") != "linux":
        yield Finding("engine", info.get("OSType"), "runs no Linux containers")
    if info.get("MemoryLimit") is False:
        yield Finding("engine", NOT_SHOWN, "cannot limit memory (no memory cgroup), so agent.memory would mean nothing")
    if info.get("CpuCfsQuota") is False:
        message = (
            "cannot limit CPUs (no CFS quota), so no container with agent.cpus starts; a rootless engine needs the cpu"
            " controller delegated to it (docs.docker.com/engine/security/rootless/tips), another one a kernel with"
            " CONFIG_CFS_BANDWIDTH"
        )
        yield Finding("engine", NOT_SHOWN, message)


def _runtime(manifest: Manifest, info: dict[str, object]) -> Iterator[Finding]:
    runtimes, wanted = info.get("Runtimes"), manifest.agent.runtime
    if wanted and isinstance(runtimes, dict) and wanted not in runtimes:
        yield Finding(
            "agent.runtime",
            wanted,
            f"this engine has only {', '.join(sorted(runtimes))}; install it there first, or take the key out",
        )


def _outside(manifest: Manifest, engine: Engine) -> Iterator[Finding]:
    wanted = manifest.network.external
    if not wanted:
        return
    try:
        names = sorted(str(network.get("Name")) for network in engine.networks)
    except EngineError as error:
        yield Finding("network.external", wanted, f"whether this engine has it cannot be seen: {error}")
        return
    if wanted not in names:
        near = did_you_mean(wanted, names) or "; take the key out for a network of the bottle's own"
        yield Finding("network.external", wanted, f"no such network on this engine (docker network ls){near}")


def other_workspace(last: Mapping[str, Any], workspace: WorkspaceCopy | None, stack: str) -> Iterator[Finding]:
    """Another folder than the one whose copy the bottle has: its files would lie over the other project's `.git`.

    last: the plan of the last `up`.
    """
    before = last.get("workspace")
    if not isinstance(before, Mapping) or workspace is None or not before.get("mode") == workspace.mode == "copy":
        return
    if before.get("source") != workspace.source:
        message = (
            f"this bottle works on a copy of {before.get('source')}; first"
            f" {own_command(f'pull {stack}')}, {own_command(f'down {stack}')} and up again; or make a bottle of its own"
            " for the other folder"
        )
        yield Finding("workspace.path", workspace.source, message)


def renamed(before: str | None, stack: str) -> Iterator[Finding]:
    """A stack that got another name: its volumes have the old one, and an `up` would delete them for new ones.

    before: the name that its bottle was brought up with.
    """
    if before is not None and before != stack:
        message = (
            f"was renamed from {before}, after which the agent's home, mirrors and proposals are called: an up would"
            f" delete them. Take the name back: pulumi stack rename {before} -s {stack}. A bottle under another name is"
            " a new stack: copy the stack file"
        )
        yield Finding("stack", stack, message)


def _memory(manifest: Manifest, info: dict[str, object], available: int | None, *, running: bool) -> Iterator[Finding]:
    total = int(str(info.get("MemTotal") or 0)) >> 20
    if 0 < total < megabytes(manifest.agent.memory):
        yield Finding(
            "agent.memory", manifest.agent.memory, f"the engine's machine has {total} MB in all; write less than that"
        )
    needed = pipelock_memory(manifest.pipelock.dlp.max_body_mb)
    if 0 < total < needed:
        message = f"pipelock needs {needed} MB to hold such a body and look at it; the engine's machine has {total} MB"
        yield Finding("pipelock.dlp.max_body_mb", str(manifest.pipelock.dlp.max_body_mb), message)
    if not running and available is not None and available < _MEMORY_TO_START:
        message = f"{available} MB of memory are free, {_MEMORY_TO_START} MB are needed; stop something first"
        yield Finding("engine", NOT_SHOWN, message)


def _orphans(parts: list[Part], known: set[str], stack: str) -> Iterator[Finding]:
    for part in parts:
        if part.id not in known and not (part.kind == "volume" and os.environ.get(ADOPT_VOLUMES)):
            message = (
                "is not in this stack's state (another checkout or login made it, or a run that was killed);"
                f" inspect it, then {own_command(f'repair {stack}')}, or {part.removal}"
            )
            yield Finding(f"engine.{part.kind}", part.name, message)


def _images(manifest: Manifest, engine: Engine) -> Iterator[Finding]:
    chosen = {"agent.image": manifest.agent.image, "pipelock.image": manifest.pipelock.image}
    for path, name in chosen.items():
        if name and (problem := engine.image_problem(name)):
            yield Finding(
                path, name, f"is neither here nor can it be pulled: {problem}; build or load it, or name another"
            )


def is_far() -> bool:
    """Whether the engine is on another machine."""
    return not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")


def available_memory() -> int | None:
    """MB that a new process could have; None where the engine is elsewhere or the kernel does not say."""
    if is_far():
        return None
    try:
        match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return None
    return int(match[1]) >> 10 if match else None
