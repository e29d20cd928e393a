"""The docker command line. Standard library only, because the steps of an `up` import it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from claude_bottle.engines.client import EngineError
from claude_bottle.host.child_env import child_env

AGENT_USER = "node"  # the user of the agent's image


def exec_argv(
    container: str, argv: Sequence[str], *, user: str = "", folder: str = "", stdin: bool = True, terminal: bool = False
) -> list[str]:
    """The command that runs `argv` in a container. user: "" for the container's own. folder: working directory."""
    options = [
        *(["-it"] if terminal else ["-i"] if stdin else []),
        *(["-u", user] if user else []),
        *(["-w", folder] if folder else []),
    ]
    return ["docker", "exec", *options, container, *argv]


class DockerCommand:
    """Runs docker with this process's environment and these variables, which select its engine (address.py)."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._env = child_env(variables)

    def docker(self, *argv: str, stdin: str = "", timeout: float = 30) -> str:
        """The standard output of a docker command. timeout: seconds. Raises EngineError, with stderr's last line."""
        done = self._run(argv, stdin, timeout)
        if done.returncode != 0:
            raise EngineError((done.stderr.strip().splitlines() or ["docker failed"])[-1])
        return done.stdout

    def _run(self, argv: Sequence[str], stdin: str, timeout: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["docker", *argv],
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
                env=self._env,
            )
        except FileNotFoundError:
            raise EngineError("there is no docker command on PATH") from None
        except subprocess.TimeoutExpired:
            raise EngineError(f"docker {argv[0]} did not answer within {timeout:g} s") from None

    def inside(
        self, container: str, argv: Sequence[str], *, user: str = "", stdin: str = "", timeout: float = 30
    ) -> str:
        """The standard output of a command in a container. Raises EngineError, with all that the command says."""
        command = exec_argv(container, argv, user=user, stdin=bool(stdin))
        done = self._run(command[1:], stdin, timeout)
        if done.returncode != 0:
            raise EngineError(done.stderr.strip() or "docker failed")
        return done.stdout
