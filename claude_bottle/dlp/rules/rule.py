"""One kind of secret: where in a text the first one is that its expression, its words, its entropy and its exceptions
agree on. Linear. Pure."""

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

_MOST = (
    100_000  # matches of one rule in one text that turn out to be none; a megabyte of ordinary text has room for less
)

_BY_A_WORD = r"(?i)[\w.-]{0,50}?(?:"  # how gitleaks' rules begin that want a vendor's name before any letters
_DIGIT = re.compile(rb"[0-9]").search
Known = Callable[["Rule", bytes, int, int], bool]  # of the secret that a rule has found in a text, from here to there


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
    check: Callable[[bytes], bool] | None = None  # of the secret's own checksum
    strict: bool = False  # nothing is exempt: neither what a list names nor what looks made up

    @property
    def is_generic(self) -> bool:
        """Whether it goes by a word like `key` and by entropy, not by a vendor's own shape or name."""
        return self.id.startswith("generic")

    @classmethod
    def read(cls, item: dict[str, Any]) -> Rule:
        """From a file of rules."""
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
        """Where the first secret of this kind is. Raises Unscannable where too much looks like one and is none.

        turned: the text is read otherwise than it stands there, so that within random letters nothing counts.
        After what is none the search goes on within it: what looks like a secret may have a real one begin in it.
        known: says of a secret that it is none to the receiver; nor is what lies within such a one.
        """
        allowlists = () if self.strict else (*self.allowlists, *common)
        needs_line = any(allowlist.target == "line" for allowlist in allowlists)
        none: set[tuple[bytes, ...]] = set()
        at = count = past = 0  # past: where what is known ends
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
        """Whether what stands before a secret, from `first` on, may name one."""
        if self.is_generic:
            return is_credential(text, first, start, end)
        # Turned round, any word is a run of letters: `System` holds a vendor's name, by which alone such a rule goes.
        return not turned or not self.pattern.startswith(_BY_A_WORD) or _DIGIT(text, start, end) is not None

    def _counts(
        self, text: bytes, span: tuple[int, int], seen: tuple[bytes, ...], allowlists: Sequence[Allowlist]
    ) -> bool:
        secret, match, line = seen
        if self.check is not None and not self.check(secret):
            return False
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
