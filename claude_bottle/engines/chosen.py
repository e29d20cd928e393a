"""The engine of this release, and the one place that names it.

Each function loads what it needs: some callers have the standard library only, all start sooner.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_bottle.engines.client import Client, Host, WorkloadStatus
    from claude_bottle.engines.docker.machine import Machine as Machine
    from claude_bottle.policy.errors import Finding


def _engine_of(stack: str, project: Path = Path()) -> dict[str, str]:
    """The variables by which a program talks to the engine of a stack, from its file; empty for the usual one.

    Raises BottleError for an address that is none, or one that anybody could use.
    """
    from claude_bottle.engines.docker.address import engine_of as of

    return of(stack, project)


def use_engine_of(stack: str) -> None:
    """Have this process, and what it starts, talk to the engine of a stack. Raises BottleError."""
    os.environ.update(_engine_of(stack))


def address_of(stack: str) -> str:
    """The address of a stack's engine for a person; "" for the usual one. Raises BottleError."""
    return _engine_of(stack).get("DOCKER_HOST", "")


def must_be_an_engine(config: Mapping[str, object]) -> None:
    """Raises BottleError where a stack's config, with full keys, names an engine that cannot be one."""
    from claude_bottle.engines.docker.address import engine_variables

    engine_variables(config)


def not_followed(stack: str) -> Iterator[Finding]:
    """Where the engine's own tools, Pulumi and the stack file would mean two engines. Inside a Pulumi program."""
    from claude_bottle.engines.docker import address, context
    from claude_bottle.engines.docker.resources.provider_engine import provider_engine

    yield from context.not_followed(os.environ, Path.home(), stack)
    yield from address.not_in_file(stack, provider_engine())


def machine_notes() -> list[str]:
    """What of this machine weakens a bottle and stops none, each in words."""
    from claude_bottle.engines.docker.host_routes import BROADCASTS, hears_broadcasts

    return [BROADCASTS] if hears_broadcasts() else []


def open_client(stack: str, project: Path = Path(), variables: Mapping[str, str] | None = None) -> Client:
    """To act on the bottle of a stack. variables: of its engine, where they are known. Raises BottleError."""
    from claude_bottle.engines.docker.client import DockerClient

    return DockerClient(stack, _engine_of(stack, project) if variables is None else variables)


def open_host(stack: str = "") -> Host:
    """The engine of a stack; without one, that which this process talks to. Raises BottleError."""
    from claude_bottle.engines.docker.engine import Engine

    return Engine(_engine_of(stack) if stack else None)


def hosts(project: Path) -> tuple[Mapping[str, Host], list[str]]:
    """By address, all engines that a stack of the project names; and why one is not known."""
    from claude_bottle.engines.docker.project_engines import engines

    return engines(project)


def running_bottles(project: Path) -> tuple[Sequence[WorkloadStatus], list[str]]:
    """All workloads of all bottles on these, and what is wrong with an engine."""
    from claude_bottle.engines.docker import project_engines

    return project_engines.running_bottles(project)


def inside_agent(name: str, argv: Sequence[str], *, root: bool = False) -> list[str]:
    """What runs this in an agent of that name, on the engine which this process talks to, as its own user or root."""
    from claude_bottle.engines.docker.command import AGENT_USER, exec_argv

    return exec_argv(name, argv, user="0" if root else AGENT_USER)
