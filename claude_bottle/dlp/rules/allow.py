"""gitleaks' allowlists: exempt lookalikes of secrets, unless the sender could have added the exempting text. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import re2


def compile_bytes(pattern: str) -> Any:
    """An RE2 expression over bytes. Raises re2.error, or UnicodeEncodeError if the pattern is not Latin-1."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes in, bytes out, because bodies need not be text
    options.log_errors = False
    options.max_mem = 64 << 20
    return re2.compile(pattern.encode("latin-1"), options)


def shannon_entropy(data: bytes) -> float:
    """Shannon entropy in bits per byte."""
    size = len(data)
    return -sum(n / size * math.log2(n / size) for n in Counter(data).values()) if size else 0.0


def entropies(data: bytes, shortest: int) -> Iterator[float]:
    """The entropy of each prefix of the data, from the one of length `shortest` on. Linear time."""
    counts: Counter[int] = Counter()
    weighed = 0.0  # sum of n log n
    for size, byte in enumerate(data, 1):
        n = counts[byte]
        counts[byte] = n + 1
        weighed += (n + 1) * math.log2(n + 1) - (n * math.log2(n) if n else 0.0)
        if size >= shortest:
            yield math.log2(size) - weighed / size


@dataclass(frozen=True)
class Allowlist:
    """One allowlist. target: the text that its expressions are matched against: secret, match or line."""

    regexes: tuple[Any, ...]
    stopwords: Any
    target: str
    needs_path: bool

    @classmethod
    def read(cls, item: dict[str, Any]) -> Allowlist:
        """From gitleaks' own file. A thousand stop words become one expression, so that one pass finds them."""
        words = "|".join(re.escape(word.lower()) for word in item.get("stopwords", ()))
        return cls(
            tuple(compile_bytes(regex) for regex in item.get("regexes", ())),
            compile_bytes(words) if words else None,
            item.get("regexTarget", "secret"),
            # A condition on file paths cannot hold for network traffic.
            item.get("condition", "OR").upper() == "AND" and bool(item.get("paths")),
        )

    def covers(self, secret: bytes, match: bytes, line: bytes) -> bool:
        """Whether the list exempts the secret."""
        if self.needs_path:
            return False
        target = {"match": match, "line": line}.get(self.target, secret)
        if any(regex.search(target) for regex in self.regexes):
            return True
        return self.stopwords is not None and self.stopwords.search(secret.lower()) is not None

    def places(self, secret: bytes) -> Iterator[tuple[int, int]]:
        """The spans in the secret of the text that exempts it; (0, 0) if text around the secret may exempt it."""
        if self.needs_path:
            return
        if self.target != "secret" and self.regexes:
            yield 0, 0
        else:
            yield from (match.span() for regex in self.regexes if (match := regex.search(secret)))
        if self.stopwords is not None and (match := self.stopwords.search(secret.lower())):
            yield match.span()


def length_without(secret: bytes, shortest: int, allowlists: Iterable[Allowlist]) -> int:
    """The length of the longest prefix of the secret that no allowlist exempts; 0 if it is shorter than `shortest`.

    If a secret can have any length, text after it becomes part of it, such as `false` or the alphabet. Exempting text
    counts as the secret's own if at least half of it lies within the shortest secret.
    """
    length = len(secret)
    for allowlist in allowlists:
        for start, end in allowlist.places(secret):
            if min(end, shortest) - start >= (end - start) / 2 and start < shortest:
                return 0
            length = min(length, max(start, shortest))
    return length
