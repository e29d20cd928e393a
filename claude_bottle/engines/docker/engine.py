"""Queries the Docker engine about itself and one stack's parts. Only methods documented to do so change anything."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.naming import LABEL_ROLE, LABEL_STACK, docker_name
from claude_bottle.engines.docker.storage import Storage
from claude_bottle.engines.docker.subnets import Taken
from claude_bottle.policy.names.roles import ROLES


@dataclass(frozen=True)
class Part:
    """A part that carries the stack's label or one of its names. kind: container, network or volume."""

    kind: str
    id: str
    name: str

    @property
    def removal(self) -> str:
        """The command that deletes it."""
        return f"docker {self.kind} rm {'-f ' if self.kind == 'container' else ''}{self.name}"


@dataclass(frozen=True)
class ContainerStatus:
    """A container of a bottle. status: the engine's words, as in `Up 2 minutes (healthy)`."""

    stack: str
    role: str
    id: str
    status: str

    @property
    def health(self) -> str:
        """healthy, starting, unhealthy or stopped."""
        if not self.status.startswith("Up") or "(Paused)" in self.status:
            return "stopped"
        if "unhealthy" in self.status:
            return "unhealthy"
        return "starting" if "health: starting" in self.status else "healthy"


class Engine(Storage):
    """The engine that the docker command line uses. variables: see address.py."""

    def is_podman(self) -> bool:
        """Whether the engine is Podman, which speaks Docker's API but has version numbers of its own."""
        try:
            return "Podman" in self.docker("version", "--format", "{{json .Server.Components}}")
        except EngineError:
            return False

    @cached_property
    def info(self) -> dict[str, Any]:
        """The output of `docker info`. Raises EngineError."""
        info: dict[str, Any] = json.loads(self.docker("info", "--format", "{{json .}}"))
        if info.get("ServerErrors"):
            raise EngineError(str(info["ServerErrors"][0]))
        return info

    def parts(self, stack: str) -> list[Part]:
        """Everything on the engine that carries the stack's label, or one of its names."""
        own = {"container": {docker_name(role, stack) for role in ROLES}, "volume": {docker_name("home", stack)}}
        label = f'{{{{.Label "{LABEL_STACK}"}}}}'
        listing = {
            "container": ["ps", "-a", "--no-trunc", "--format", f"{{{{.ID}}}}\t{{{{.Names}}}}\t{label}"],
            "volume": ["volume", "ls", "--format", f"{{{{.Name}}}}\t{{{{.Name}}}}\t{label}"],
        }
        parts = []
        for kind, argv in listing.items():
            for line in self.docker(*argv).splitlines():
                identity, name, labelled = line.split("\t")
                if labelled == stack or name in own[kind]:
                    parts.append(Part(kind, identity, name))
        for network in self.networks:
            if (network.get("Labels") or {}).get(LABEL_STACK) == stack:
                parts.append(Part("network", network["Id"], network["Name"]))
        return parts

    def bottles(self) -> list[ContainerStatus]:
        """Every container of every bottle on the engine, running or not."""
        shape = "\t".join(
            (f'{{{{.Label "{LABEL_STACK}"}}}}', f'{{{{.Label "{LABEL_ROLE}"}}}}', "{{.ID}}", "{{.Status}}")
        )
        output = self.docker("ps", "-a", "--no-trunc", "--filter", f"label={LABEL_STACK}", "--format", shape)
        return [ContainerStatus(*line.split("\t", 3)) for line in output.splitlines() if line.count("\t") == 3]

    def subnets(self) -> list[Taken]:
        """The subnets of all networks, including those of other projects."""
        subnets = []
        for network in self.networks:
            labels = network.get("Labels") or {}
            owner = (labels.get(LABEL_STACK, ""), labels.get(LABEL_ROLE, ""))
            configs = (network.get("IPAM") or {}).get("Config") or []
            subnets += [Taken(config["Subnet"], *owner) for config in configs if config.get("Subnet")]
        return subnets

    @cached_property
    def networks(self) -> list[dict[str, Any]]:
        """The output of `docker network inspect` for all networks, including those of other projects."""
        networks: list[dict[str, Any]] = []
        for attempt in range(5):
            names = self.docker("network", "ls", "-q").split()
            try:
                networks = json.loads(self.docker("network", "inspect", *names)) if names else []
                break
            except EngineError:  # a network was removed between the two commands
                if attempt == 4:
                    raise
        return networks

    def leftovers(self, stack: str, known_ids: Collection[str]) -> list[Part]:
        """Containers first, then the networks that they were on."""
        kinds = ("container", "network")
        parts = [part for part in self.parts(stack) if part.kind in kinds and part.id not in known_ids]
        return sorted(parts, key=lambda part: kinds.index(part.kind))

    def remove(self, part: Part) -> bool:
        """Changes the engine. False for a part that stays: a volume, or one that the engine refuses to remove."""
        if part.kind == "volume":
            return False
        try:
            self.docker(*part.removal.split()[1:], timeout=120)
        except EngineError:
            return False
        return True

    def run_in(self, workload: ContainerStatus, *argv: str) -> str:
        """The standard output of a command in a container."""
        return self.docker("exec", workload.id, *argv)

    def stop(self, role: str, stack: str) -> None:
        """Changes the engine."""
        self.docker("stop", docker_name(role, stack), timeout=60)
