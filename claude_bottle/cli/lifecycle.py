"""Commands for a bottle's life cycle: plan, up, down, forget, repair."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from claude_bottle.cli.common import DONE, FAILED, NOTHING, Json, print_json, say, use_shell
from claude_bottle.cli.names import FileName, Name, PastName, UpName
from claude_bottle.host import pulumi_stack
from claude_bottle.host.stack_names import STACKS, stack_path
from claude_bottle.policy.own_command import own_command
from claude_bottle.project import provide_project

app = typer.Typer()


@app.command(epilog="Example: bottle up demo")
def up(name: UpName) -> int:
    """Bring a bottle up, or make its running parts what its stack file says now."""
    from claude_bottle.runs.terminal import run_pulumi
    from toolchain.__main__ import setup_missing
    from toolchain.stack_file import provide

    provide_project()
    provide(name, STACKS)
    _must_be_readable(name)
    setup_missing()
    use_shell()
    pulumi_stack.create(name)
    run_pulumi(name, "up", "--yes", "--skip-preview", "--suppress-outputs")
    say(f"{name} is up: {own_command(f'attach {name}')}")
    return DONE


def _must_be_readable(name: str) -> None:
    """Raises BottleError if Pulumi cannot start its program with the stack file."""
    from claude_bottle.host.stack_size import cannot_go_up
    from claude_bottle.policy.errors import BottleError

    file = stack_path(name)
    if wrong := cannot_go_up(file.read_text()):
        raise BottleError(f"{file}: {wrong}")


@app.command(epilog="Example: bottle plan demo --json")
def plan(name: FileName, as_json: Json = False) -> int:
    """Show what the bottle can reach, and what the next up would change."""
    from rich.console import Console

    from claude_bottle.plan import table as plan_table

    _must_be_readable(name)
    pulumi_stack.create(name)
    preview = pulumi_stack.preview(name)
    if as_json:
        document = plan_table.as_json(preview)
        print_json(document)
        return FAILED if document is None else DONE
    wide = None if sys.stdout.isatty() else 120
    return DONE if plan_table.show(preview, Console(highlight=False, width=wide)) else FAILED


@app.command(epilog="Example: bottle down demo")
def down(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Also where work was not pulled, or a record is lost.")
    ] = False,
    forget_too: Annotated[bool, typer.Option("--forget", help="Delete Pulumi's earlier states of it as well.")] = False,
) -> int:
    """Delete a bottle and its home; stops if work was not pulled."""
    from claude_bottle.engines.chosen import use_engine_of
    from claude_bottle.host import past_states
    from claude_bottle.runs.terminal import run_pulumi
    from claude_bottle.workspace.unpulled import warning

    if not _has_resources(name):
        say(f"{name} is not up")
        return NOTHING
    use_engine_of(name)
    if not force and (lost := warning(name)):
        say(lost)
        return FAILED
    _collect_last(name, needed=not force)
    run_pulumi(name, "destroy", "--yes", "--skip-preview")
    deleted = past_states.forget(name) if forget_too else ""
    print(deleted or past_states.kept(name))
    return DONE


def _collect_last(name: str, *, needed: bool) -> None:
    """Collect the last records. needed: raises BottleError if that fails, else only reports it."""
    from claude_bottle.cli.audit import collect_last
    from claude_bottle.policy.errors import BottleError

    try:
        collect_last(name)
    except BottleError as error:
        if needed:
            raise
        say(str(error))


def _has_resources(name: str) -> bool:
    """Whether Pulumi's state has resources of the bottle. Raises EngineError if the state cannot be read."""
    from claude_bottle.engines.pulumi_state import resources_in_state
    from claude_bottle.host.local_backend import state_file

    file = state_file(name)
    return (file is None or file.exists()) and bool(resources_in_state(name))


@app.command(epilog="Example: bottle forget demo")
def forget(name: PastName) -> int:
    """Delete the earlier states and logs that Pulumi keeps of a bottle, after a rotation or a down."""
    from claude_bottle.host import past_states

    deleted = past_states.forget(name)
    print(deleted or past_states.kept(name))
    return DONE if deleted else NOTHING


@app.command(epilog="Example: bottle repair demo")
def repair(
    name: Name,
    take_down: Annotated[bool, typer.Option("--down", help="Delete the bottle instead.")] = False,
) -> int:
    """Bring a bottle to a correct state after a kill of pulumi, the engine or the machine."""
    from claude_bottle.upkeep import repair as mend

    if take_down:
        _collect_last(name, needed=False)  # its parts may not answer any more
    mend.repair(name, down=take_down)
    return DONE
