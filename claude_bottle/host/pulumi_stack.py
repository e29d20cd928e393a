"""Runs Pulumi's command on a stack. Standard library only.

claude_bottle/runs has the two that take long: `up` and its like on a terminal, and those of the automation API.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from claude_bottle.host.local_backend import state_file
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.own_command import own_command

_SECONDS = 120.0


class PulumiError(BottleError):
    """Pulumi could not be asked; the message has its last words."""


def ask(*argv: str, env: Mapping[str, str] | None = None) -> Any:
    """The JSON that `pulumi ARGV` prints. env: in place of this process' variables. Raises PulumiError."""
    words = "pulumi " + " ".join(word for word in argv[:2] if not word.startswith("-"))
    try:
        done = _run(*argv, env=env, seconds=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PulumiError(f"{words}: {error}") from None
    if done.returncode != 0:
        raise PulumiError(f"{words}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    try:
        return json.loads(done.stdout or "null")
    except ValueError:
        raise PulumiError(f"{words}: its answer is not JSON") from None


def _run(
    *argv: str, env: Mapping[str, str] | None = None, seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pulumi", *argv, "--non-interactive"],
        capture_output=True,
        text=True,
        env=None if env is None else dict(env),
        check=False,
        timeout=seconds,
    )


def must_be_installed(stack: str) -> None:
    """Raises BottleError if there is no pulumi command."""
    if shutil.which("pulumi") is None:
        raise BottleError(
            f"pulumi is not installed; {own_command(f'up {stack}')} installs it, and {own_command('doctor')} reports"
            " what is missing"
        )


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


def preview(stack: str) -> dict[str, Any]:
    """What `pulumi preview --json` prints. Raises PulumiError with Pulumi's reasons if the preview fails."""
    done = _run("preview", "--json", "--stack", stack)
    try:
        printed: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise PulumiError(done.stderr or done.stdout) from None
    if done.returncode != 0:  # the running bottle's plan would not be about this file
        said = [str(diagnostic.get("message", "")).rstrip() for diagnostic in printed.get("diagnostics", [])]
        raise PulumiError("\n".join(filter(None, said)) or done.stderr)
    return printed


def create(stack: str) -> None:
    """Create the stack of a bottle that has a stack file, unless it exists. Raises BottleError."""
    file = state_file(stack)
    if file is not None and file.exists():
        return
    must_be_installed(stack)
    done = _run("stack", "select", "--create", stack)
    if done.returncode != 0:
        raise PulumiError(f"{stack}: {(done.stderr or done.stdout).strip()}")


def set_secret(stack: str, ref: str) -> int:
    """Encrypt a secret into the stack file: Pulumi asks for its value, or reads standard input. Returns its code."""
    return subprocess.run(["pulumi", "config", "set", "--secret", ref, "--stack", stack], check=False).returncode
