"""Every engine that a stack of the project names, and the bottles on them."""

from __future__ import annotations

from pathlib import Path

from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.address import engine_of
from claude_bottle.engines.docker.engine import ContainerStatus, Engine
from claude_bottle.host.stack_names import STACKS, stack_names
from claude_bottle.policy.errors import BottleError


def engines(project: Path) -> tuple[dict[str, Engine], list[str]]:
    """The default engine and all that stacks name, by address, and a problem for each stack whose engine is unknown."""
    by_address, problems = {"": Engine()}, []
    for stack in sorted(stack_names(project / STACKS)):
        try:
            variables = engine_of(stack, project)
        except BottleError as error:
            problems.append(f"{stack}: {error}")
        else:
            by_address[variables.get("DOCKER_HOST", "")] = Engine(variables)
    return by_address, problems


def running_bottles(project: Path) -> tuple[list[ContainerStatus], list[str]]:
    """All containers of all bottles on these engines, and the problems."""
    by_address, problems = engines(project)
    running: list[ContainerStatus] = []
    for host, engine in by_address.items():
        try:
            running += engine.bottles()
        except EngineError as error:
            problems.append(f"Docker{f' at {host}' if host else ''} does not answer: {error}")
    return running, problems
