"""The masks of a bottle's tokens: one of all tokens for requests, and one per host for its responses. Pure.

A host's mask has the tokens that are or were injected there. The host knows no others, so it can send no others back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path

from addons.frame.decision_log import log_decision
from claude_bottle.dlp.tokens.reflection import TokenMask
from claude_bottle.policy.routes.injection import parse_tokens
from claude_bottle.policy.routes.table import RouteTable

_FEW = 8  # tokens whose mask takes only milliseconds to build, so it is built at the first response


class TokenMasks:
    """compiler: compiles the searches one after another, to make them fast; without one they stay uncompiled."""

    def __init__(self, tokens: Mapping[str, str], compiler: Executor | None = None) -> None:
        self.tokens = dict(tokens)
        self._compiler = compiler
        self._given: dict[str, frozenset[str]] = {}  # host to the slots that it was sent
        self._of_slots: dict[frozenset[str], TokenMask] = {}
        self.all = TokenMask(self.tokens.values())
        self._compile(self.all.compile)

    def give(self, host: str, slot: str) -> None:
        """Record that a host is sent a token. Its responses are masked for it from then on, whatever the route."""
        self._given[host] = self._given.get(host, frozenset()) | {slot}

    def slots(self, host: str, table: RouteTable | None) -> frozenset[str]:
        """The slots for which a host's responses are masked: those that it was sent, and those it may be sent."""
        return self._given.get(host, frozenset()) | (table.slots(host) if table else frozenset())

    def of(self, host: str, table: RouteTable | None) -> TokenMask:
        """The mask for the responses of a host."""
        return self._of(self.slots(host, table))

    def prepare(self, table: RouteTable) -> RouteTable:
        """Build large masks before the table is in force. May run in another thread than the other methods."""
        slots: dict[str, set[str]] = {}
        for route in table.routes:
            if route.slot:
                slots.setdefault(route.host, set()).add(route.slot)
        given = list(self._given.items())
        for some in (*map(frozenset, slots.values()), *(table.slots(host) | before for host, before in given)):
            if len(some) > _FEW:
                self._of(some)
        return table

    def _of(self, slots: frozenset[str]) -> TokenMask:
        if slots not in self._of_slots:
            mask = TokenMask(self.tokens[slot] for slot in sorted(slots) if slot in self.tokens)
            mask.build()
            self._of_slots[slots] = mask
            self._compile(mask.compile)
        return self._of_slots[slots]

    def _compile(self, compile_it: Callable[[], None]) -> None:
        if self._compiler is not None:
            self._compiler.submit(compile_it)


def read_masks(file: Path, compiler: Executor) -> TokenMasks:
    """The masks of the tokens in a file. If it cannot be read there are none, and no token is injected either."""
    try:
        tokens = dict(parse_tokens(file.read_bytes()))
    except (OSError, ValueError) as error:
        # Not logged as an error: mitmproxy would exit on one at its start, and the reason would be lost.
        log_decision("egress", event="tokens", outcome="denying", error=str(error))
        tokens = {}
    return TokenMasks(tokens, compiler)
