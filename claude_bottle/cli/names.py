"""Arguments that name a bottle. Each is checked before anything is done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from claude_bottle.host.stack_names import (
    STACKS,
    declared,
    examples,
    examples_of,
    look_up,
    must_be_known,
    must_be_remembered,
    stack_names,
)
from claude_bottle.project import project_folder


def _with_file(ctx: typer.Context, name: str) -> str:
    if not ctx.resilient_parsing:
        look_up(name, declared())
    return name


def _with_file_or_example(ctx: typer.Context, name: str) -> str:
    if not ctx.resilient_parsing:
        look_up(name, declared(), examples())
    return name


def _any(ctx: typer.Context, name: str) -> str:
    return name if ctx.resilient_parsing else must_be_known(name)


def _any_past(ctx: typer.Context, name: str) -> str:
    return name if ctx.resilient_parsing else must_be_remembered(name)


def complete(incomplete: str) -> list[str]:
    """Completions for the shell."""
    stacks = project_folder(Path.cwd()) / STACKS  # a completion does not change to the project
    names = stack_names(stacks) | stack_names(examples_of(stacks))
    return sorted(name for name in names if name.startswith(incomplete))


_HELP = "The bottle: the name of its stack."
# For commands that read the stack file; that also copy an example; that need an existing bottle; that need any trace of
# a bottle.
FileName = Annotated[str, typer.Argument(metavar="NAME", help=_HELP, autocompletion=complete, callback=_with_file)]
UpName = Annotated[
    str, typer.Argument(metavar="NAME", help=_HELP, autocompletion=complete, callback=_with_file_or_example)
]
Name = Annotated[str, typer.Argument(metavar="NAME", help=_HELP, autocompletion=complete, callback=_any)]
PastName = Annotated[str, typer.Argument(metavar="NAME", help=_HELP, autocompletion=complete, callback=_any_past)]
