"""`python -m dashboard`: what agents ask for, and the owner's answers, on a page or on the terminal."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.change import Change
from components.errors import BottleError, printable
from dashboard.apply import Apply
from dashboard.approval import Approval
from dashboard.audit import Audit, summary
from dashboard.resume import is_running, resume_command
from dashboard.terms import as_yaml, from_yaml, gain, seconds, stack_name
from sidecar_images.supervise.proposals import PENDING, Proposal

PORT = 7690


def line(proposal: Proposal) -> str:
    """One proposal in a list."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(proposal.created))
    return f"{proposal.id}  {when}  {proposal.verdict:<8}  {gain(proposal.change)}"


def show(approval: Approval, proposal: Proposal) -> str:
    """Everything about one proposal."""
    parts = [line(proposal), f"asked with {printable(proposal.tool)}; the agent says:", printable(proposal.words), ""]
    if proposal.request:
        told = ", ".join(f"{key} {value}" for key, value in proposal.request.items())
        parts += [f"the refused request, as the agent tells it: {printable(told)}", ""]
    if proposal.verdict == PENDING:
        change = approval.change(proposal)
        if change.grants:
            parts.append(content(approval.inbox.held(change.grants, str(change.value))))
        parts.append(approval.diff(change))
    elif proposal.reply:
        parts.append(f"you said: {proposal.reply}")
    if proposal.note:
        parts.append(printable(proposal.note))
    begun = approval.desk.begun()
    if begun is not None and begun.id == proposal.id:
        parts.append("its approval was cut off, or is at work: approve goes on with it, reject takes it back")
    return "\n".join(parts)


def content(held: dict[str, Any] | None) -> str:
    """What a part holds for a verdict."""
    if held is None:
        return "this content is not held any more; let the agent try again, and ask again"
    return printable("\n".join(str(held[key]) for key in ("what", "why", "excerpt") if key in held))


def edited(change: Change) -> Any:
    """The change as the owner's editor gives it back."""
    with tempfile.NamedTemporaryFile("w+", suffix=".yaml") as file:
        file.write(as_yaml(change))
        file.flush()
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        if subprocess.run([*shlex.split(editor), file.name], check=False).returncode != 0:
            raise BottleError("the editor ended with an error; nothing was done")
        return from_yaml(Path(file.name).read_text())


def approve(approval: Approval, args: argparse.Namespace) -> None:
    edit = None
    if args.change:
        edit = from_yaml(sys.stdin.read() if args.change == "-" else Path(args.change).read_text())
    elif args.edit:
        edit = edited(approval.change(approval.inbox.get(args.id)))
    approval.approve(args.id, args.message, edit, seconds(args.duration))


def resume(stack: str, project: Path) -> None:
    """Bring the agent up where it is not, and print how to go on."""
    if not is_running(stack, project):
        print(f"the agent of {stack} is not running; pulumi up", file=sys.stderr)
        Apply(stack, project).up(lambda text: print(text, file=sys.stderr))
    print(resume_command(stack, project))


def audit(args: argparse.Namespace) -> None:
    log = Audit(args.stack)
    if args.what == "show":
        print("\n".join(summary(log.records())) or "nothing is recorded")
    else:
        count, head = log.verify()
        print(f"{log.file}: {count} records, the chain holds; its head: {head}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m dashboard", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)

    def add(verb: str, text: str, *, one: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(verb, help=text, description=text)
        command.add_argument("-s", "--stack", required=True)
        if one:
            command.add_argument("id", help="of the proposal, as list prints it")
        return command

    serve = commands.add_parser("serve", help="the page, on loopback; prints the address to open")
    serve.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: a free one")
    add("list", "all proposals of a stack")
    add("show", "one proposal, with the change of the stack file", one=True)
    preview = add("preview", "what pulumi up would do, once approved", one=True)
    yes = add("approve", "make the change, apply it, then tell the agent", one=True)
    for command in (yes, preview):
        command.add_argument("--for", dest="duration", default="", metavar="2h", help="for a limited time: 30m, 2h, 1d")
        command.add_argument("--change", metavar="FILE", help="YAML (path, value) in place of what was asked; -: stdin")
    yes.add_argument("--edit", action="store_true", help="edit what was asked for in $EDITOR first")
    no = add("reject", "say no", one=True)
    for command in (yes, no):
        command.add_argument("-m", "--message", default="", help="words for the agent")
    add("resume", "print the command that continues the agent's conversation")
    log = add("audit", "the record of every decision")
    log.add_argument("what", choices=("verify", "show"))
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    args, project = parser().parse_args(argv), Path.cwd()
    try:
        if args.command == "serve":
            from dashboard.server import serve  # it brings half a second of imports

            return serve(project, args.port)
        stack_name(args.stack)
        if args.command == "resume":
            resume(args.stack, project)
        elif args.command == "audit":
            audit(args)
        else:
            answer(args, Approval.of(args.stack, project, tell=lambda text: print(printable(text), flush=True)))
    except BottleError as error:
        print(printable(str(error)), file=sys.stderr)
        return 1
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return 1
    return 0


def answer(args: argparse.Namespace, approval: Approval) -> None:
    """The verbs that are about proposals."""
    if args.command == "list":
        print("\n".join(line(proposal) for proposal in approval.inbox.all()) or "no proposals")
    elif args.command == "show":
        print(show(approval, approval.inbox.get(args.id)))
    elif args.command == "preview":
        edit = from_yaml(Path(args.change).read_text()) if args.change else None
        change = approval.change(approval.inbox.get(args.id), edit, seconds(args.duration))
        found = approval.preview(change)
        print("\n".join([gain(change), *found.gains, *found.steps]))
    elif args.command == "approve":
        approve(approval, args)
    else:
        approval.reject(args.id, args.message)
        print(f"{args.id} rejected; the agent knows")


if __name__ == "__main__":
    sys.exit(main())
