"""The spellings of a secret: plain, escaped for URLs, JSON and HTML, hex, base64, base64 of base64. Pure.

One set of spellings serves requests, responses, names and values. UTF-16, line breaks and their escapes are not
spellings: claude_bottle/dlp/tokens/wrapped.py makes a copy without them, which is scanned as well.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from urllib.parse import quote

from claude_bottle.dlp.tokens.secrets import Secret

# Letters that JSON and HTML writers escape without need: gson and Go (`<>&'=`), System.Text.Json (`+` too), HTML of
# OWASP and Mustache (`/`, `=`, the backquote), Go's html/template and markupsafe (decimal).
_JSON_SETS = ("<>&'\"=", "<>&'\"+`", "<>&'\"+=/")
_HTML_HEX, _HTML_DECIMAL = "'\"/=`", "'\"+"


@dataclass(frozen=True)
class Spelling:
    """A secret in one spelling (text), and the spans of its cores in it.

    runs: runs of a core count in this spelling. plain: a letter of the secret is one letter here; digits: it is two.
    caseless: the text may come in other case.
    """

    text: bytes
    cores: tuple[tuple[int, int], ...]
    runs: bool = True
    plain: bool = False
    digits: bool = False
    caseless: bool = False


def spellings(secret: Secret) -> Iterator[Spelling]:
    """Every spelling of a secret; some may be equal."""
    raw = Spelling(secret.text.encode(), secret.cores, plain=True, caseless=True)
    yield raw
    for write in _WRITERS:
        yield _written(secret, write)
    pairs = tuple((2 * start, 2 * end) for start, end in secret.cores)
    yield Spelling(raw.text.hex().encode(), pairs, digits=True, caseless=True)
    yield Spelling(raw.text.hex().upper().encode(), pairs, digits=True, caseless=True)
    for once in _base64(raw):
        yield once
        for twice in _base64(once):
            yield replace(twice, runs=False)


def _written(secret: Secret, write: Callable[[str], str]) -> Spelling:
    parts = [write(letter).encode() for letter in secret.text]
    at = list(accumulate(map(len, parts), initial=0))
    cores = tuple((at[start], at[end]) for start, end in secret.cores)
    return Spelling(b"".join(parts), cores, runs=False, caseless=True)


def _json(escaped: str) -> Callable[[str], str]:
    return lambda letter: f"\\u{ord(letter):04x}" if letter in escaped else json.dumps(letter)[1:-1]


def _html(letter: str) -> str:
    return f"&#x{ord(letter):x};" if letter in _HTML_HEX else html.escape(letter)


def _html_decimal(letter: str) -> str:
    return f"&#{ord(letter)};" if letter in _HTML_DECIMAL else html.escape(letter)


_WRITERS: tuple[Callable[[str], str], ...] = (
    lambda letter: f"%{ord(letter):02x}",
    lambda letter: quote(letter, safe=""),
    lambda letter: quote(letter, safe="/"),
    lambda letter: quote(letter, safe=";,/?:@&=+$#!'()*"),  # ECMAScript's encodeURI
    lambda letter: json.dumps(letter)[1:-1],
    lambda letter: json.dumps(letter)[1:-1].replace("/", "\\/"),  # PHP's json_encode
    *(_json(letters) for letters in _JSON_SETS),
    html.escape,
    _html,
    _html_decimal,
)


def _base64(inner: Spelling) -> Iterator[Spelling]:
    """Base64 of any text that contains the inner one: three offsets in a group of three, two alphabets.

    Letters that a neighbour of the text, or of the core, shares are left out (RFC 4648, 4: six bits each).
    """
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + inner.text)
        first, last = _letters(shift, shift + len(inner.text))
        cores = tuple(
            (begin - first, end - first)
            for begin, end in (_letters(shift + start, shift + stop) for start, stop in inner.cores)
        )
        text = whole[first:last]
        yield Spelling(text, cores)
        if (url := text.replace(b"+", b"-").replace(b"/", b"_")) != text:
            yield Spelling(url, cores)


def _letters(start: int, end: int) -> tuple[int, int]:
    return -(-8 * start // 6), 8 * end // 6
