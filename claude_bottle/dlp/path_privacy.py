"""Whether host and path of a request may be logged: what DLP knows as a secret may stand in them. Pure.

The rules are compiled when they are first needed, or by `prepare`, without hyperscan: a third of its time, a few MB of
memory. What was looked at is remembered, because most requests of a bottle go to the same few paths.
"""

from __future__ import annotations

from functools import cache, lru_cache

from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet

_LOOKED_AT = 400  # letters: more than a log line has of a path
_SHORTEST = 12  # letters in a row; no rule finds a secret in less


@cache
def _dlp() -> Dlp:
    return Dlp(RuleSet(fast=False))


def prepare() -> None:
    """Compile the rules now."""
    _dlp()


@lru_cache(maxsize=4096)
def is_private(host: str, path: str) -> bool:
    """True if a rule finds a secret in the host's labels or in the path without its query."""
    path = path.partition("?")[0][:_LOOKED_AT]
    if len(host) + len(path) < _SHORTEST:
        return False
    return _dlp().look_at_url(host, path) is not None
