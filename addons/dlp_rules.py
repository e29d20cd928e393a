"""The gitleaks rules as a data-loss filter: which secret, if any, is in these bytes.

A candidate comes from one hyperscan pass over the whole rule set, and counts only when the rule's own expression,
keywords, entropy and allowlists (RE2, linear time) agree. The rules are gitleaks' own: addons/gitleaks, MIT licence.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import re2

GITLEAKS = Path(__file__).parent / "gitleaks" / "gitleaks.toml"
_MAX_MATCHES = 200  # of one rule in one text; what has more is no ordinary text, and is looked at by the first ones


def compile_bytes(pattern: str) -> Any:
    """An RE2 expression over bytes; raises re2.error, or UnicodeEncodeError for what is not Latin-1."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes in, bytes out: bodies need not be text
    options.log_errors = False
    options.max_mem = 64 << 20
    return re2.compile(pattern.encode("latin-1"), options)


def shannon_entropy(data: bytes) -> float:
    """Bits a byte."""
    size = len(data)
    return -sum(n / size * math.log2(n / size) for n in Counter(data).values()) if size else 0.0


@dataclass(frozen=True)
class _Allowlist:
    regexes: tuple[Any, ...]
    stopwords: tuple[bytes, ...]
    target: str
    needs_path: bool

    @classmethod
    def read(cls, item: dict[str, Any]) -> _Allowlist:
        return cls(
            tuple(compile_bytes(regex) for regex in item.get("regexes", ())),
            tuple(word.lower().encode() for word in item.get("stopwords", ())),
            item.get("regexTarget", "secret"),
            # A condition on file paths cannot hold for what travels over a network.
            item.get("condition", "OR").upper() == "AND" and bool(item.get("paths")),
        )

    def covers(self, secret: bytes, match: bytes, line: bytes) -> bool:
        if self.needs_path:
            return False
        target = {"match": match, "line": line}.get(self.target, secret)
        lowered = secret.lower()
        return any(r.search(target) for r in self.regexes) or any(word in lowered for word in self.stopwords)


@dataclass(frozen=True)
class Rule:
    """One gitleaks rule, or one of the owner's patterns."""

    id: str
    pattern: str
    regex: Any
    keywords: tuple[bytes, ...] = ()
    entropy: float = 0.0
    group: int = 0
    allowlists: tuple[_Allowlist, ...] = ()

    @property
    def is_generic(self) -> bool:
        """Whether it goes by a word like `key` and by entropy, not by a vendor's own shape or name."""
        return self.id.startswith("generic")

    def find(self, text: bytes, common: Sequence[_Allowlist]) -> bytes | None:
        """The first secret of this kind in the text, or None."""
        for count, match in enumerate(self.regex.finditer(text)):
            if count >= _MAX_MATCHES:
                return None
            secret = self._secret(match)
            if self.entropy and shannon_entropy(secret) <= self.entropy:
                continue
            # gitleaks' own exception: what its generic rules find counts only with a digit in it.
            if self.is_generic and not any(48 <= c <= 57 for c in secret):
                continue
            start = text.rfind(b"\n", 0, match.start()) + 1
            end = text.find(b"\n", match.end())
            line = text[max(start, match.start() - 2000) : len(text) if end < 0 else min(end, match.end() + 2000)]
            if not any(a.covers(secret, match.group(), line) for a in (*self.allowlists, *common)):
                return secret
        return None

    def _secret(self, match: Any) -> bytes:
        if self.group:
            return bytes(match.group(self.group) or b"")
        groups = [g for g in match.groups() if g]
        return bytes(groups[0] if groups else match.group())


class Prefilter(Protocol):
    """Names the rules (by index) that may match; never leaves out one that does."""

    def candidates(self, text: bytes) -> Iterable[int]: ...


class KeywordPrefilter:
    """For where hyperscan is not installed (the host's check of literal environment values)."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    def candidates(self, text: bytes) -> Iterable[int]:
        lowered = text.lower()
        return [
            i for i, rule in enumerate(self._rules) if not rule.keywords or any(k in lowered for k in rule.keywords)
        ]


# Their expressions hold no word that every match has, which makes one database of all five times slower. The first two
# have a keyword that is rare; the third is quick by itself.
_WITHOUT_A_WORD = ("sourcegraph-access-token", "facebook-access-token", "vault-service-token")


class HyperscanPrefilter:
    """Expressions in one database, one pass; those that would slow the others down where one of their keywords is."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        from addons.dlp_scanner import CANDIDATES, Scanner

        slow = [rule for rule in rules if rule.id in _WITHOUT_A_WORD]
        patterns = [(i, rule.pattern.encode("latin-1")) for i, rule in enumerate(rules)]
        # A number beyond the rules' is a keyword of a slow one.
        self._size = len(rules)
        words = [(self._size + i, b"(?i)" + re.escape(word)) for i, rule in enumerate(slow) for word in rule.keywords]
        self._fast = Scanner([*(p for p in patterns if rules[p[0]] not in slow), *words], CANDIDATES)
        self._slow = [Scanner([patterns[rules.index(rule)]], CANDIDATES) for rule in slow]

    def candidates(self, text: bytes) -> Iterable[int]:
        found: set[int] = set()
        self._fast.scan(text, lambda number, *_: found.add(number))
        for keyword in [number for number in found if number >= self._size]:
            found.remove(keyword)
            self._slow[keyword - self._size].scan(text, lambda number, *_: found.add(number))
        return found


class RuleSet:
    """The rules, ready to look. `disabled` rule ids are left out; `extra` are (name, expression) pairs of the owner."""

    def __init__(
        self, *, disabled: Iterable[str] = (), extra: Iterable[tuple[str, str]] = (), fast: bool = True
    ) -> None:
        """Raises ValueError for an expression that is not RE2, or a disabled id that no rule has."""
        data = tomllib.loads(GITLEAKS.read_text(encoding="utf-8"))
        self._common = [_Allowlist.read(data["allowlist"])]
        off = set(disabled)
        unknown = off - {rule["id"] for rule in data["rules"]}
        if unknown:
            raise ValueError(f"no such rule: {', '.join(sorted(unknown))}")
        self.rules = [_rule(item) for item in data["rules"] if "regex" in item and item["id"] not in off]
        for name, pattern in extra:
            try:
                self.rules.append(Rule(name, pattern, compile_bytes(pattern)))
            except (re2.error, UnicodeEncodeError) as error:
                raise ValueError(f"{pattern!r} is not an RE2 expression: {error}") from error
        self._prefilter: Prefilter = HyperscanPrefilter(self.rules) if fast else KeywordPrefilter(self.rules)

    def find(self, text: bytes, *, generic: bool = True) -> Rule | None:
        """The first rule that some part of the text satisfies. generic: whether the rules without a shape count."""
        lowered: bytes | None = None
        # The generic rules come last, so that a known kind of secret is called by its name.
        for index in sorted(self._prefilter.candidates(text), key=lambda i: (self.rules[i].is_generic, i)):
            rule = self.rules[index]
            if rule.is_generic and not generic:
                continue
            if rule.keywords:
                lowered = text.lower() if lowered is None else lowered
                if not any(keyword in lowered for keyword in rule.keywords):
                    continue
            if rule.find(text, self._common) is not None:
                return rule
        return None


def _rule(item: dict[str, Any]) -> Rule:
    return Rule(
        item["id"],
        item["regex"],
        compile_bytes(item["regex"]),
        tuple(keyword.lower().encode() for keyword in item.get("keywords", ())),
        float(item.get("entropy", 0.0)),
        int(item.get("secretGroup", 0)),
        tuple(_Allowlist.read(a) for a in item.get("allowlists", ())),
    )
