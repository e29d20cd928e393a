"""Whether the host and path of a request may be logged, or hold a secret that a rule finds. Pure.

The rules are compiled on first use, or by `prepare`, without hyperscan: that takes a third of the time and a few MB of
memory. Results are cached, because most requests of a bottle go to the same few paths.
"""

from __future__ import annotations

from functools import cache, lru_cache

from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet

_LOOKED_AT = 400  # characters of a path that are scanned: more than a log line shows
_SHORTEST = 12  # characters of host and path; no rule matches less


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
