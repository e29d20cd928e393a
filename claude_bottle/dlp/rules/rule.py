"""One kind of secret: finds the first match that expression, keywords, entropy and allowlists accept. Linear time.
Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from claude_bottle.dlp.rules.allow import Allowlist, compile_bytes, entropies, length_without, shannon_entropy
from claude_bottle.dlp.rules.checksums import CHECKS
from claude_bottle.dlp.rules.names import is_credential
from claude_bottle.dlp.rules.shapes import DOUBTFUL, ONE_FORM, is_noise, without_boundaries
from claude_bottle.dlp.verdict import Unscannable

_MOST = 100_000  # rejected matches of one rule in one text; a megabyte of ordinary text has room for fewer

_BY_A_WORD = r"(?i)[\w.-]{0,50}?(?:"  # the start of gitleaks' rules that require a vendor's name before any letters
_DIGIT = re.compile(rb"[0-9]").search
Known = Callable[["Rule", bytes, int, int], bool]  # whether the receiver knows what a rule found: text, start, end


@dataclass(frozen=True)
class Rule:
    """One gitleaks rule, one of the project's, or one of the owner's patterns. regex: `pattern` without its
    boundaries."""

    id: str
    pattern: str
    regex: Any
    keywords: tuple[bytes, ...] = ()
    entropy: float = 0.0
    group: int = 0
    allowlists: tuple[Allowlist, ...] = ()
    bounded: bool = True  # the expression determines where the secret ends
    has_keyword: bool = False  # every match contains a keyword
    doubtful: bool = False  # random base64 has its shape now and then
    check: Callable[[bytes], bool] | None = None  # the secret's own checksum
    strict: bool = False  # nothing is exempt: no allowlist applies

    @property
    def is_generic(self) -> bool:
        """Whether it relies on a word like `key` and on entropy, not on a vendor's shape or name."""
        return self.id.startswith("generic")

    @classmethod
    def read(cls, item: dict[str, Any]) -> Rule:
        """From one entry of a rule file."""
        relaxed = without_boundaries(item["id"], item["regex"])
        has_own_shape = relaxed is not None or not item["regex"].endswith(("$)", r"\b", r"\z)"))
        return cls(
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
            check=CHECKS[item["check"]] if "check" in item else None,
        )

    def find(self, text: bytes, common: Sequence[Allowlist]) -> bytes | None:
        """The first secret of this kind in the text, or None. Raises Unscannable as `span` does."""
        span = self.span(text, common)
        return text[span[0] : span[1]] if span else None

    def span(
        self, text: bytes, common: Sequence[Allowlist], *, turned: bool = False, known: Known | None = None
    ) -> tuple[int, int] | None:
        """Start and end of the first secret of this kind. Raises Unscannable for too many rejected matches.

        turned: the text is a transformed reading, so matches within random letters do not count. After a rejected match
        the search goes on within it, because a real secret may begin there. known: whether the receiver knows a secret;
        a known one, and any match within it, is no finding.
        """
        allowlists = () if self.strict else (*self.allowlists, *common)
        needs_line = any(allowlist.target == "line" for allowlist in allowlists)
        none: set[tuple[bytes, ...]] = set()
        at = count = past = 0  # the end of the last known secret
        while match := self.regex.search(text, at):
            start, end = self._secret(match)
            seen = (text[start:end], match.group(), self._line(text, match) if needs_line else b"")
            if seen not in none:
                named = self._is_named(text, match.start(), start, end, turned)
                if named and self._counts(text, (start, end), seen, allowlists):
                    if not (
                        (turned or self.doubtful)
                        and is_noise(self.id, text, start, start + self._shortest(text, start, end))
                    ):
                        if end > past and (known is None or not known(self, text, start, end)):
                            return start, end
                        past = max(past, end)
                else:
                    none.add(seen)
            count += 1
            if count > _MOST:
                raise Unscannable("too_much_to_scan", f"more than {_MOST} places look like a secret ({self.id})")
            at = max(start, match.start()) + 1
        return None

    def _is_named(self, text: bytes, first: int, start: int, end: int, turned: bool) -> bool:
        """Whether the text before a secret, from `first` on, may name one."""
        if self.is_generic:
            return is_credential(text, first, start, end)
        # In transformed text, any word is a run of letters: `System` may contain a vendor's name, on which such a rule
        # relies.
        return not turned or not self.pattern.startswith(_BY_A_WORD) or _DIGIT(text, start, end) is not None

    def _counts(
        self, text: bytes, span: tuple[int, int], seen: tuple[bytes, ...], allowlists: Sequence[Allowlist]
    ) -> bool:
        secret, match, line = seen
        if self.check is not None and not self.check(secret):
            return False
        # gitleaks' own exception: a match of its generic rules counts only with a digit in it.
        if self.is_generic and not any(48 <= c <= 57 for c in secret):
            return False
        if (not self.entropy or shannon_entropy(secret) > self.entropy) and not any(
            allowlist.covers(secret, match, line) for allowlist in allowlists
        ):
            return True
        if self.bounded:
            return False
        # Text after a secret of any length may be matched as part of it, and make it look exempt.
        shortest = self._shortest(text, *span)
        length = length_without(secret, shortest, allowlists)
        return length >= shortest and max(entropies(secret[:length], shortest), default=0.0) > self.entropy

    def _shortest(self, text: bytes, start: int, end: int) -> int:
        """The length of the shortest prefix from start to end that is a whole secret already."""
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
