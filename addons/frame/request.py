"""What both proxies know about one request, parsed once, and the decision of one of them about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from claude_bottle.policy.refusal import Refusal


@dataclass(frozen=True)
class Request:
    """A request whose CONNECT target, TLS server name, target and Host header agree.

    scheme: `http` or `https`. host: canonical. path: as sent, with its query.
    """

    scheme: str
    host: str
    port: int
    method: str
    path: str


class Outcome(Enum):
    """What happens to a request."""

    ALLOW = "allow"
    REFUSE = "refuse"
    INTROSPECT = "introspect"  # the proxy answers it itself


@dataclass
class Decision:
    """One proxy's decision about one request. It stays with the flow from hook to hook.

    request: None if it could not be parsed. refusal: set exactly if the outcome is REFUSE. basis: what allowed it
    (egress: its route). once: digest of a content that the owner allowed once, or "". logged: the log has it. number:
    of its line in the record, or 0. unread: names of headers that egress filled in, which are not inspected.
    in_headers: the finding that refuses it is in a header, or nothing of its body is kept, so it cannot be allowed
    once. edges: pieces of the request that another one may continue. redacted: ids of the rules whose findings were
    masked in the body. receiver: what the host of the request knows. named: whose response named its address, if the
    request follows one (addons/follow/named.py).
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
        """Whether the request is allowed."""
        return self.outcome is Outcome.ALLOW

    def allow(self) -> None:
        """Withdraw a refusal."""
        self.outcome, self.refusal = Outcome.ALLOW, None

    def refuse(self, refusal: Refusal) -> None:
        """Withdraw a permission."""
        self.outcome, self.refusal = Outcome.REFUSE, refusal


def refused(refusal: Refusal, request: Request | None = None) -> Decision:
    """A decision that refuses."""
    return Decision(Outcome.REFUSE, request, refusal)
