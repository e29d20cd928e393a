"""Names of bottles, looked up before anything is made: one that nobody knows is an error with the nearest one."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from claude_bottle.project import project_folder
from components.errors import BottleError
from components.stale_lock import PROJECT, local_backend
from components.state import state_folder
from toolchain.shell import quiet
from toolchain.stack_file import examples_of, is_stack_name, no_bottle, stack_names

STACKS = Path("stacks")


class UnknownBottleError(BottleError):
    """Wrong usage: nothing was looked at but names."""


def declared() -> set[str]:
    """Bottles that have a stack file here."""
    return stack_names(STACKS)


def examples() -> set[str]:
    """Bottles of which `up` makes a file of one's own."""
    return stack_names(examples_of(STACKS))


def in_state() -> set[str]:
    """Bottles that Pulumi knows, with or without a file here."""
    root = local_backend()
    if root is not None:
        return {file.stem for file in (root / "stacks" / PROJECT).glob("*.json")}
    told = quiet("pulumi", "stack", "ls", "--json", "--project", PROJECT)
    return {str(stack["name"]).rpartition("/")[2] for stack in json.loads(told or "[]")}


def with_a_past() -> set[str]:
    """Bottles of which something is kept although they may be gone: earlier states, an audit log."""
    root = local_backend()
    folders = [root / kind / PROJECT for kind in ("backups", "history")] if root is not None else []
    kept = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    logs = {path.name.partition(".jsonl")[0] for path in state_folder("audit").glob("*.jsonl*")}
    return kept | logs


def look_up(name: str, known: Collection[str], *more: Collection[str]) -> None:
    """Raises UnknownBottleError for a name that is none, or is not among these."""
    if not is_stack_name(name):
        raise UnknownBottleError(f"{name[:60]!r} is not a name of a bottle: letters, digits, `_`, `.`, `-`")
    if not any(name in names for names in (known, *more)):
        raise UnknownBottleError(no_bottle(name, {*known, *(each for names in more for each in names)}))


def _with_file(ctx: typer.Context, name: str) -> str:
    if not ctx.resilient_parsing:
        look_up(name, declared())
    return name


def _with_file_or_example(ctx: typer.Context, name: str) -> str:
    if not ctx.resilient_parsing:
        look_up(name, declared(), examples())
    return name


def _any(ctx: typer.Context, name: str) -> str:
    if not ctx.resilient_parsing and name not in declared():
        look_up(name, declared(), in_state())
    return name


def _any_past(ctx: typer.Context, name: str) -> str:
    if not ctx.resilient_parsing and name not in declared():
        look_up(name, declared(), in_state(), with_a_past())
    return name


def complete(incomplete: str) -> list[str]:
    """For the shell."""
    stacks = project_folder(Path.cwd()) / STACKS  # a completion does not enter it
    found = stack_names(stacks) | stack_names(examples_of(stacks))
    return sorted(name for name in found if name.startswith(incomplete))


_HELP = "The bottle: the name of its stack."
# A verb that reads the stack file; one that copies an example as well; one that needs what is there; one that needs
# what is kept.
FileName = Annotated[str, typer.Argument(metavar="NAME", help=_HELP, autocompletion=complete, callback=_with_file)]
UpName = Annotated[
    str, typer.Argument(metavar="NAME", help=_HELP, autocompletion=complete, callback=_with_file_or_example)
]
Name = Annotated[str, typer.Argument(metavar="NAME", help=_HELP, autocompletion=complete, callback=_any)]
PastName = Annotated[str, typer.Argument(metavar="NAME", help=_HELP, autocompletion=complete, callback=_any_past)]
