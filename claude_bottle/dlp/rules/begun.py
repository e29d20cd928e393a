"""Whether text ends within a possible secret: a vendor's prefix, followed only by characters of a secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from claude_bottle.dlp.rules.allow import compile_bytes
from claude_bottle.dlp.rules.prefilter import Searched

# Prefixes that are no ordinary word and no host name.
_VENDORS = re.compile(r"(?!secret|.*\.com|.*webhook)[A-Za-z0-9]+[A-Za-z0-9_.~=-]*", re.IGNORECASE)
_PLAIN = re.compile(r"\\(?=[._-])")
_SHORT = 4  # letters of a prefix; a prefix this short counts only if some of the secret follows


def begun_expression(rules: Iterable[Searched]) -> Any:
    """An expression for such ends. Rules that rely on a word beside the secret are left out, because any text may hold
    it."""
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
