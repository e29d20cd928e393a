"""Acts on one bottle by the docker command line. claude_bottle/engines/client.py documents the methods."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence

from claude_bottle.engines.client import Answer, EngineError, Local
from claude_bottle.engines.docker.address import prefix
from claude_bottle.engines.docker.command import AGENT_USER, exec_argv
from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.host.child_env import child_env


def attach_line(variables: Mapping[str, str], agent: str, argv: Sequence[str], folder: str = "") -> str:
    """The command to paste for a terminal in the agent's container. variables: of its engine, see address.py."""
    return prefix(variables) + shlex.join(exec_argv(agent, argv, user=AGENT_USER, folder=folder, terminal=True))


class DockerClient:
    """variables: of the bottle's engine, see address.py."""

    def __init__(self, stack: str, variables: Mapping[str, str]) -> None:
        self._stack, self._variables = stack, variables

    def inside(self, role: str, argv: Sequence[str], *, folder: str = "", terminal: bool = False) -> Local:
        user = AGENT_USER if role == "agent" else ""
        return self._local(exec_argv(self._name(role), argv, user=user, folder=folder, terminal=terminal))

    def exec(
        self, role: str, argv: Sequence[str], *, stdin: bytes = b"", folder: str = "", timeout: float = 60
    ) -> Answer:
        command = self.inside(role, argv, folder=folder)
        try:
            done = subprocess.run(
                command.argv, input=stdin, capture_output=True, check=False, timeout=timeout, env=command.env
            )
        except (OSError, subprocess.TimeoutExpired):
            raise EngineError(f"{role} of {self._stack} does not answer") from None
        exists = done.returncode == 0 or b"no such container" not in done.stderr.lower()
        return Answer(done.returncode, done.stdout, done.stderr.decode(errors="replace"), exists)

    def log(self, role: str, *, since: str = "", tail: int | None = None, follow: bool = False, id: str = "") -> Local:
        options = [
            "--timestamps",
            *(["--tail", str(tail)] if tail is not None else []),
            *(["--follow"] if follow else []),
            *(["--since", since] if since else []),
        ]
        return self._local(["docker", "logs", *options, id or self._name(role)])

    def is_running(self, role: str) -> bool:
        command = self._local(["docker", "inspect", "--format", "{{.State.Running}}", self._name(role)])
        done = subprocess.run(command.argv, capture_output=True, text=True, check=False, timeout=30, env=command.env)
        return done.stdout.strip() == "true"

    def stop(self, role: str, seconds: int) -> None:
        command = self._local(["docker", "stop", "-t", str(seconds), self._name(role)])
        subprocess.run(command.argv, env=command.env, check=False, capture_output=True, timeout=60)

    def attach_line(self, *argv: str, folder: str = "") -> str:
        return attach_line(self._variables, self._name("agent"), argv, folder)

    def _name(self, role: str) -> str:
        return docker_name(role, self._stack)

    def _local(self, argv: list[str]) -> Local:
        return Local(argv, child_env(self._variables))
