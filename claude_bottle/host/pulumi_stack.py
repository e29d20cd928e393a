"""What Pulumi's command says about a stack. Standard library only."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from claude_bottle.policy.errors import BottleError

_SECONDS = 120.0


class PulumiError(BottleError):
    """Pulumi could not be asked; the message has its last words."""


def ask(*argv: str, env: Mapping[str, str] | None = None) -> Any:
    """The JSON that `pulumi ARGV` prints. env: in place of this process' variables. Raises PulumiError."""
    words = "pulumi " + " ".join(word for word in argv[:2] if not word.startswith("-"))
    try:
        done = subprocess.run(
            ["pulumi", *argv, "--non-interactive"],
            capture_output=True,
            text=True,
            env=None if env is None else dict(env),
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PulumiError(f"{words}: {error}") from None
    if done.returncode != 0:
        raise PulumiError(f"{words}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    try:
        return json.loads(done.stdout or "null")
    except ValueError:
        raise PulumiError(f"{words}: its answer is not JSON") from None


def exported(stack: str) -> list[dict[str, Any]]:
    """The resources of a stack, secrets encrypted. Works inside a program of Pulumi too. Raises PulumiError."""
    # The variables of the running program would make the command believe that it is a program itself.
    mine = (
        "PULUMI_BACKEND_URL",
        "PULUMI_HOME",
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_SKIP_UPDATE_CHECK",
        "PULUMI_CONFIG_PASS",
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_") or key.startswith(mine)}
    return list(ask("stack", "export", "--stack", stack, env=env)["deployment"].get("resources") or [])


def outputs(stack: str) -> dict[str, Any]:
    """The outputs of a stack; empty if it is not up. Raises PulumiError."""
    return dict(ask("stack", "output", "--json", "--stack", stack) or {})


def names(project: str) -> list[str]:
    """The stacks of a project. Raises PulumiError."""
    return [str(stack["name"]).rpartition("/")[2] for stack in ask("stack", "ls", "--json", "--project", project) or []]
