"""A secret backwards, or its letters moved by thirteen: found by the words of the rules, written so. Pure.

Each rule has words without which nothing matches it. One pass over a text looks for all of them in both ways, and only
what is around one is turned and looked at.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Any

from claude_bottle.dlp.rules.prefilter import Searched
from claude_bottle.dlp.text.near import MANY, near

REVERSED, ROT13 = "reversed", "rot13"
# Beside a short word more of a secret must stand, or, where it is four letters long, nothing of a word.
_SHORT = 4
_REACH = 400  # bytes: of every shape the shortest form has less
_BESIDE = "[A-Za-z0-9_+/=.-]{8}"
# What any text has: with more of what must stand beside it. Of Twilio's keys; of a JWT, whose second part begins as the
# first does; of an address with a password.
_INSTEAD = {
    b"://": {REVERSED: r"@[^\s/@]{4,80}:[^\s:/@]{0,60}//:", ROT13: r"://[^\s:/@]{0,60}:[^\s/@]{4,80}@"},
    b"sk": {REVERSED: "[0-9a-f]{8}ks", ROT13: "fx[0-9n-s]{8}"},
    b"ey": {REVERSED: r"[A-Za-z0-9]{8}ye\.", ROT13: r"\.rl[A-Za-z0-9]{8}"},
}
ROT13_LETTERS = bytes(
    codecs.encode(chr(byte), "rot13").encode("latin-1")[0] if byte < 128 else byte for byte in range(256)
)


# Of rules that ask for the vendor's name, which a secret of its own shape needs not have beside it: how that begins, or
# ends.
_BY_SHAPE = (b"pat", b"sl.", b"pk.", b"key-", b"-us", b"access-", b"aqvn", b"t1.", b"aaaaaaaaaa")


class Mirror:
    """Of these rules. always: read all of it backwards, for there are rules without such words. fast: by hyperscan."""

    def __init__(self, rules: Iterable[Searched], *, always: bool, fast: bool) -> None:
        self._always = always
        words = sorted({*_BY_SHAPE, *(word for rule in rules for word in rule.keywords)})
        self._words = [(how, word) for word in words for how in (REVERSED, ROT13)]
        self._plain = [word[::-1] if how == REVERSED else word.translate(ROT13_LETTERS) for how, word in self._words]
        self._scanner = self._compiled() if fast else None

    def readings(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """How a part of it is to be read, and the part, read so."""
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
    """Expressions for where a word may be; written: as it stands there."""
    if word in _INSTEAD:
        return [_INSTEAD[word][how]]
    literal = "".join(f"\\x{byte:02x}" for byte in written)
    forms = [literal]
    if len(word) <= _SHORT:
        forms = [_BESIDE + literal, literal + _BESIDE]
    if len(word) == _SHORT:
        forms.append(literal + "(?:[^A-Za-z0-9]|$)" if how == REVERSED else "(?:[^A-Za-z0-9]|^)" + literal)
    return forms
