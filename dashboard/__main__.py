"""`python -m dashboard list|show|approve|reject`: what agents ask for, and the owner's answers."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from components.change import Change, ChangeError
from components.errors import BottleError, printable
from dashboard.approval import Approval, Inbox
from sidecar_images.supervise.proposals import Proposal


def line(proposal: Proposal) -> str:
    """One proposal in a list."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(proposal.created))
    return f"{proposal.id}  {when}  {proposal.verdict:<8}  {gain(proposal)}"


def gain(proposal: Proposal) -> str:
    """What the agent would gain, or why that cannot be said."""
    try:
        return printable(Change.read(proposal.change).in_words())
    except ChangeError as error:
        return f"not valid: {printable(str(error))}"


def show(approval: Approval, proposal: Proposal) -> str:
    """Everything about one proposal."""
    parts = [line(proposal), f"asked with {printable(proposal.tool)}; the agent says:", printable(proposal.words), ""]
    if proposal.verdict == "pending":
        parts.append(approval.diff(proposal))
    elif proposal.reply:
        parts.append(f"you said: {proposal.reply}")
    return "\n".join(parts)


def pulumi_up(stack: str, project: Path) -> None:
    """Apply the stack file, its progress on the terminal. Raises BottleError when it fails."""
    argv = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", stack]
    if subprocess.run(argv, cwd=project, check=False).returncode != 0:
        raise BottleError("pulumi up failed (see above); the stack file is as it was, the proposal still pending")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m dashboard", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for verb, help_text in (
        ("list", "all proposals of a stack"),
        ("show", "one proposal, with the change of the stack file"),
        ("approve", "make the change, apply it, then tell the agent"),
        ("reject", "say no"),
    ):
        command = commands.add_parser(verb, help=help_text)
        command.add_argument("-s", "--stack", required=True)
        if verb != "list":
            command.add_argument("id")
        if verb in ("approve", "reject"):
            command.add_argument("-m", "--message", default="", help="words for the agent")
    args = parser.parse_args()
    project = Path.cwd()
    approval = Approval(args.stack, project, Inbox(args.stack), lambda: pulumi_up(args.stack, project))
    try:
        if args.command == "list":
            print("\n".join(line(proposal) for proposal in approval.inbox.all()) or "no proposals")
        elif args.command == "show":
            print(show(approval, approval.inbox.get(args.id)))
        elif args.command == "approve":
            approval.approve(args.id, args.message)
            print(f"{args.id} approved; the agent knows")
        else:
            approval.reject(args.id, args.message)
            print(f"{args.id} rejected; the agent knows")
    except BottleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
