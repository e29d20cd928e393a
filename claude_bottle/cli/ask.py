"""Commands for proposals of agents, and the owner's answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from claude_bottle.cli.common import DONE, Json, given_path, print_json
from claude_bottle.cli.names import Name

app = typer.Typer(no_args_is_help=True, help="See what the agent requests, and answer it.")

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the proposal, as `bottle ask list` prints it.")]
Words = Annotated[str, typer.Option("--message", "-m", help="Words for the agent.")]
Limit = Annotated[str, typer.Option("--for", metavar="2h", help="For a limited time: 30m, 2h, 1d.")]
Change = Annotated[
    str, typer.Option(metavar="FILE", help="YAML (path, value) in place of the request; -: standard input.")
]


def _answer(verb: str, name: str, identity: str = "", *options: str) -> int:
    from dashboard.__main__ import main

    return main([verb, "-s", name, *options, *(["--", identity] if identity else [])])


def _terms(limit: str, change: str) -> list[str]:
    file = change if change in ("", "-") else str(given_path(change))
    return [*([f"--for={limit}"] if limit else []), *([f"--change={file}"] if file else [])]


@app.command("list", epilog="Example: bottle ask list demo --json")
def list_(name: Name, as_json: Json = False) -> int:
    """List the proposals of a bottle, pending and decided."""
    if not as_json:
        return _answer("list", name)
    from dashboard.shown import proposals

    print_json(proposals(name, Path.cwd()))
    return DONE


@app.command(epilog="Example: bottle ask show demo p-0123456789")
def show(name: Name, identity: Id, page: Annotated[int, typer.Option(min=1, help="Of the content.")] = 1) -> int:
    """Show one proposal: who asks, why, what the agent would gain, the change of the stack file."""
    return _answer("show", name, identity, f"--page={page}")


@app.command(epilog="Example: bottle ask preview demo p-0123456789 --for 2h")
def preview(name: Name, identity: Id, limit: Limit = "", change: Change = "") -> int:
    """Show what approving would do; nothing is changed."""
    return _answer("preview", name, identity, *_terms(limit, change))


@app.command(epilog='Example: bottle ask approve demo p-0123456789 -m "the api only" --for 2h')
def approve(
    name: Name,
    identity: Id,
    message: Words = "",
    limit: Limit = "",
    edit: Annotated[bool, typer.Option("--edit", help="Edit the request in $EDITOR first.")] = False,
    change: Change = "",
    others: Annotated[bool, typer.Option("--others", help="Also apply the other changes that wait.")] = False,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Approve although not all of the content was shown.")
    ] = False,
) -> int:
    """Approve a proposal: change the stack file, bring it up, then tell the agent."""
    if edit and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise typer.BadParameter("--edit needs a terminal; give the change with --change FILE")
    flags = [flag for flag, given in (("--edit", edit), ("--others", others), ("--unseen", unseen)) if given]
    return _answer("approve", name, identity, f"--message={message}", *_terms(limit, change), *flags)


@app.command(epilog='Example: bottle ask reject demo p-0123456789 -m "use the mirror"')
def reject(name: Name, identity: Id, message: Words = "") -> int:
    """Reject a proposal, and tell the agent why."""
    return _answer("reject", name, identity, f"--message={message}")
