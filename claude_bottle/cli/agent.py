"""Commands inside a bottle: its shell, its agent, its work, its logs."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from claude_bottle.cli.common import DONE, NOTHING, given_path, say
from claude_bottle.cli.names import Name
from claude_bottle.policy.names.roles import ROLES
from claude_bottle.policy.own_command import own_command

app = typer.Typer()


def _inside(name: str, argv: list[str], *, terminal: bool) -> None:
    """Replace this process by a command in the agent, as its own user. Raises BottleError if the agent does not run."""
    from claude_bottle.approvals.resume import is_running
    from claude_bottle.engines.chosen import open_client
    from claude_bottle.policy.errors import BottleError

    if not is_running(name):
        raise BottleError(f"{name} is not up; {own_command(f'up {name}')}")
    command = open_client(name).inside("agent", argv, terminal=terminal)
    become(command.argv, command.env)


def become(argv: list[str], env: dict[str, str]) -> None:
    """Replace this process by the command, so that exit code and signals are the command's."""
    os.execvpe(argv[0], argv, env)  # noqa: S606 - no shell is what is wanted


@app.command(epilog="Example: bottle attach demo")
def attach(name: Name) -> None:
    """Start Claude Code in the bottle, on this terminal."""
    _inside(name, ["claude"], terminal=True)


@app.command("exec", epilog="Example: bottle exec demo -- git status")
def exec_(
    name: Name,
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND…", help="Command to run; bottle ends with its exit code.")
    ],
) -> None:
    """Run a command in the bottle, as its agent's user."""
    _inside(name, command, terminal=sys.stdin.isatty() and sys.stdout.isatty())


@app.command(epilog="Example: bottle resume demo")
def resume(
    name: Name,
    show: Annotated[bool, typer.Option("--print", help="Print the command instead of running it.")] = False,
) -> int:
    """Resume the agent's conversation; brings the bottle up if it is down."""
    from claude_bottle.approvals.resume import is_running, resume_command
    from claude_bottle.host.child_env import child_env

    if not is_running(name):
        from claude_bottle.runs.automation import StackRunner

        say(f"the agent of {name} is not running; bringing it up")
        StackRunner(name, Path.cwd()).up(say)
    command = resume_command(name)
    if show or not sys.stdout.isatty():
        print(command)
        return DONE
    become(["env", *shlex.split(command)], child_env())
    return DONE


@app.command(epilog="Example: bottle pull demo --dry-run")
def pull(
    name: Name,
    to: Annotated[Path | None, typer.Option(help="Write to this new folder, and leave the workspace alone.")] = None,
    force: Annotated[bool, typer.Option("--force", help="The agent's version wins where both sides changed.")] = False,
    run_files: Annotated[
        bool, typer.Option("--run-files/--no-run-files", help="What editors, shells and build tools run by themselves.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> int:
    """Copy the agent's work back to the workspace, without overwriting your own changes."""
    from claude_bottle.policy.errors import printable
    from claude_bottle.workspace.pull import pull as bring

    target = given_path(to) if to else None
    print(printable("\n".join(bring(name, to=target, force=force, dry_run=dry_run, run_files=run_files))))
    return DONE


@app.command(epilog="Example: bottle logs demo egress --follow")
def logs(
    name: Name,
    part: Annotated[str, typer.Argument(help=f"{', '.join(ROLES[:-1])} or {ROLES[-1]}; default: all.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option(min=0, help="Number of lines of each part.")] = 100,
) -> int:
    """Show the logs of the parts of a bottle."""
    from claude_bottle.cli import part_logs
    from claude_bottle.policy.errors import BottleError

    parts = part_logs.parts_of(name)
    if part and part not in parts:
        raise BottleError(f"{name} has no running part `{part}`; there are: {', '.join(parts) or 'none'}")
    wanted = [part] if part else parts
    if not wanted:
        say(f"{name} is not up")
    return part_logs.show(name, wanted, follow=follow, tail=tail) if wanted else NOTHING
