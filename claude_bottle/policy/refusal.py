"""The single form of a refusal: one decision for the log, the agent and the owner."""

from __future__ import annotations

import json
from dataclasses import dataclass

from claude_bottle.policy.model_api import in_its_form
from claude_bottle.policy.no_approval import instead

# The supervise tool with which the agent asks its owner to change this part's decision.
ASK_WITH = {"egress": "egress-block", "pipelock": "pipelock-block"}


@dataclass(frozen=True)
class Refusal:
    """What was refused, by whom and why.

    reason: a stable identifier in lower_case, which proposals and tests refer to. message: one or two sentences for the
    agent, about the cause and the remedy. Never holds a secret. status: HTTP status of the response. content: digest by
    which the owner may allow exactly this once, or "". forge: the capabilities that a call to a forge needs, separated
    by commas, or "".
    """

    by: str
    reason: str
    message: str
    status: int = 403
    content: str = ""
    forge: str = ""

    def body(self, *, method: str, host: str, path: str) -> bytes:
        """The response's JSON body. The query string is left out, because it may hold the cause of the refusal.

        It names the tool to ask with, or says that no approval helps and what does.
        """
        other_way = instead(self.reason, self.content)
        fields = {
            "error": "refused",
            "refused_by": self.by,
            "reason": self.reason,
            "message": self.message,
            "method": method,
            "host": host,
            "path": path.partition("?")[0][:300],
            **({"no_approval": f"No approval allows this: {other_way}."} if other_way else self._ask_with()),
            **({"content": self.content} if self.content else {}),
            **({"forge": self.forge} if self.forge else {}),
        }
        return json.dumps(in_its_form(path, fields, self.status), indent=2).encode() + b"\n"

    def text(self) -> bytes:
        """The response for git, which shows text to its user: how a repository can be reached."""
        lines = [f"{self.by}: {self.message}"]
        if other_way := instead(self.reason, self.content):
            lines += [] if self.reason == "git_push" else [f"No approval allows this: {other_way}."]
        else:
            lines += [
                "A repository can be reached once the owner declares it under git: in the manifest, for fetch and"
                " push.",
                "A public one can be read where a route allows GET and POST: ask with the supervise tool "
                f"{ASK_WITH[self.by]}.",
            ]
        return "\n".join([*lines, ""]).encode()

    def _ask_with(self) -> dict[str, object]:
        return {"ask_with": {"server": "supervise", "tool": ASK_WITH[self.by]}}
