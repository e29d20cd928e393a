"""Verdicts of the owner: a proposal becomes an edit of the stack file and an `up`, and only then an answer.

Tool, words and change of a proposal are the agent's, so not to be trusted where they are shown.
"""

from __future__ import annotations

import difflib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.change import Change, ChangeError
from components.errors import BottleError
from components.naming import docker_name
from dashboard.stack_file import StackFile, changed
from sidecar_images.supervise.proposals import Proposal


class Inbox:
    """The proposals of one stack, read and decided by `docker exec`: the agent's network has no way to do so."""

    def __init__(self, stack: str) -> None:
        self._container = docker_name("supervise", stack)

    def all(self) -> list[Proposal]:
        """Oldest first. Raises BottleError when supervise is not there."""
        return [Proposal(**told) for told in json.loads(self._run("list"))]

    def get(self, identity: str) -> Proposal:
        """Raises BottleError when there is none of that id."""
        for proposal in self.all():
            if proposal.id == identity:
                return proposal
        raise BottleError(f"{identity}: no such proposal")

    def decide(self, identity: str, verdict: str, reply: str) -> None:
        """Raises BottleError when it is not pending any more."""
        self._run("decide", json.dumps({"id": identity, "verdict": verdict, "reply": reply}))

    def _run(self, verb: str, stdin: str = "") -> str:
        argv = ["docker", "exec", "-i", self._container, "python3", "-m", "supervise.decide", verb]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BottleError((done.stderr.strip().splitlines() or ["supervise does not answer"])[-1])
        return done.stdout


@dataclass
class Approval:
    """One proposal on its way into the bottle. up: applies the stack file, raises BottleError when it fails."""

    stack: str
    project: Path
    inbox: Inbox
    up: Callable[[], None]

    def diff(self, proposal: Proposal) -> str:
        """What approving would change in the stack file."""
        file = StackFile.of(self.stack, self.project)
        before = file.read()
        after = changed(before, self._change(proposal))
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "now", "approved", lineterm="", n=2)
        return "\n".join(lines)

    def approve(self, identity: str, reply: str) -> None:
        """Edit, apply, answer. When `up` fails the file is put back, and the proposal stays pending."""
        proposal = self.inbox.get(identity)
        if proposal.verdict != "pending":
            raise BottleError(f"{identity} is {proposal.verdict} already")
        file = StackFile.of(self.stack, self.project)
        before = file.read()
        after = changed(before, self._change(proposal))
        file.replace(before, after)
        try:
            self.up()
        except BaseException:
            # Pulumi may have written its salt meanwhile: only what was put in is taken out.
            if file.read() == after:
                file.replace(after, before)
            raise
        self.inbox.decide(identity, "approved", reply)

    def reject(self, identity: str, reply: str) -> None:
        """Answer no, with the owner's words."""
        self.inbox.decide(identity, "rejected", reply)

    @staticmethod
    def _change(proposal: Proposal) -> Change:
        """Checked again here: what comes out of the sidecar is not trusted."""
        try:
            return Change.read(proposal.change)
        except ChangeError as error:
            raise BottleError(f"{proposal.id} asks for what cannot be given: {error}") from None
