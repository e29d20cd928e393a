"""The docker command lines by which something is run in a container of a bottle."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from claude_bottle.engines.docker.address import prefix

AGENT_USER = "node"  # whom an agent's image runs as


def exec_argv(
    container: str, argv: Sequence[str], *, user: str = "", folder: str = "", stdin: bool = True, terminal: bool = False
) -> list[str]:
    """user: "" for the one that the container runs as. folder: to start in."""
    options = [
        *(["-it"] if terminal else ["-i"] if stdin else []),
        *(["-u", user] if user else []),
        *(["-w", folder] if folder else []),
    ]
    return ["docker", "exec", *options, container, *argv]


def attach_line(variables: Mapping[str, str], agent: str, argv: Sequence[str], folder: str = "") -> str:
    """What a person pastes for a terminal in the agent's container. variables: of its engine, see address.py."""
    return prefix(variables) + shlex.join(exec_argv(agent, argv, user=AGENT_USER, folder=folder, terminal=True))
