"""Shared by all commands: the project, exit codes, and JSON output for programs."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from claude_bottle.policy.own_command import CALLED, called_from
from claude_bottle.project import not_made_here, project_folder

# Exit codes. `exec` ends with the code of the command that it ran.
DONE, FAILED, USAGE, NOTHING = 0, 1, 2, 3

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_called_from = Path()


def enter_project() -> None:
    """Change to the project and its environment, wherever the command was called (claude_bottle/project.py)."""
    global _called_from
    _called_from = Path.cwd()
    folder = project_folder(_called_from)
    if wrong := not_made_here(folder):
        say(wrong)
        sys.exit(USAGE)
    os.environ.setdefault(CALLED, called_from(_called_from))
    os.chdir(folder)
    use_shell()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold tokens


def use_shell() -> None:
    """Apply the environment of the checkout's shell. Repeated after a set-up, which may have installed Pulumi."""
    from toolchain.environment import environment

    os.environ.update(environment())


def given_path(path: Path | str) -> Path:
    """A path as typed: relative to the folder in which the command was called."""
    return _called_from / Path(path).expanduser()


def say(text: str) -> None:
    """Print a message for a person to standard error, separate from output for programs."""
    from claude_bottle.policy.errors import printable

    print(printable(text), file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print JSON to standard output. Non-ASCII characters are escaped, so nothing can control the terminal."""
    print(json.dumps(value, indent=2))
