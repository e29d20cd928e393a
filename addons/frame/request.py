"""What both proxies know of one request, parsed once, and what one of them decided about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from claude_bottle.policy.refusal import Refusal


@dataclass(frozen=True)
class Request:
    """A request whose CONNECT target, TLS server name, target and Host header agree.

    scheme: `http` or `https`. host: canonical. path: as it is sent, with its query.
    """

    scheme: str
    host: str
    port: int
    method: str
    path: str


class Outcome(Enum):
    """What becomes of a request."""

    ALLOW = "allow"
    REFUSE = "refuse"
    INTROSPECT = "introspect"  # the proxy answers it itself


@dataclass
class Decision:
    """One proxy's decision about one request; it goes with the flow from hook to hook.

    request: None where it could not be parsed. refusal: set exactly when the outcome is REFUSE. basis: what allowed it
    (egress: its route). once: digest of a content that its owner let through one time, or "". logged: whether the log
    has it. number: of its line in the record, or 0. unread: names of the headers that are the owner's and that nobody
    inspects. in_headers: whether the finding that refuses it is in a header. edges: pieces of the request that another
    one may go on with. redacted: ids of the rules whose findings were masked in the body. receiver: what the host of
    the request knows. named: whose answer has named its address, where it follows that (addons/follow/named.py).
    """

    outcome: Outcome
    request: Request | None = None
    refusal: Refusal | None = None
    basis: Any = None
    once: str = ""
    logged: bool = False
    number: int = 0
    unread: frozenset[str] = frozenset()
    in_headers: bool = False
    edges: list[bytes] = field(default_factory=list)
    redacted: tuple[str, ...] = ()
    receiver: Any = None
    named: Any = None

    @property
    def allows(self) -> bool:
        """Whether the request may go on."""
        return self.outcome is Outcome.ALLOW

    def allow(self) -> None:
        """Take a refusal back."""
        self.outcome, self.refusal = Outcome.ALLOW, None

    def refuse(self, refusal: Refusal) -> None:
        """Take back what was allowed."""
        self.outcome, self.refusal = Outcome.REFUSE, refusal


def refused(refusal: Refusal, request: Request | None = None) -> Decision:
    """A decision that refuses."""
    return Decision(Outcome.REFUSE, request, refusal)
