"""Commands for proposals of agents, and the owner's answers."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from claude_bottle.cli.common import DONE, Json, given_path, print_json
from claude_bottle.cli.names import Name
from claude_bottle.policy.own_command import own_command

if TYPE_CHECKING:
    from claude_bottle.approvals.approval import Approval
    from claude_bottle.manifest.change import Change

app = typer.Typer(no_args_is_help=True, help="See what the agent requests, and answer it.")

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the proposal, as `bottle ask list` prints it.")]
Words = Annotated[str, typer.Option("--message", "-m", help="Words for the agent.")]
Limit = Annotated[str, typer.Option("--for", metavar="2h", help="For a limited time: 30m, 2h, 1d.")]
ChangeFile = Annotated[
    str, typer.Option(metavar="FILE", help="YAML (path, value) in place of the request; -: standard input.")
]


def _approval(name: str) -> Approval:
    from claude_bottle.approvals.approval import Approval
    from claude_bottle.policy.errors import printable

    return Approval.of(name, Path.cwd(), tell=lambda text: print(printable(text), flush=True))


def _given(file: str) -> object:
    """The change from a file or, for "-", from standard input; None without one. Raises BottleError, OSError."""
    from claude_bottle.approvals.owner_input import from_yaml

    if not file:
        return None
    return from_yaml(sys.stdin.read() if file == "-" else given_path(file).read_text())


@app.command("list", epilog="Example: bottle ask list demo --json")
def list_(name: Name, as_json: Json = False) -> int:
    """List the proposals of a bottle, pending and decided."""
    if as_json:
        from dashboard.shown import proposals

        print_json(proposals(name, Path.cwd()))
        return DONE
    from claude_bottle.cli.proposal_text import line

    approval = _approval(name)
    print("\n".join(line(approval, proposal) for proposal in approval.inbox.all()) or "no proposals")
    return DONE


@app.command(epilog="Example: bottle ask show demo p-0123456789")
def show(name: Name, identity: Id, page: Annotated[int, typer.Option(min=1, help="Of the content.")] = 1) -> int:
    """Show one proposal: who asks, why, what the agent would gain, the change of the stack file."""
    from claude_bottle.cli import proposal_text

    approval = _approval(name)
    print(proposal_text.show(approval, approval.inbox.get(identity), page))
    return DONE


@app.command(epilog="Example: bottle ask preview demo p-0123456789 --for 2h")
def preview(name: Name, identity: Id, limit: Limit = "", change: ChangeFile = "") -> int:
    """Show what approving would do; nothing is changed."""
    from claude_bottle.approvals.owner_input import gain, seconds
    from claude_bottle.policy.errors import printable

    approval = _approval(name)
    proposal = approval.inbox.get(identity)
    wanted = approval.change(proposal, _given(change), seconds(limit))
    notes, previewed = approval.notes(proposal, wanted), approval.preview(wanted)
    lines = [gain(wanted), *(f"note: {note}" for note in notes), *previewed.gains, *previewed.steps]
    print(printable("\n".join(lines)))
    return DONE


@app.command(epilog='Example: bottle ask approve demo p-0123456789 -m "the api only" --for 2h')
def approve(
    name: Name,
    identity: Id,
    message: Words = "",
    limit: Limit = "",
    edit: Annotated[bool, typer.Option("--edit", help="Edit the request in $EDITOR first.")] = False,
    change: ChangeFile = "",
    others: Annotated[bool, typer.Option("--others", help="Also apply the other changes that wait.")] = False,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Approve although not all of the content was shown.")
    ] = False,
) -> int:
    """Approve a proposal: change the stack file, bring it up, then tell the agent."""
    if edit and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise typer.BadParameter("--edit needs a terminal; give the change with --change FILE")
    from claude_bottle.approvals.owner_input import seconds

    approval, given = _approval(name), _given(change)
    if edit and given is None:
        given = edited(approval.change(approval.inbox.get(identity)))
    approve_seen(approval, identity, message, given, seconds(limit), others=others, unseen=unseen)
    return DONE


def edited(change: Change) -> object:
    """The change from the owner's editor. Raises BottleError, also without a terminal."""
    from claude_bottle.approvals.owner_input import as_yaml, from_yaml
    from claude_bottle.policy.errors import BottleError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BottleError("--edit needs a terminal; give the change with --change FILE (YAML: path, value)")
    with tempfile.NamedTemporaryFile("w+", suffix=".yaml") as file:
        file.write(as_yaml(change))
        file.flush()
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        if subprocess.run([*shlex.split(editor), file.name], check=False).returncode != 0:
            raise BottleError("the editor failed; nothing was changed")
        return from_yaml(Path(file.name).read_text())


def approve_seen(
    approval: Approval, identity: str, message: str, edit: object, seconds: int, *, others: bool, unseen: bool
) -> None:
    """Approve a proposal whose whole content was shown. edit, seconds: as Approval.approve gets them.

    others: also apply other changes that wait. unseen: also if not all of the content was shown. Raises BottleError.
    """
    from claude_bottle.approvals.approval import WaitingError
    from claude_bottle.approvals.held import HeldContent
    from claude_bottle.policy.errors import BottleError

    stack, change = approval.stack, approval.change(approval.inbox.get(identity), edit, seconds)
    if change.grants:
        try:
            HeldContent(approval.inbox, stack, change).must_be_seen(None if unseen else 0)
        except BottleError as error:
            look, again = own_command(f"ask show {stack} {identity}"), own_command(f"ask approve {stack} {identity}")
            raise BottleError(f"{error}: {look} --page N, or {again} --unseen") from None
    try:
        approval.approve(identity, message, edit, seconds, others=others)
    except WaitingError as error:
        again = own_command(f"ask approve {stack} {identity}")
        raise BottleError(f"{error}\nto apply it too: {again} --others") from None


@app.command(epilog='Example: bottle ask reject demo p-0123456789 -m "use the mirror"')
def reject(name: Name, identity: Id, message: Words = "") -> int:
    """Reject a proposal, and tell the agent why."""
    _approval(name).reject(identity, message)
    print(f"{identity} rejected; the agent was notified")
    return DONE
