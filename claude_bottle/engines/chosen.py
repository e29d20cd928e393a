"""The engine of this release. Beside this module, only the set-up names it.

Each function imports what it needs, because some callers have only the standard library, and all start sooner.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_bottle.engines.client import Client, Host, WorkloadStatus
    from claude_bottle.engines.declare import Engine
    from claude_bottle.engines.docker.live.drift import Drift as Drift
    from claude_bottle.engines.docker.machine import Machine as Machine
    from claude_bottle.policy.errors import Finding


def _engine_of(stack: str, project: Path = Path()) -> dict[str, str]:
    """The environment variables that select the engine of a stack, read from its file; empty for the default engine.

    Raises BottleError for an invalid address, or one without TLS that is not loopback.
    """
    from claude_bottle.engines.docker.address import engine_of as of

    return of(stack, project)


def use_engine_of(stack: str) -> None:
    """Make this process and its children use the engine of a stack. Raises BottleError."""
    os.environ.update(_engine_of(stack))


def address_of(stack: str) -> str:
    """The address of a stack's engine, to show to a person; "" for the default engine. Raises BottleError."""
    return _engine_of(stack).get("DOCKER_HOST", "")


def must_be_an_engine(config: Mapping[str, object]) -> None:
    """Raises BottleError if a stack's config, with full keys, names an engine by an invalid address."""
    from claude_bottle.engines.docker.address import engine_variables

    engine_variables(config)


def not_followed(stack: str) -> Iterator[Finding]:
    """Problems if docker's tools, Pulumi and the stack file would use different engines. Inside a Pulumi program."""
    from claude_bottle.engines.docker import address, context
    from claude_bottle.engines.docker.resources.provider_engine import provider_engine

    yield from context.not_followed(os.environ, Path.home(), stack)
    yield from address.not_in_file(stack, provider_engine())


def ask_machine(stack: str) -> Machine:
    """Ask the engine that Pulumi's provider uses, and a stack's state, in the background. Inside a Pulumi program."""
    from claude_bottle.engines.docker.machine import Machine
    from claude_bottle.engines.docker.resources.provider_engine import provider_engine

    os.environ.update(provider_engine())  # from here on, every query goes to that engine
    machine = Machine(stack)
    # Loading this takes about as long as the machine's answers.
    import claude_bottle.engines.docker.resources.engine  # noqa: F401

    return machine


def declared_engine(machine: Machine, drifts: Mapping[str, Drift]) -> Engine:
    """The engine that the components of a bottle get, with the machine's answers. Raises EngineError."""
    from claude_bottle.engines.docker.host_routes import ways_of_the_machine
    from claude_bottle.engines.docker.resources.engine import DockerEngine

    return DockerEngine(machine.own_images(), machine.subnets(), ways_of_the_machine(), drifts)


def machine_notes() -> list[str]:
    """Conditions of this machine that weaken a bottle but do not stop one, each in words."""
    from claude_bottle.engines.docker.host_routes import BROADCASTS, hears_broadcasts

    return [BROADCASTS] if hears_broadcasts() else []


def open_client(stack: str, project: Path = Path(), variables: Mapping[str, str] | None = None) -> Client:
    """The client for the bottle of a stack. variables: of its engine, if already known. Raises BottleError."""
    from claude_bottle.engines.docker.client import DockerClient

    return DockerClient(stack, _engine_of(stack, project) if variables is None else variables)


def open_host(stack: str = "") -> Host:
    """The engine of a stack, or without one the engine that this process uses. Raises BottleError."""
    from claude_bottle.engines.docker.engine import Engine

    return Engine(_engine_of(stack) if stack else None)


def hosts(project: Path) -> tuple[Mapping[str, Host], list[str]]:
    """All engines that stacks of the project name, by address, and a problem for each stack whose engine is unknown."""
    from claude_bottle.engines.docker.project_engines import engines

    return engines(project)


def running_bottles(project: Path) -> tuple[Sequence[WorkloadStatus], list[str]]:
    """All workloads of all bottles on these engines, and one problem for each engine that is unknown or silent."""
    from claude_bottle.engines.docker import project_engines

    return project_engines.running_bottles(project)


def inside_agent(name: str, argv: Sequence[str], *, root: bool = False) -> list[str]:
    """The command that runs argv in this agent, on this process's engine, as the agent's user or as root."""
    from claude_bottle.engines.docker.command import AGENT_USER, exec_argv

    return exec_argv(name, argv, user="0" if root else AGENT_USER)
