"""What the Docker engine says about itself and about one stack's parts. Its own methods only read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from claude_bottle.engines.docker.naming import LABEL_ROLE, LABEL_STACK, PREFIX, docker_name
from claude_bottle.engines.docker.subnets import Taken
from claude_bottle.host.child_env import child_env
from claude_bottle.policy.errors import BottleError

_ROLES = ("agent", "egress", "pipelock", "git-gate", "supervise")


class EngineError(BottleError):
    """The engine could not be asked; the message is its own."""


@dataclass(frozen=True)
class Part:
    """Something that carries the stack's label or one of its names. kind: container, network or volume."""

    kind: str
    id: str
    name: str

    @property
    def removal(self) -> str:
        """The command that takes it away."""
        return f"docker {self.kind} rm {'-f ' if self.kind == 'container' else ''}{self.name}"


@dataclass(frozen=True)
class Running:
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


class Engine:
    """The engine that the docker command line talks to; variables: see engine_address."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._env = child_env(variables)

    def docker(self, *argv: str, timeout: float = 30) -> str:
        """Standard output of a docker command. timeout: seconds. Raises EngineError with its last words."""
        try:
            done = subprocess.run(
                ["docker", *argv], capture_output=True, text=True, timeout=timeout, check=False, env=self._env
            )
        except FileNotFoundError:
            raise EngineError("there is no docker command on PATH") from None
        except subprocess.TimeoutExpired:
            raise EngineError(f"docker {argv[0]} did not answer within {timeout:g} s") from None
        if done.returncode != 0:
            raise EngineError((done.stderr.strip().splitlines() or ["docker failed"])[-1])
        return done.stdout

    def is_podman(self) -> bool:
        """Whether Podman answers, which speaks Docker's language with a version number of its own."""
        try:
            return "Podman" in self.docker("version", "--format", "{{json .Server.Components}}")
        except EngineError:
            return False

    @cached_property
    def info(self) -> dict[str, Any]:
        """`docker info`. Raises EngineError."""
        told: dict[str, Any] = json.loads(self.docker("info", "--format", "{{json .}}"))
        if told.get("ServerErrors"):
            raise EngineError(str(told["ServerErrors"][0]))
        return told

    def parts(self, stack: str) -> list[Part]:
        """Everything on the engine that carries the stack's label, or one of its names."""
        own = {"container": {docker_name(role, stack) for role in _ROLES}, "volume": {docker_name("home", stack)}}
        label = f'{{{{.Label "{LABEL_STACK}"}}}}'
        listing = {
            "container": ["ps", "-a", "--no-trunc", "--format", f"{{{{.ID}}}}\t{{{{.Names}}}}\t{label}"],
            "volume": ["volume", "ls", "--format", f"{{{{.Name}}}}\t{{{{.Name}}}}\t{label}"],
        }
        found = []
        for kind, argv in listing.items():
            for line in self.docker(*argv).splitlines():
                identity, name, labelled = line.split("\t")
                if labelled == stack or name in own[kind]:
                    found.append(Part(kind, identity, name))
        for network in self.networks:
            if (network.get("Labels") or {}).get(LABEL_STACK) == stack:
                found.append(Part("network", network["Id"], network["Name"]))
        return found

    def bottles(self) -> list[Running]:
        """Every container of every bottle on the engine, running or not."""
        shape = "\t".join(
            (f'{{{{.Label "{LABEL_STACK}"}}}}', f'{{{{.Label "{LABEL_ROLE}"}}}}', "{{.ID}}", "{{.Status}}")
        )
        told = self.docker("ps", "-a", "--no-trunc", "--filter", f"label={LABEL_STACK}", "--format", shape)
        return [Running(*line.split("\t", 3)) for line in told.splitlines() if line.count("\t") == 3]

    def subnets(self) -> list[Taken]:
        """The subnets of all networks, whoever made them."""
        found = []
        for network in self.networks:
            labels = network.get("Labels") or {}
            owner = (labels.get(LABEL_STACK, ""), labels.get(LABEL_ROLE, ""))
            configs = (network.get("IPAM") or {}).get("Config") or []
            found += [Taken(config["Subnet"], *owner) for config in configs if config.get("Subnet")]
        return found

    @cached_property
    def networks(self) -> list[dict[str, Any]]:
        """`docker network inspect` of all, whoever made them."""
        told: list[dict[str, Any]] = []
        for attempt in range(5):
            names = self.docker("network", "ls", "-q").split()
            try:
                told = json.loads(self.docker("network", "inspect", *names)) if names else []
                break
            except EngineError:  # a bottle that goes down took its network away between the two questions
                if attempt == 4:
                    raise
        return told

    def own_images(self) -> frozenset[str]:
        """`claude-bottle/<role>:<hash>` of every image of this project that is there."""
        shape = ["--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={PREFIX}/*"]
        # Podman puts its own host's name before what was built or loaded there.
        return frozenset(name.removeprefix("localhost/") for name in self.docker("image", "ls", *shape).split())

    def image_problem(self, name: str) -> str | None:
        """Why an image can neither be found here nor in its registry; None when it can."""
        try:
            self.docker("image", "inspect", "--format", "{{.Id}}", name)
        except EngineError:
            try:
                self.docker("manifest", "inspect", name, timeout=20)
            except EngineError as error:
                return str(error)
        return None
