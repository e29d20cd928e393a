"""Secrets that are reversed or in ROT13: found by the rules' keywords, written so. Pure.

Each rule has keywords without which it does not match. One pass over a text searches for all of them in both forms.
Only the text around a hit is transformed and scanned.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Any

from claude_bottle.dlp.rules.prefilter import Searched
from claude_bottle.dlp.text.near import MANY, near

REVERSED, ROT13 = "reversed", "rot13"
# Beside a short keyword, more of a secret must stand; beside one of four letters, alternatively a non-letter.
_SHORT = 4
_REACH = 400  # bytes: the shortest form of every shape has fewer
_BESIDE = "[A-Za-z0-9_+/=.-]{8}"
# Keywords that any text has, with more context: of Twilio's keys; of a JWT, whose second part begins like the first; of
# an address with a password.
_INSTEAD = {
    b"://": {REVERSED: r"@[^\s/@]{4,80}:[^\s:/@]{0,60}//:", ROT13: r"://[^\s:/@]{0,60}:[^\s/@]{4,80}@"},
    b"sk": {REVERSED: "[0-9a-f]{8}ks", ROT13: "fx[0-9n-s]{8}"},
    b"ey": {REVERSED: r"[A-Za-z0-9]{8}ye\.", ROT13: r"\.rl[A-Za-z0-9]{8}"},
}
ROT13_LETTERS = bytes(
    codecs.encode(chr(byte), "rot13").encode("latin-1")[0] if byte < 128 else byte for byte in range(256)
)


# Beginnings or ends of secrets whose rules require the vendor's name. A secret with a shape of its own need not have
# that name beside it.
_BY_SHAPE = (b"pat", b"sl.", b"pk.", b"key-", b"-us", b"access-", b"aqvn", b"t1.", b"aaaaaaaaaa")


class Mirror:
    """The keywords of some rules. always: reverse the whole text, because some rules have no keywords. fast: use
    hyperscan."""

    def __init__(self, rules: Iterable[Searched], *, always: bool, fast: bool) -> None:
        self._always = always
        words = sorted({*_BY_SHAPE, *(word for rule in rules for word in rule.keywords)})
        self._words = [(how, word) for word in words for how in (REVERSED, ROT13)]
        self._plain = [word[::-1] if how == REVERSED else word.translate(ROT13_LETTERS) for how, word in self._words]
        self._scanner = self._compiled() if fast else None

    def readings(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Pairs of a transformation's name and the transformed part of the text."""
        places = self._places(data)
        if self._always:
            yield REVERSED, data[::-1]
        elif places[REVERSED]:
            yield REVERSED, b"\n".join(near(data, places[REVERSED], _REACH))[::-1]
        if places[ROT13]:
            yield ROT13, b"\n".join(near(data, places[ROT13], _REACH)).translate(ROT13_LETTERS)

    def _compiled(self) -> Any:
        import hyperscan

        from claude_bottle.dlp.rules.scanner import Scanner

        expressions = []
        for number, ((how, word), written) in enumerate(zip(self._words, self._plain, strict=True)):
            expressions.append((number, "|".join(_forms(how, word, written)).encode()))
        return Scanner(expressions, hyperscan.HS_FLAG_CASELESS)

    def _places(self, data: bytes) -> dict[str, list[tuple[int, int]]]:
        spans: dict[str, list[tuple[int, int]]] = {REVERSED: [], ROT13: []}
        if self._scanner is None:
            lowered = data.lower()
            for (how, _), word in zip(self._words, self._plain, strict=True):
                if word in lowered:
                    spans[how].append((0, len(data)))
            return spans

        def take(number: int, _: int, end: int, *__: object) -> bool:
            places = spans[self._words[number][0]]
            if len(places) <= MANY:
                places.append((max(0, end - 24), end))
            return False

        self._scanner.scan(data, take)
        return spans


def _forms(how: str, word: bytes, written: bytes) -> list[str]:
    """Expressions for the places where a keyword may be. written: the transformed keyword."""
    if word in _INSTEAD:
        return [_INSTEAD[word][how]]
    literal = "".join(f"\\x{byte:02x}" for byte in written)
    forms = [literal]
    if len(word) <= _SHORT:
        forms = [_BESIDE + literal, literal + _BESIDE]
    if len(word) == _SHORT:
        forms.append(literal + "(?:[^A-Za-z0-9]|$)" if how == REVERSED else "(?:[^A-Za-z0-9]|^)" + literal)
    return forms
