"""Disk usage of bottles and their images on a Docker engine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence

from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.command import DockerCommand
from claude_bottle.engines.docker.naming import PREFIX, docker_name

_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


class Storage(DockerCommand):
    """Only methods documented to do so change anything."""

    def uses(self, stacks: Iterable[str]) -> dict[str, int]:
        """Bytes on disk of each stack's agent and home. Slow, because the engine counts all files."""
        usage = json.loads(self.docker("system", "df", "-v", "--format", "{{json .}}", timeout=300))
        sizes = {
            container["Names"]: _bytes(container["Size"].partition(" (")[0]) for container in usage["Containers"] or []
        }
        volumes = {volume["Name"]: _bytes(volume["Size"]) for volume in usage["Volumes"] or []}
        names = {stack: (docker_name("agent", stack), docker_name("home", stack)) for stack in stacks}
        return {stack: sizes.get(agent, 0) + volumes.get(home, 0) for stack, (agent, home) in names.items()}

    def own_images(self) -> frozenset[str]:
        """`claude-bottle/<role>:<hash>` of every image of this project that the engine has."""
        shape = ["--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={PREFIX}/*"]
        # Podman prefixes the names of built or loaded images with localhost/.
        return frozenset(name.removeprefix("localhost/") for name in self.docker("image", "ls", *shape).split())

    def image_problem(self, name: str) -> str | None:
        """Why an image is neither on the engine nor in its registry; None if it is in either."""
        try:
            self.docker("image", "inspect", "--format", "{{.Id}}", name)
        except EngineError:
            try:
                self.docker("manifest", "inspect", name, timeout=20)
            except EngineError as error:
                return str(error)
        return None

    def images_in_use(self) -> set[str]:
        """Ids of the images of all containers, running or not."""
        containers = set(self.docker("ps", "-aq", "--no-trunc").split())
        return (
            set(self.docker("container", "inspect", "-f", "{{.Image}}", *containers).split()) if containers else set()
        )

    def image_ids(self, names: Sequence[str]) -> list[str]:
        """Ids, in the order of the names."""
        return self.docker("image", "inspect", "-f", "{{.Id}}", *names).split() if names else []

    def layers(self, image: str) -> dict[str, int]:
        """Bytes of each layer, by a digest of the history up to it. Images with the same first layers share keys."""
        shape = "{{.CreatedAt}}\t{{.Size}}\t{{.CreatedBy}}"
        lines = self.docker("history", "--no-trunc", "--human=false", "--format", shape, image).splitlines()
        sizes, chain = {}, hashlib.sha256()
        for line in reversed(lines):
            chain.update(line.encode() + b"\n")
            size = line.split("\t")[1] if line.count("\t") >= 2 else "0"
            sizes[chain.hexdigest()] = int(size) if size.isdecimal() else 0
        return sizes

    def remove_image(self, name: str) -> None:
        """Changes the engine."""
        self.docker("image", "rm", name, timeout=120)


def _bytes(text: str) -> int:
    """Bytes from the engine's notation for a size, such as `1.2GB`; 0 for N/A."""
    match = re.fullmatch(r"([0-9.]+)\s*([kMGT]?B)", text.strip())
    return int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
