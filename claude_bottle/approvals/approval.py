"""The owner's verdicts. A proposal becomes an edit of the stack file and an `up`, and is answered only after that.

Tool, words, request and change of a proposal come from the agent, so they are not trusted where they are shown. Every
step can be repeated: an interrupted approval resumes where it stopped, and nothing is done twice.
"""

from __future__ import annotations

import contextlib
import difflib
import getpass
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claude_bottle.approvals.audit.log import Audit
from claude_bottle.approvals.edit.outcome import notes, why_refused
from claude_bottle.approvals.edit.route_edit import ROUTES, named
from claude_bottle.approvals.edit.stack_file import StackFile, bottle_of, changed
from claude_bottle.approvals.inbox import Inbox
from claude_bottle.approvals.journal import ApprovalInProgress, ApprovalJournal
from claude_bottle.approvals.owner_input import gain
from claude_bottle.manifest.change import Change, ChangeError
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.model_api import BRIEF
from claude_bottle.policy.no_approval import instead
from claude_bottle.policy.own_command import own_command
from claude_bottle.policy.proposals import APPROVED, PENDING, REJECTED, STILL_REFUSED, Proposal
from claude_bottle.policy.replay import can_be_replayed
from claude_bottle.policy.routes.expiry import write_until
from claude_bottle.runs.automation import BusyError, Previewed, StackRunner

PATIENCE = 90.0  # seconds to wait for another `up`, such as one for a route that has expired


ON_PAGE = "page"  # `where` of an approval that does not come from a shell of the owner's

# The start of a refusal because `up` would apply more than the approved change. The page recognises it by this text.
WAITS = "Something else waits to be applied, and this would apply it too. Bring that up first, or confirm it:"


class WaitingError(BottleError):
    """Nothing was done, because `up` would apply more than intended. The message lists what."""


def _quiet(_: str) -> None:
    return None


@dataclass
class Approval:
    """Answers the proposals of one stack. tell: gets a line for each event."""

    stack: str
    project: Path
    inbox: Inbox
    runner: StackRunner
    audit: Audit
    journal: ApprovalJournal
    tell: Callable[[str], None] = _quiet
    where: str = "terminal"
    who: str = field(default_factory=getpass.getuser)

    @classmethod
    def of(cls, stack: str, project: Path, **more: Any) -> Approval:
        """For a stack of this project. Raises BottleError if there is no such stack."""
        StackFile.of(stack, project)
        inbox, runner = Inbox(stack, project), StackRunner(stack, project)
        return cls(stack, project, inbox, runner, Audit(stack), ApprovalJournal(stack), **more)

    def diff(self, change: Change) -> str:
        """The change as a diff of the stack file; empty if it does not edit the file."""
        before, after = self._texts(change)
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "now", "approved", lineterm="", n=2)
        return "\n".join(lines)

    def gain(self, proposal: Proposal) -> str:
        """What the agent would gain, in plain words. For a pending proposal that includes the credential."""
        try:
            return gain(self.change(proposal) if proposal.verdict == PENDING else proposal.change)
        except BottleError:
            return gain(proposal.change)

    def notes(self, proposal: Proposal, change: Change) -> list[str]:
        """Remarks for the owner before the change is made, a line each. Raises BottleError."""
        before, after = self._texts(change)
        remarks = notes(bottle_of(before), change)
        why = why_refused(bottle_of(after), change, proposal.request)
        return [*remarks, *([f"this change does not allow the refused request: {why}"] if why else [])]

    def preview(self, change: Change) -> Previewed:
        """What `pulumi up` would do. Changes nothing. Raises BottleError with all problems."""
        before, after = self._texts(change)
        return Previewed([], []) if before == after else self.runner.preview(after)

    def change(self, proposal: Proposal, edit: object = None, seconds: int = 0) -> Change:
        """The change to make. edit: path and value that replace the agent's. seconds: how long it lasts; 0: no end.

        The sidecar's answer is validated again here. An agent's route gets the credential of the routes around it, by
        name. An owner's edit gets only the credential that it names. Raises BottleError.
        """
        try:
            change = Change.read(proposal.change) if edit is None else Change.read(edit, owner=True)
            if change.path == ROUTES and edit is None:
                change = named(bottle_of(StackFile.of(self.stack, self.project).read()), change)
            elif change.path == ROUTES:
                change = change.with_value({"token_ref": None, **change.value})
            return change.ending(write_until(time.time() + seconds)) if seconds else change
        except ChangeError as error:
            raise BottleError(f"{proposal.id} asks for something that cannot be granted: {error}") from None

    def approve(
        self,
        identity: str,
        reply: str,
        edit: object = None,
        seconds: int = 0,
        patience: float = PATIENCE,
        others: bool = False,
    ) -> str:
        """Edit the stack file, apply, replay and answer. Returns the note that the agent gets with the reply.

        If `up` fails, file and bottle are rolled back as far as possible, the proposal stays pending, and the error
        says what was rolled back. others: whether other pending changes may be applied too; if not, they raise
        WaitingError. Raises BottleError.
        """
        with self.journal.lock(patience):
            proposal, started = self.inbox.get(identity), self.journal.in_progress()
            if started is not None and started.id != identity:
                raise BottleError(f"the approval of {started.id} was interrupted; approve or reject that one first")
            if proposal.verdict != PENDING:
                if started is not None:
                    self.journal.end()  # interrupted after its answer
                raise BottleError(f"{identity} is already {proposal.verdict}")
            if started is None:
                change = self.change(proposal, edit, seconds)
                before, after = self._texts(change)
                if change.grants is None:
                    self.nothing_else_waits(others=others)
                who = f"{self.who} ({self.where})"
                started = ApprovalInProgress(identity, change.to_json(), reply, who, before, after)
                self._record("approving", started)
                self.journal.begin(started)
            else:
                self.tell(f"{identity}: resuming the interrupted approval")
            return self._carry_out(proposal, started)

    def nothing_else_waits(self, *, others: bool = False) -> None:
        """Raises WaitingError if `up` would do anything with the unedited stack file.

        others: other changes are allowed. On a page, a changed token raises BottleError even then, because the page has
        the environment of its start, and a token that was rotated since would be set back.
        """
        if others and self.where != ON_PAGE:
            return
        preview = self.runner.preview(StackFile.of(self.stack, self.project).read())
        if self.where == ON_PAGE and preview.secrets:
            tokens = "\n".join(preview.secrets)
            raise BottleError(
                f"A token cannot be changed from the page. Run {own_command(f'up {self.stack}')}, then start the page"
                f" again:\n{tokens}"
            )
        if others:
            return
        if lines := [*preview.gains, *(f"pulumi: {step}" for step in preview.steps)]:
            raise WaitingError(f"{WAITS}\n" + "\n".join(lines))

    def reject(self, identity: str, reply: str) -> None:
        """Reject, with the owner's words. The effects of an interrupted approval are rolled back first."""
        with self.journal.lock(PATIENCE):
            proposal, started = self.inbox.get(identity), self.journal.in_progress()
            if proposal.verdict != PENDING:
                raise BottleError(f"{identity} is already {proposal.verdict}")
            if started is not None and started.id == identity:
                self._take_back(started)
            event = {"event": REJECTED, "id": identity, "who": f"{self.who} ({self.where})", "reply": reply}
            if not self.audit.has(REJECTED, identity, proposal.created):
                self.audit.append({**event, "change": proposal.change})
            self.inbox.decide(identity, REJECTED, reply)
            if proposal.change.get("path") == "pipelock.once":
                with contextlib.suppress(BottleError):  # no longer held, or the sidecar is gone
                    self.inbox.decline("pipelock", str(proposal.change["value"]))

    def resume_interrupted(self) -> str | None:
        """Resume the interrupted approval and return its id; None if there is none."""
        started = self.journal.in_progress()
        if started is None:
            return None
        proposal = self.inbox.get(started.id)
        if proposal.verdict == PENDING:
            self.approve(started.id, started.reply, patience=0)
        else:
            self.journal.end()
        return started.id

    def _carry_out(self, proposal: Proposal, started: ApprovalInProgress) -> str:
        change = Change.read(started.change, owner=True)
        if change.grants is not None:
            try:
                self.inbox.grant(change.grants, str(change.value), proposal.id)
            except BottleError:
                self.journal.end()
                raise
            note = ""
        else:
            self._apply(proposal, started)
            note = self._outcome(proposal, change)
        if not self.audit.has(APPROVED, proposal.id, proposal.created):
            self._record(APPROVED, started, note=note)
        try:
            self.inbox.decide(proposal.id, APPROVED, started.reply, note)
        except BottleError as error:
            raise BottleError(f"the approval is in force, but the agent could not be told: {error}") from None
        self.journal.end()
        self.tell(f"{proposal.id} approved; the agent was notified. {note}".rstrip())
        return note

    def _apply(self, proposal: Proposal, started: ApprovalInProgress) -> None:
        file = StackFile.of(self.stack, self.project)
        if started.before != started.after and file.read() != started.after:
            try:
                file.replace(started.before, started.after)
            except BottleError:
                self.journal.end()  # nothing was changed
                raise
        self.tell(f"{file.path.name} edited; pulumi up")
        with contextlib.suppress(BottleError):
            self.inbox.note(proposal.id, "The owner has approved; it is being applied.")
        try:
            self.runner.up(self.tell)
        except BusyError as error:
            raise BottleError(
                f"{error}; the approval of {proposal.id} is not finished: approve it again to resume it"
            ) from None
        except BottleError as error:
            self._record("failed", started, error=str(error)[:2000])
            taken_back = self._take_back(started)
            with contextlib.suppress(BottleError):
                self.inbox.note(proposal.id, "The owner has approved, but applying it failed; the owner was notified.")
            raise BottleError(f"{error}\n{taken_back}; {proposal.id} is still pending") from None

    def _take_back(self, started: ApprovalInProgress) -> str:
        """Roll back the file and the bottle. Returns what was rolled back, in words."""
        file = StackFile.of(self.stack, self.project)
        again = own_command(f"up {self.stack}")
        if started.before != started.after and file.read() == started.after:
            file.replace(started.after, started.before)
        elif file.read() != started.before:
            self.journal.end()
            return f"the stack file was edited in the meantime and is left unchanged; check it, then: {again}"
        self.tell("the stack file is restored; rolling back the bottle")
        try:
            self.runner.up(self.tell)
        except BottleError as error:
            self.journal.end()
            return (
                f"the stack file is restored, but the bottle may be partly changed: {error}\nonce that is fixed:"
                f" {again}"
            )
        self.journal.end()
        return "the stack file and the bottle were rolled back"

    def _outcome(self, proposal: Proposal, change: Change) -> str:
        """Whether the refused request passes now: by a retry where that is safe, else by the route table."""
        why = why_refused(bottle_of(StackFile.of(self.stack, self.project).read()), change, proposal.request)
        if why:
            return f"{STILL_REFUSED} {why}"
        if not can_be_replayed(proposal.request):
            return ""
        request = f"{proposal.request['method']} {proposal.request['host']}"
        try:
            answer = self.inbox.replay(proposal.request)
        except BottleError:
            return ""
        if reason := str(answer.get("reason") or ""):
            way = instead(reason)
            if reason in BRIEF:  # not about the change
                return f"The refused request was retried ({request}) and refused for the moment: {reason}; {way}."
            return f"{STILL_REFUSED} a retry ({request}) was refused: {reason}{f'; {way}' if way else ''}."
        if answer.get("error"):
            return f"The refused request was retried ({request}): {answer['error']}."
        return f"The refused request was retried ({request}): it passes, status {answer['status']}."

    def _texts(self, change: Change) -> tuple[str, str]:
        before = StackFile.of(self.stack, self.project).read()
        return before, before if change.grants else changed(before, change)

    def _record(self, event: str, started: ApprovalInProgress, **more: object) -> None:
        texts = {"before": started.before, "after": started.after}
        digests = {age: hashlib.sha256(text.encode()).hexdigest() for age, text in texts.items()}
        record = {
            "event": event,
            "id": started.id,
            "who": started.who,
            "change": started.change,
            "reply": started.reply,
        }
        self.audit.append({**record, "file": digests, **more})
