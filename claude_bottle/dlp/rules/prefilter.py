"""Selects, in one pass, the rules that may match a text, so that few expressions run over it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Searched(Protocol):
    """The part of a rule that is used here. regex: RE2, over bytes."""

    @property
    def id(self) -> str: ...
    @property
    def regex(self) -> Any: ...
    @property
    def keywords(self) -> tuple[bytes, ...]: ...


class Prefilter(Protocol):
    """Selects the rules (by index) that may match. Never leaves out one that matches."""

    def candidates(self, text: bytes) -> Iterable[int]: ...


class KeywordPrefilter:
    """Used where hyperscan is not installed (the host's check of literal environment values)."""

    def __init__(self, rules: Sequence[Searched]) -> None:
        self._rules = rules

    def candidates(self, text: bytes) -> Iterable[int]:
        lowered = text.lower()
        return [
            i for i, rule in enumerate(self._rules) if not rule.keywords or any(k in lowered for k in rule.keywords)
        ]


# Their expressions have no literal that every match contains, which would make one database of all rules five times
# slower. The first two have a rare keyword; the third is fast by itself.
_WITHOUT_A_WORD = ("sourcegraph-access-token", "facebook-access-token", "vault-service-token")


class HyperscanPrefilter:
    """All rules in one database and one pass, apart from slow ones. Those run only if one of their keywords is
    present."""

    def __init__(self, rules: Sequence[Searched]) -> None:
        from claude_bottle.dlp.rules.scanner import CANDIDATES, Scanner

        slow = [rule for rule in rules if rule.id in _WITHOUT_A_WORD]
        patterns = [(i, rule.regex.pattern) for i, rule in enumerate(rules)]
        # An id beyond the rules' is a keyword of a slow rule.
        self._size = len(rules)
        words = [(self._size + i, b"(?i)" + re.escape(word)) for i, rule in enumerate(slow) for word in rule.keywords]
        self._fast = Scanner([*(p for p in patterns if rules[p[0]] not in slow), *words], CANDIDATES)
        self._slow = [Scanner([patterns[rules.index(rule)]], CANDIDATES) for rule in slow]

    def candidates(self, text: bytes) -> Iterable[int]:
        numbers: set[int] = set()
        self._fast.scan(text, lambda number, *_: numbers.add(number))
        for keyword in [number for number in numbers if number >= self._size]:
            numbers.remove(keyword)
            self._slow[keyword - self._size].scan(text, lambda number, *_: numbers.add(number))
        return numbers
