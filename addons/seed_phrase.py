"""Finds BIP-39 seed phrases: 12 to 24 words of the English list whose checksum is right."""

from __future__ import annotations

import re
from functools import cache

from mnemonic import Mnemonic

from addons.dlp_rules import compile_bytes

# Twelve words of the right length in a row: what has none of these is not looked at word by word.
_CANDIDATE = compile_bytes(r"(?i)(?:[a-z]{3,8}[^a-z]{1,20}){11}[a-z]{3,8}")
_WORD = re.compile(rb"[a-z]{3,8}")
_LENGTHS = (12, 15, 18, 21, 24)


@cache
def _language() -> tuple[Mnemonic, frozenset[bytes]]:
    english = Mnemonic("english")
    return english, frozenset(word.encode() for word in english.wordlist)


def has_seed_phrase(text: bytes) -> bool:
    """True if some run of words in the text, whatever stands between them, is a valid phrase."""
    if not _CANDIDATE.search(text):
        return False
    english, words = _language()
    run: list[bytes] = []
    for match in _WORD.finditer(text.lower()):
        word = match.group()
        if word not in words:
            run.clear()
            continue
        run.append(word)
        if len(run) > _LENGTHS[-1]:
            run.pop(0)
        for length in _LENGTHS:
            if len(run) >= length and english.check(b" ".join(run[-length:]).decode()):
                return True
    return False
