"""The gitleaks rules as a data-loss filter: which secret, if any, is in these bytes.

A candidate comes from one hyperscan pass over the whole rule set, and counts only when the rule's own expression,
keywords, entropy and allowlists (RE2, linear time) agree. The rules are gitleaks' (addons/gitleaks, MIT licence) and
the project's (addons/own_rules.toml, in the same format); what they ask of the letters beside a secret is left out
(addons/dlp_shapes.py). Every match is looked at.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import re2

from addons.dlp_allow import Allowlist, compile_bytes, entropies, length_without, shannon_entropy
from addons.dlp_begun import begun_expression
from addons.dlp_mirror import Mirror
from addons.dlp_names import is_credential
from addons.dlp_prefilter import HyperscanPrefilter, KeywordPrefilter, Prefilter
from addons.dlp_shapes import DOUBTFUL, ONE_FORM, is_noise, without_boundaries
from addons.dlp_verdict import Unscannable

__all__ = ["GITLEAKS", "Rule", "RuleSet", "compile_bytes", "shannon_entropy"]

GITLEAKS = Path(__file__).parent / "gitleaks" / "gitleaks.toml"
OWN = Path(__file__).parent / "own_rules.toml"  # git-gate reads it too
_MOST = (
    100_000  # matches of one rule in one text that turn out to be none; a megabyte of ordinary text has room for less
)


@dataclass(frozen=True)
class Rule:
    """One gitleaks rule, or one of the owner's patterns. regex: `pattern`, whatever stands beside the secret."""

    id: str
    pattern: str
    regex: Any
    keywords: tuple[bytes, ...] = ()
    entropy: float = 0.0
    group: int = 0
    allowlists: tuple[Allowlist, ...] = ()
    bounded: bool = True  # the expression says where the secret ends
    has_keyword: bool = False  # whatever it matches holds a keyword
    doubtful: bool = False  # random base64 has its shape now and then

    @property
    def is_generic(self) -> bool:
        """Whether it goes by a word like `key` and by entropy, not by a vendor's own shape or name."""
        return self.id.startswith("generic")

    def find(self, text: bytes, common: Sequence[Allowlist]) -> bytes | None:
        """The first secret of this kind in the text, or None. Raises Unscannable as `span` does."""
        span = self.span(text, common)
        return text[span[0] : span[1]] if span else None

    def span(self, text: bytes, common: Sequence[Allowlist]) -> tuple[int, int] | None:
        """Where the first secret of this kind is. Raises Unscannable where too much looks like one and is none.

        After what is none the search goes on within it: what looks like a secret may have a real one begin in it.
        """
        allowlists = (*self.allowlists, *common)
        needs_line = any(allowlist.target == "line" for allowlist in allowlists)
        known: set[tuple[bytes, ...]] = set()
        at = count = 0
        while match := self.regex.search(text, at):
            start, end = self._secret(match)
            seen = (text[start:end], match.group(), self._line(text, match) if needs_line else b"")
            if seen not in known:
                named = not self.is_generic or is_credential(text, match.start(), start, end)
                if named and self._counts(text, (start, end), seen, allowlists):
                    if not self._is_noise(text, start, end):
                        return start, end
                else:
                    known.add(seen)
            count += 1
            if count > _MOST:
                raise Unscannable("too_much_to_scan", f"more than {_MOST} places look like a secret ({self.id})")
            at = max(start, match.start()) + 1
        return None

    def _counts(
        self, text: bytes, span: tuple[int, int], seen: tuple[bytes, ...], allowlists: Sequence[Allowlist]
    ) -> bool:
        secret, match, line = seen
        # gitleaks' own exception: what its generic rules find counts only with a digit in it.
        if self.is_generic and not any(48 <= c <= 57 for c in secret):
            return False
        if (not self.entropy or shannon_entropy(secret) > self.entropy) and not any(
            allowlist.covers(secret, match, line) for allowlist in allowlists
        ):
            return True
        if self.bounded:
            return False
        # What stands behind a secret of any length may be taken for a part of it, and make it look like none.
        shortest = self._shortest(text, *span)
        length = length_without(secret, shortest, allowlists)
        return length >= shortest and max(entropies(secret[:length], shortest), default=0.0) > self.entropy

    def _is_noise(self, text: bytes, start: int, end: int) -> bool:
        return self.doubtful and is_noise(self.id, text, start, start + self._shortest(text, start, end))

    def _shortest(self, text: bytes, start: int, end: int) -> int:
        """How few of the letters from start to end are a whole secret already."""
        low, high = 1, end - start
        while low < high:
            middle = (low + high) // 2
            if self.regex.match(text[start : start + middle]) is not None:
                high = middle
            else:
                low = middle + 1
        return low

    def _line(self, text: bytes, match: Any) -> bytes:
        start = text.rfind(b"\n", 0, match.start()) + 1
        end = text.find(b"\n", match.end())
        return text[max(start, match.start() - 2000) : len(text) if end < 0 else min(end, match.end() + 2000)]

    def _secret(self, match: Any) -> tuple[int, int]:
        if self.group:
            span: tuple[int, int] = match.span(self.group)
            return span if span[0] >= 0 else match.span()
        for number in range(1, self.regex.groups + 1):
            start, end = match.span(number)
            if end > start:
                return start, end
        whole: tuple[int, int] = match.span()
        return whole


class RuleSet:
    """The rules, ready to look. `disabled` rule ids are left out; `extra` are (name, expression) pairs of the owner."""

    def __init__(
        self, *, disabled: Iterable[str] = (), extra: Iterable[tuple[str, str]] = (), fast: bool = True
    ) -> None:
        """Raises ValueError for an expression that is not RE2, or a disabled id that no rule has."""
        data = tomllib.loads(GITLEAKS.read_text(encoding="utf-8"))
        self._common = [Allowlist.read(data["allowlist"])]
        data["rules"] += tomllib.loads(OWN.read_text(encoding="utf-8"))["rules"]
        off = set(disabled)
        unknown = off - {rule["id"] for rule in data["rules"]}
        if unknown:
            raise ValueError(f"no such rule: {', '.join(sorted(unknown))}")
        self.rules = [_rule(item) for item in data["rules"] if "regex" in item and item["id"] not in off]
        patterns = list(extra)
        for name, pattern in patterns:
            try:
                self.rules.append(Rule(name, pattern, compile_bytes(pattern)))
            except (re2.error, UnicodeEncodeError) as error:
                raise ValueError(f"{pattern!r} is not an RE2 expression: {error}") from error
        self._begun = begun_expression(self.rules)
        self.mirror = Mirror((rule for rule in self.rules if not rule.is_generic), always=bool(patterns), fast=fast)
        self._prefilter: Prefilter = HyperscanPrefilter(self.rules) if fast else KeywordPrefilter(self.rules)

    def find(self, text: bytes, *, generic: bool = True) -> Rule | None:
        """The first rule that some part of the text satisfies. generic: whether the rules without a shape count."""
        found = self.first(text, generic=generic)
        return found[0] if found else None

    def is_begun(self, text: bytes) -> bool:
        """Whether the text ends within what may be a secret."""
        return self._begun.search(text) is not None

    def first(self, text: bytes, *, generic: bool = True) -> tuple[Rule, int, int] | None:
        """The first rule that some part of the text satisfies, and which part. Raises Unscannable as Rule.span does."""
        lowered: bytes | None = None
        # The generic rules come last, so that a known kind of secret is called by its name.
        for index in sorted(self._prefilter.candidates(text), key=lambda i: (self.rules[i].is_generic, i)):
            rule = self.rules[index]
            if rule.is_generic and not generic:
                continue
            if rule.keywords and not rule.has_keyword:
                lowered = text.lower() if lowered is None else lowered
                if not any(keyword in lowered for keyword in rule.keywords):
                    continue
            if (span := rule.span(text, self._common)) is not None:
                return rule, *span
        return None


def _rule(item: dict[str, Any]) -> Rule:
    relaxed = without_boundaries(item["id"], item["regex"])
    has_own_shape = relaxed is not None or not item["regex"].endswith(("$)", r"\b", r"\z)"))
    return Rule(
        item["id"],
        item["regex"],
        compile_bytes(item["regex"] if relaxed is None else relaxed),
        tuple(keyword.lower().encode() for keyword in item.get("keywords", ())),
        float(item.get("entropy", 0.0)),
        int(item.get("secretGroup", 0)),
        tuple(Allowlist.read(a) for a in item.get("allowlists", ())),
        has_keyword=relaxed is not None and item["id"] not in ONE_FORM,
        bounded=not has_own_shape or item["id"].startswith(("generic", "curl", "kubernetes")),
        doubtful=item["id"] in DOUBTFUL or not item.get("within_letters", True),
    )
