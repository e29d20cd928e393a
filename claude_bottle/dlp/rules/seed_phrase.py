"""Finds BIP-39 seed phrases: 12 to 24 words of the English list with a right checksum. Linear in the length."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from itertools import pairwise
from typing import Any

from mnemonic import Mnemonic

from claude_bottle.dlp.rules.allow import compile_bytes
from claude_bottle.dlp.verdict import Unscannable

_WORD = re.compile(rb"[a-z]+")
_LISTED = re.compile(rb"[0-9\s]+")
_PLAIN = re.compile(rb"[\s,]+")
_LENGTHS = (12, 15, 18, 21, 24)
_BITS = 11  # of a word: the list has 2,048 words
_MOST = 50_000  # words in rows, in one text: a quarter of a second. A book has some 50 rows of 13


@cache
def _language() -> tuple[dict[bytes, int], Any]:
    """Each word's number, and an expression for twelve or more words in a row, with any separators."""
    words = Mnemonic("english").wordlist
    word = _one_of(words)
    row = f"(?i)(?:{word}[^a-z]+){{{_LENGTHS[0] - 1},}}{word}"
    return {word.encode(): number for number, word in enumerate(words)}, compile_bytes(row)


def _one_of(words: Sequence[str]) -> str:
    """An expression for any of the words, as a prefix tree, so that RE2 builds a small automaton."""
    rest: dict[str, list[str]] = {}
    for word in words:
        if word:
            rest.setdefault(word[0], []).append(word[1:])
    choices = "|".join(letter + _one_of(ends) for letter, ends in sorted(rest.items()))
    return f"(?:{choices}){'?' if '' in words else ''}" if choices else ""


def find_seed_phrase(text: bytes, *, as_written: bool = True) -> tuple[int, int] | None:
    """Start and end of a run of words that is a valid phrase, with any separators; or None.

    as_written: the separators are the sender's own. Raises Unscannable if the text has so many words in rows that
    checking them would take long.
    """
    numbers, row_of_words = _language()
    count = 0
    for match in row_of_words.finditer(text):
        words = list(_WORD.finditer(match.group().lower()))
        for first, last in _phrases([numbers[word.group()] for word in words[: _MOST - count]]):
            phrase = words[first : last + 1]
            drawn = [numbers[word.group()] for word in phrase]
            if (as_written and _is_written(match.group(), phrase)) or _is_drawn(drawn, _is_even(match.group(), phrase)):
                return match.start() + words[first].start(), match.start() + words[last].end()
        count += len(words)
        if count > _MOST:
            raise Unscannable("too_much_to_scan", "too many words of seed phrases in a row")
    return None


def _phrases(row: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last word of each run with a right checksum (BIP-39: one bit of SHA-256 for each three words)."""
    for length in _LENGTHS:
        mask = (1 << (_BITS * length)) - 1
        check = length // 3
        size = (_BITS * length - check) // 8
        value, seen = 0, set()
        for last, number in enumerate(row):
            value = (value << _BITS | number) & mask
            if last + 1 < length or value in seen:
                continue
            seen.add(value)
            if sha256((value >> check).to_bytes(size, "big")).digest()[0] >> (8 - check) == value & ((1 << check) - 1):
                yield last + 1 - length, last


def _is_written(text: bytes, words: Sequence[re.Match[bytes]]) -> bool:
    """Whether the words stand side by side as a person writes a phrase. One word repeated does not count."""
    if len({word.group() for word in words}) == 1:
        return False
    return all(_PLAIN.fullmatch(text, one.end(), other.start()) for one, other in pairwise(words))


def _is_even(text: bytes, words: Sequence[re.Match[bytes]]) -> bool:
    """Whether the separators are of one kind but for numbers and white space, as in a list; code has many."""
    return len({_LISTED.sub(b"", text[one.end() : other.start()]) for one, other in pairwise(words)}) == 1


def _is_drawn(words: Sequence[int], even: bool) -> bool:
    """Whether words with any separators may have been drawn at random, as BIP-39 requires.

    Repeated words, or words in alphabetical order, are a program or a table: of drawn phrases, one in a hundred million
    has so few different words, one in a hundred thousand so many in ascending order. Between separators of many kinds
    (even is False) only one word may be repeated, or two of more than 18: one in 200 drawn phrases of 12 to 24 words
    repeats more at most, one in 2,000 of twelve.
    """
    different, rising = len(set(words)), sum(a < b for a, b in pairwise(words))
    enough = 4 * different >= 3 * len(words) if even else different >= len(words) - 1 - (len(words) > 18)
    return enough and rising < len(words) - 2
