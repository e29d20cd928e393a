"""`python -m dashboard`: what agents ask for, and the owner's answers, on a page or on the terminal."""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.cells import chop_cells

from claude_bottle.approvals.approval import Approval, WaitingError
from claude_bottle.approvals.asking import TOOL
from claude_bottle.approvals.audit.collect import collect
from claude_bottle.approvals.audit.log import Audit, summary
from claude_bottle.approvals.held import HeldContent
from claude_bottle.approvals.resume import is_running, resume_command
from claude_bottle.approvals.terms import as_yaml, from_yaml, gain, seconds, stack_name
from claude_bottle.engines.chosen import open_client
from claude_bottle.host.stack_names import must_be_known, must_be_remembered
from claude_bottle.manifest.change import Change
from claude_bottle.policy.errors import BottleError, printable
from claude_bottle.policy.own_command import own_command
from claude_bottle.policy.proposals import PENDING, Proposal
from claude_bottle.runs.automation import Apply

PORT = 7690


_QUOTE = "  | "


def quoted(text: str) -> str:
    """An agent's words, each row prefixed, because they could imitate the lines of this program."""
    width = max(20, shutil.get_terminal_size().columns - len(_QUOTE))
    rows = (row for line in printable(text).split("\n") for row in chop_cells(line, width) or [""])
    return "\n".join(_QUOTE + row for row in rows)


def line(approval: Approval, proposal: Proposal) -> str:
    """One proposal as a line of a list."""
    when = time.strftime("%Y-%m-%d %H:%M%z", time.localtime(proposal.created))
    return f"{proposal.id}  {when}  {proposal.verdict:<8}  {approval.gain(proposal)}"


def show(approval: Approval, proposal: Proposal, page: int = 1) -> str:
    """Everything about one proposal, with one page of the content that it would let through."""
    parts = [
        line(approval, proposal),
        "a request waits:" if proposal.tool == TOOL else f"asked with {printable(proposal.tool)}; the agent says:",
        quoted(proposal.words),
        "",
    ]
    if proposal.request:
        request = ", ".join(f"{key} {value}" for key, value in proposal.request.items())
        parts += ["the refused request, as the agent reports it:", quoted(request), ""]
    if proposal.verdict == PENDING:
        change = approval.change(proposal)
        if change.grants:
            parts.append(
                content(HeldContent(approval.inbox, approval.stack, change), page, approval.stack, proposal.id)
            )
        try:
            parts += [f"note: {printable(note)}" for note in approval.notes(proposal, change)]
            parts.append(printable(approval.diff(change)))
        except BottleError as error:
            parts.append(printable(str(error)))
    elif proposal.reply:
        parts.append(f"you said: {proposal.reply}")
    if proposal.note:
        parts.append(printable(proposal.note))
    begun = approval.desk.begun()
    if begun is not None and begun.id == proposal.id:
        parts.append("approval interrupted or still running: `approve` resumes it, `reject` rolls it back")
    return "\n".join(parts)


def content(held: HeldContent, page: int, stack: str, identity: str) -> str:
    """A page of the content that a sidecar holds for a verdict, and how much has not been shown."""
    try:
        view = held.show(page)
    except BottleError as error:
        return str(error)
    own, theirs = ("what", "why"), ("headers", "text")
    parts = [str(view[key]) for key in own if key in view] + [quoted(str(view[key])) for key in theirs if key in view]
    if view["pages"] > 1:
        parts.append(
            f"-- page {page} of {view['pages']}; another one: {own_command(f'ask show {stack} {identity} --page N')}"
        )
    if view["unseen"]["count"]:
        parts.append(f"-- {view['unseen']['text']} have not been shown to you")
    return "\n".join(parts)


def edited(change: Change) -> Any:
    """The change from the owner's editor. Raises BottleError, also without a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BottleError("--edit needs a terminal; give the change with --change FILE (YAML: path, value)")
    with tempfile.NamedTemporaryFile("w+", suffix=".yaml") as file:
        file.write(as_yaml(change))
        file.flush()
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        if subprocess.run([*shlex.split(editor), file.name], check=False).returncode != 0:
            raise BottleError("the editor failed; nothing was changed")
        return from_yaml(Path(file.name).read_text())


def given(file: str) -> Any:
    """The change of --change, from a file or, for "-", from standard input. Raises BottleError, OSError."""
    return from_yaml(sys.stdin.read() if file == "-" else Path(file).read_text())


def _ask(args: argparse.Namespace, verb: str) -> str:
    return own_command(f"ask {verb} {args.stack} {args.id}")


def approve(approval: Approval, args: argparse.Namespace) -> None:
    edit = None
    if args.change:
        edit = given(args.change)
    elif args.edit:
        edit = edited(approval.change(approval.inbox.get(args.id)))
    change = approval.change(approval.inbox.get(args.id), edit, seconds(args.duration))
    if change.grants:
        try:
            HeldContent(approval.inbox, approval.stack, change).must_be_seen(None if args.unseen else 0)
        except BottleError as error:
            raise BottleError(f"{error}: {_ask(args, 'show')} --page N, or {_ask(args, 'approve')} --unseen") from None
    try:
        approval.approve(args.id, args.message, edit, seconds(args.duration), others=args.others)
    except WaitingError as error:
        raise BottleError(f"{error}\nto apply it too: {_ask(args, 'approve')} --others") from None


def resume(stack: str, project: Path) -> str:
    """Bring the agent up if it is not running. Returns the command that continues. Raises BottleError."""
    if not is_running(stack, project):
        print(f"the agent of {stack} is not running; bringing it up", file=sys.stderr)
        Apply(stack, project).up(lambda text: print(text, file=sys.stderr))
    return resume_command(stack, project)


def take_over(stack: str, project: Path) -> None:
    """Bring the audit log up to date before it is read. If a sidecar does not answer, only report it."""
    try:
        collect(stack, project)
    except BottleError as error:
        print(f"only the records collected earlier are shown: {printable(str(error))}", file=sys.stderr)


def audit(args: argparse.Namespace, project: Path) -> None:
    log, taken = Audit(args.stack), 0
    if args.what == "last":  # once the agent is stopped, no more records are made
        open_client(args.stack, project).stop("agent", 2)
    if args.what in ("collect", "last"):
        taken = collect(args.stack, project)
    else:
        take_over(args.stack, project)
    if args.what in ("collect", "last"):
        print(f"{taken} records of {args.stack} collected into {log.file}")
    elif args.what == "show":
        print("\n".join(summary(log.records())) or "nothing is recorded")
    else:
        count, head = log.verify()
        print(f"{log.file}: {count} records, the chain is intact; its head: {head}")


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    root = argparse.ArgumentParser(prog="python -m dashboard", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)

    def add(verb: str, text: str, *, one: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(verb, help=text, description=text)
        command.add_argument("-s", "--stack", required=True)
        if one:
            command.add_argument("id", help="of the proposal, as list prints it")
        return command

    serve = commands.add_parser("serve", help="the page, on loopback; prints the address to open")
    serve.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: a free one")
    add("list", "all proposals of a stack")
    look = add("show", "one proposal, with the change of the stack file", one=True)
    look.add_argument("--page", type=int, default=1, metavar="N", help="page of its content; default 1")
    preview = add("preview", "what pulumi up would do, once approved", one=True)
    yes = add("approve", "make the change, apply it, then tell the agent", one=True)
    for command in (yes, preview):
        command.add_argument("--for", dest="duration", default="", metavar="2h", help="for a limited time: 30m, 2h, 1d")
        command.add_argument("--change", metavar="FILE", help="YAML (path, value) in place of the request; -: stdin")
    yes.add_argument("--edit", action="store_true", help="edit the request in $EDITOR first")
    yes.add_argument("--others", action="store_true", help="also apply the other changes that wait")
    yes.add_argument("--unseen", action="store_true", help="approve although not all of the content has been shown")
    no = add("reject", "reject a proposal, and tell the agent", one=True)
    for command in (yes, no):
        command.add_argument("-m", "--message", default="", help="words for the agent")
    add("resume", "print the command that continues the agent's conversation")
    log = add("audit", "the record of every decision")
    log.add_argument(
        "what",
        choices=("collect", "last", "verify", "show"),
        help="collect the records of the parts; stop the agent and collect the last ones; check the chain; print all",
    )
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    args, project = parser().parse_args(argv), Path.cwd()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold tokens
    try:
        if args.command == "serve":
            from dashboard.server import serve  # importing it takes half a second

            return serve(project, args.port)
        stack_name(args.stack)
        (must_be_remembered if args.command == "audit" else must_be_known)(args.stack)
        if args.command == "resume":
            print(resume(args.stack, project))
        elif args.command == "audit":
            audit(args, project)
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
    """The commands about proposals."""
    if args.command == "list":
        print("\n".join(line(approval, proposal) for proposal in approval.inbox.all()) or "no proposals")
    elif args.command == "show":
        print(show(approval, approval.inbox.get(args.id), args.page))
    elif args.command == "preview":
        edit = given(args.change) if args.change else None
        proposal = approval.inbox.get(args.id)
        change = approval.change(proposal, edit, seconds(args.duration))
        notes, preview = approval.notes(proposal, change), approval.preview(change)
        lines = [gain(change), *(f"note: {note}" for note in notes), *preview.gains, *preview.steps]
        print(printable("\n".join(lines)))
    elif args.command == "approve":
        approve(approval, args)
    else:
        approval.reject(args.id, args.message)
        print(f"{args.id} rejected; the agent was notified")


if __name__ == "__main__":
    sys.exit(main())
