"""Whether text ends within what may be a secret: a vendor's prefix, and behind it nothing that cannot belong. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from claude_bottle.dlp.rules.allow import compile_bytes
from claude_bottle.dlp.rules.prefilter import Searched

# No word of a language or a name of a host.
_VENDORS = re.compile(r"(?!secret|.*\.com|.*webhook)[A-Za-z0-9]+[A-Za-z0-9_.~=-]*", re.IGNORECASE)
_PLAIN = re.compile(r"\\(?=[._-])")
_SHORT = 4  # letters of a prefix: behind one that has no more some of the secret must be there too


def begun_expression(rules: Iterable[Searched]) -> Any:
    """An expression for such ends. Rules that go by a word beside the secret are left out: any text may have it."""
    words: set[str] = {"-----BEGIN", "xox[abeoprs]-"}
    for rule in rules:
        pattern = rule.regex.pattern.decode("latin-1")
        if r"[ \t\w.-]{0,20}" in pattern or r"\s{" in pattern:
            continue
        plain = _PLAIN.sub("", pattern)
        for keyword in rule.keywords:
            word = keyword.decode("latin-1")
            at = plain.lower().find(word)
            cased = plain[at : at + len(word)] if at >= 0 else word
            if len(word) < 3 or (cased.isalpha() and cased.islower()) or not _VENDORS.fullmatch(cased):
                continue
            behind = "[0-9A-Za-z_-]{6}" if len(word) <= _SHORT else ""
            words.add(f"{'(?i:' if pattern.startswith('(?i)') else '(?:'}{re.escape(cased)}){behind}")
    return compile_bytes(f"(?:{'|'.join(sorted(words))}|ey[A-Za-z0-9]{{17}})[!-~]{{0,300}}\\z")
