"""The owner's access to the sidecars of one bottle, by commands inside them. The agent's network is not involved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from claude_bottle.engines.chosen import open_client
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import GATE_RUN, PROXY_PYTHON, PROXY_RUN
from claude_bottle.policy.proposals import Proposal

_SECONDS = 30
# The folder where each sidecar keeps held content, and its Python (claude_bottle/policy/once.py is in both images).
_HOLDERS = {
    "pipelock": (PROXY_PYTHON, f"{PROXY_RUN}/once"),
    "git-gate": ("python3", f"{GATE_RUN}/once"),
}


class Inbox:
    """The proposals of one stack, and the contents that its sidecars hold for a verdict."""

    def __init__(self, stack: str, project: Path = Path()) -> None:
        self._stack, self._project = stack, project

    def all(self) -> list[Proposal]:
        """Proposals, oldest first. Raises BottleError if supervise does not answer."""
        return [Proposal(**fields) for fields in json.loads(self._supervise("list"))]

    def get(self, identity: str) -> Proposal:
        """Raises BottleError if there is no proposal of that id."""
        for proposal in self.all():
            if proposal.id == identity:
                return proposal
        raise BottleError(f"{identity}: no such proposal")

    def decide(self, identity: str, verdict: str, reply: str, note: str = "") -> None:
        """Store a verdict. Raises BottleError if the proposal is no longer pending."""
        decision = {"id": identity, "verdict": verdict, "reply": reply, "note": note}
        self._supervise("decide", json.dumps(decision))

    def note(self, identity: str, note: str) -> None:
        """Report progress to the agent, which is waiting."""
        self._supervise("note", json.dumps({"id": identity, "note": note}))

    def file(self, question: dict[str, Any]) -> None:
        """Add a sidecar's question to the proposals: tool, change, words, request. Raises BottleError."""
        self._supervise("file", json.dumps(question))

    def decline(self, part: str, digest: str) -> None:
        """Drop content that a sidecar holds. The request that waits for a grant is refused. Raises BottleError."""
        self._once(part, "decline", digest)

    def replay(self, request: dict[str, Any]) -> dict[str, Any]:
        """Retry a refused request through the agent's proxy. Returns `status` and perhaps `reason`, or `error`."""
        answer: dict[str, Any] = json.loads(self._supervise("replay", json.dumps(request)))
        return answer

    def held(self, part: str, digest: str) -> dict[str, Any] | None:
        """The description of what a sidecar holds under this digest; None if it no longer holds it."""
        content: dict[str, Any] | None = json.loads(self._once(part, "held", digest))
        return content

    def page(self, part: str, digest: str, number: int) -> dict[str, Any] | None:
        """One page of the held content, counted from 1. None if there is no such page."""
        page: dict[str, Any] | None = json.loads(self._once(part, "page", digest, str(number)))
        return page

    def grant(self, part: str, digest: str, identity: str) -> None:
        """Allow this content once; a repetition for one proposal changes nothing. Raises BottleError if it is gone."""
        self._once(part, "grant", digest, identity)

    def _supervise(self, verb: str, stdin: str = "") -> str:
        return self._exec("supervise", ["python3", "-m", "supervise.decide", verb], stdin)

    def _once(self, part: str, *argv: str) -> str:
        python, folder = _HOLDERS[part]
        return self._exec(part, [python, "-m", "claude_bottle.policy.once", folder, *argv])

    def _exec(self, part: str, command: list[str], stdin: str = "") -> str:
        client = open_client(self._stack, self._project)
        answer = client.exec(part, command, stdin=stdin.encode(), folder="/app", timeout=_SECONDS)
        if answer.code != 0:
            raise BottleError(answer.last_words or f"{part} does not answer")
        return answer.out.decode()
