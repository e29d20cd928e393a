"""Finds BIP-39 seed phrases: 12 to 24 words of the English list whose checksum is right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from mnemonic import Mnemonic

from addons.dlp_rules import compile_bytes

_WORD = re.compile(rb"[a-z]+")
_LENGTHS = (12, 15, 18, 21, 24)


@cache
def _language() -> tuple[Mnemonic, Any]:
    """The list, and an expression for twelve or more of its words in a row, whatever stands between them."""
    english = Mnemonic("english")
    word = _one_of(english.wordlist)
    return english, compile_bytes(f"(?i)(?:{word}[^a-z]{{1,20}}){{{_LENGTHS[0] - 1},}}{word}")


def _one_of(words: Sequence[str]) -> str:
    """An expression for any of the words in which each beginning stands once: RE2 makes a small machine of it."""
    rest: dict[str, list[str]] = {}
    for word in words:
        if word:
            rest.setdefault(word[0], []).append(word[1:])
    choices = "|".join(letter + _one_of(ends) for letter, ends in sorted(rest.items()))
    return f"(?:{choices}){'?' if '' in words else ''}" if choices else ""


def has_seed_phrase(text: bytes) -> bool:
    """True if some run of words in the text, whatever stands between them, is a valid phrase."""
    english, row_of_words = _language()
    for match in row_of_words.finditer(text):
        row = _WORD.findall(match.group().lower())
        for length in _LENGTHS:
            if any(english.check(b" ".join(row[i : i + length]).decode()) for i in range(len(row) - length + 1)):
                return True
    return False
