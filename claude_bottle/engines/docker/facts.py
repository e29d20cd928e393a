"""Facts about a Docker engine (claude_bottle/engines/facts.py), from `docker info` and a few more queries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.context import is_far
from claude_bottle.engines.docker.engine import Engine
from claude_bottle.engines.docker.naming import PROOF, docker_name
from claude_bottle.engines.facts import Facts, MountFacts
from claude_bottle.policy.own_command import own_command

# The oldest engine that bottles were tested on. Earlier ones lack options that a bottle's networks need.
OLDEST_ENGINE = (20, 10)


def gather(engine: Engine, stack: str, images: Sequence[str]) -> Facts:
    """images: names of images that others have built. Raises EngineError if the engine does not answer."""
    try:
        info, parts = engine.info, engine.parts(stack)
        networks = sorted(str(network.get("Name")) for network in engine.networks)
    except EngineError as error:
        raise EngineError(
            f"Docker cannot be reached: {error}; start it ({own_command('doctor')} says how), or set DOCKER_HOST"
        ) from None
    far = is_far()
    return replace(
        facts_of(info, engine.is_podman),
        far=far,
        free_mb=None if far else _available_memory(),
        networks=networks,
        # An interrupted `up` may leave a proof container. It ends by itself, or the next proof removes it.
        parts=[part for part in parts if part.name != docker_name(PROOF, stack)],
        missing_images={name: why for name in images if (why := engine.image_problem(name))},
    )


def facts_of(info: Mapping[str, Any], is_podman: Callable[[], bool]) -> Facts:
    """The facts in `docker info`. is_podman: called only if the version is too old."""
    runtimes, options = info.get("Runtimes"), str(info.get("SecurityOptions"))
    mapped = "name=userns" in options or "name=rootless" in options
    return Facts(
        unfit=[*_unfit(info, is_podman)],
        memory_mb=int(str(info.get("MemTotal") or 0)) >> 20,
        runtimes=sorted(runtimes) if isinstance(runtimes, dict) else None,
        mounts=MountFacts(
            other_root=mapped or "Desktop" in str(info.get("OperatingSystem")),
            other_ids=mapped,
            selinux="name=selinux" in options,
        ),
    )


def _unfit(info: Mapping[str, Any], is_podman: Callable[[], bool]) -> Iterator[tuple[str | None, str]]:
    version = str(info.get("ServerVersion", ""))
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if number < OLDEST_ENGINE and is_podman():
        yield (
            version,
            "is Podman, whose networks do not support com.docker.network.bridge.inhibit_ipv4. This option keeps this"
            " machine's services out of the agent's reach. Use Docker Engine, which can also run rootless"
            " (docs.docker.com/engine/security/rootless)",
        )
    elif number < OLDEST_ENGINE:
        yield version, f"too old; upgrade it to {'.'.join(map(str, OLDEST_ENGINE))} or newer"
    if info.get("OSType") != "linux":
        yield str(info.get("OSType")), "runs no Linux containers"
    if info.get("MemoryLimit") is False:
        yield None, "cannot limit memory (no memory cgroup), so agent.memory would have no effect"
    if info.get("CpuCfsQuota") is False:
        yield (
            None,
            "cannot limit CPUs (no CFS quota), so no container with agent.cpus starts. A rootless engine needs the cpu"
            " controller delegated to it (docs.docker.com/engine/security/rootless/tips); any other engine needs a"
            " kernel with CONFIG_CFS_BANDWIDTH",
        )


def _available_memory() -> int | None:
    """MB of memory available to a new process on this machine; None if the kernel does not report it."""
    try:
        match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return None
    return int(match[1]) >> 10 if match else None
