"""pipelock's parsed file, ready to use: the policy, and the DLP rules that it selects."""

from __future__ import annotations

from functools import lru_cache

from addons.frame.request import Request
from addons.pipelock import core
from addons.pipelock.own_networks import own_networks
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.said import Receiver


@lru_cache(maxsize=2)
def _rules(disabled: tuple[str, ...], patterns: tuple[tuple[str, str], ...], packs: tuple[str, ...]) -> RuleSet:
    # Compiling takes most of a second (of another thread), and most policy changes leave the rules unchanged.
    return RuleSet(disabled=disabled, extra=patterns, packs=packs)


class LoadedPolicy:
    """A policy and the DLP engine built from it, so that they change together."""

    def __init__(self, data: bytes) -> None:
        self.policy = core.Policy.parse(data, own_networks)
        policy = self.policy
        self._rules = _rules(policy.disabled_rules, policy.patterns, policy.packs)
        unknown = frozenset().union(*policy.host_rules.values()) - self._rules.ids
        if unknown:
            raise ValueError(f"no such rule: {', '.join(sorted(unknown))}")

    def dlp(self, host: str, receiver: Receiver | None = None) -> Dlp:
        """The engine for traffic to this host. receiver: what the host has said."""
        off = self.policy.rules_off(host)
        return Dlp(self._rules, seed_phrases=self.policy.seed_phrases, without=off, receiver=receiver)

    def leads_to(self, scheme: str, host: str, port: int) -> bool:
        """Whether a host may be reached, and its traffic is inspected."""
        return self.policy.refuse_target(scheme, host, port) is None and not self.policy.passes_through(host)

    def leads_on(self, request: Request, host: str) -> bool:
        """Whether an address on this host, in the response to this request, may be followed and is inspected."""
        declared = self.policy.is_declared(host) or self.policy.passes_through(host)
        return not declared and self.policy.followed_by(request) is not None

    def leaves_out(self, host: str) -> bool:
        """Whether some rules do not count for traffic to this host."""
        return bool(self.policy.rules_off(host))
