"""The gitleaks rules as a data-loss filter: the first secret, if any, in some bytes.

Candidates come from one hyperscan pass over all rules (several for slow ones). A candidate counts only if the rule's
own expression, keywords, entropy and allowlists (RE2, linear time) agree. The rules are gitleaks' (dlp/rules/gitleaks,
MIT licence) and the project's (dlp/rules/own_rules.toml, same format). Their conditions on the characters beside a
secret are dropped (claude_bottle/dlp/rules/shapes.py).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import re2

from claude_bottle.dlp.rules.allow import Allowlist, compile_bytes, shannon_entropy
from claude_bottle.dlp.rules.begun import begun_expression
from claude_bottle.dlp.rules.mirror import Mirror
from claude_bottle.dlp.rules.prefilter import HyperscanPrefilter, KeywordPrefilter, Prefilter
from claude_bottle.dlp.rules.rule import Known, Rule

__all__ = ["GITLEAKS", "Rule", "RuleSet", "compile_bytes", "shannon_entropy"]

GITLEAKS = Path(__file__).parent / "gitleaks" / "gitleaks.toml"
OWN = Path(__file__).parent / "own_rules.toml"  # git-gate reads it too


@cache
def rule_ids() -> frozenset[str]:
    """The ids of all rules, gitleaks' and the project's."""
    return frozenset(item["id"] for item in _items())


@cache
def _file(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def _items() -> tuple[dict[str, Any], ...]:
    """The entries of both files."""
    return (*_file(GITLEAKS)["rules"], *_file(OWN)["rules"])


@cache
def _rule(number: int) -> Rule:
    """The rule of an entry. Compiled once for all rule sets: each would need a third of a second for it."""
    return Rule.read(_items()[number])


def compile_pattern(pattern: str) -> Any:
    """Compile an owner's expression. Raises ValueError if it is not RE2."""
    try:
        return compile_bytes(pattern)
    except (re2.error, UnicodeEncodeError) as error:
        why = error.args[0] if error.args else error
        why = why.decode(errors="replace") if isinstance(why, bytes) else why
        raise ValueError(f"{pattern!r} is not an RE2 expression: {why}") from error


class RuleSet:
    """The compiled rules. disabled: ids of rules to leave out. extra: (name, expression) pairs of the owner.

    packs: rules beside those for credentials, by the pack that they name; `placeholders`: the examples of vendors'
    documents, which are exempt otherwise.
    """

    def __init__(
        self,
        *,
        disabled: Iterable[str] = (),
        extra: Iterable[tuple[str, str]] = (),
        packs: Iterable[str] = (),
        fast: bool = True,
    ) -> None:
        """Raises ValueError for an expression that is not RE2, or for a disabled id that no rule has."""
        self._common = [Allowlist.read(_file(GITLEAKS)["allowlist"])]
        wanted = {"", *packs}
        self.ids = rule_ids()
        off = set(disabled)
        unknown = off - self.ids
        if unknown:
            raise ValueError(f"no such rule: {', '.join(sorted(unknown))}")
        self.rules = [
            _rule(number)
            for number, item in enumerate(_items())
            if "regex" in item and item.get("pack", "") in wanted and item["id"] not in off
        ]
        if "placeholders" in wanted:
            self.rules = [r if r.is_generic else replace(r, entropy=0.0, strict=True) for r in self.rules]
        patterns = list(extra)
        for name, pattern in patterns:
            self.rules.append(Rule(name, pattern, compile_pattern(pattern)))
        self._begun = begun_expression(self.rules)
        self.mirror = Mirror((rule for rule in self.rules if not rule.is_generic), always=bool(patterns), fast=fast)
        self._prefilter: Prefilter = HyperscanPrefilter(self.rules) if fast else KeywordPrefilter(self.rules)

    def find(self, text: bytes, *, generic: bool = True) -> Rule | None:
        """The first rule that some part of the text satisfies. generic: include the rules without a shape."""
        match = self.first(text, generic=generic)
        return match[0] if match else None

    def is_begun(self, text: bytes) -> bool:
        """Whether the text ends within a possible secret."""
        return self._begun.search(text) is not None

    def first(
        self,
        text: bytes,
        *,
        generic: bool = True,
        without: frozenset[str] = frozenset(),
        turned: bool = False,
        known: Known | None = None,
    ) -> tuple[Rule, int, int] | None:
        """The first rule that some part of the text satisfies, with start and end. Raises Unscannable as Rule.span
        does.

        without: ids of rules that do not count. turned: the text is reversed or in ROT13. known: whether the receiver
        knows a secret.
        """
        lowered: bytes | None = None
        # The generic rules come last, so that a known kind of secret is reported by its name.
        for index in sorted(self._prefilter.candidates(text), key=lambda i: (self.rules[i].is_generic, i)):
            rule = self.rules[index]
            if (rule.is_generic and not generic) or rule.id in without:
                continue
            if rule.keywords and not rule.has_keyword:
                lowered = text.lower() if lowered is None else lowered
                if not any(keyword in lowered for keyword in rule.keywords):
                    continue
            if (span := rule.span(text, self._common, turned=turned, known=known)) is not None:
                return rule, *span
        return None
