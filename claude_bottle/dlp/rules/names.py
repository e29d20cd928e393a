"""Whether the text before a value names a credential: weak evidence needs a credential's name and context. Pure.

A vendor's shape decides anywhere. The generic rule has no shape: it needs a word like `key` before the value, and
letters that look random. Cursors, page tokens, idempotency keys, nonces, digests and cache keys look the same. So its
finding counts only if the words of the name are those of a credential and none of them names something else. In doubt
it counts.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_LISTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_SECRETS, _OWNERS, _NEVER, _OTHERS = (
    frozenset(_LISTS[name].split()) for name in ("secrets", "owners", "never", "others")
)
_THINGS = frozenset(("key", "token"))
# A token that the client makes, by which AWS recognises a repeated request (its API references: ClientToken,
# ClientRequestToken).
_OF_A_CLIENT = ("client", "token")
_ORDINARY = re.compile(  # words that contain a keyword by chance
    r"(?:key(?:board|chain|code|down|frame|hole|line|map|note|pad|point|press|ring|space|stone|stroke|up|word)s?|"
    r"(?:donk|hock|jock|monk|turk|whisk)eys?|(?:de|re)?token(?:s|ise|ize|ised|ized|iser|izer|isation|ization)|keys|keyed|"
    r"access(?:ed|es|ible|ibility|ing|ion|or|ors|ory|ories)|author(?:s|ed|ing|ity|ities|ship)?|authentic|secret(?:ary|ariat))"
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_GLUED = ("token", "secret", "password", "key", "auth", "access")
_KEYWORDS = ("key", "token", "auth", "access")  # and `api`, as a word
# Separators between name and value; gitleaks' generic rule has the same in its expression.
_BETWEEN = re.compile(
    rb"(?P<name>.*?)(?P<quote>['\"\s\\]*)(?P<sign>=>|\?=|:{1,3}=|\|\||[=>:,])[\x60'\"\s=]*\Z", re.DOTALL
)
_IN_A_PHRASE = re.compile(r"[A-Za-z][A-Za-z_-]*[0-9]{0,3}|[0-9]{1,3}")
_IN_CODE = re.compile(r"_?[A-Za-z][A-Za-z_]{0,29}(?:[0-9]{1,2}[a-z]{0,9})?")
_SNAKE = re.compile(rb"[a-z]{2,14}(?:_[a-z]{2,14}){2,5}[0-9]{0,2}")  # three words and more
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PARTS = re.compile(rb"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+){2,}|[a-z]+[0-9]{0,2}[._-][a-z]+[0-9]{0,2}")


# A signature in a header, made with the key but never the key (Microsoft, Authorize with Shared Key; HMAC-SHA256).
_SHARED_KEY = re.compile(rb"\bSharedKey(?:Lite)?\s+[a-z0-9]{3,24}:\Z")
_HMAC = re.compile(rb"[A-Za-z0-9+/]{43}=(?![A-Za-z0-9+/=])")


def is_credential(text: bytes, start: int, value: int, end: int) -> bool:
    """Whether a match of the generic rule is a credential. The match begins at `start`, the value at `value`."""
    if _SHARED_KEY.search(text[max(0, value - 60) : value]) and _HMAC.match(text, value):
        return False
    match = _BETWEEN.match(text[start:value])
    if match is None:
        return True
    name, sign = match["name"].decode("latin-1"), match["sign"]
    if sign == b"," and not (b'"' in match["quote"] or b"'" in match["quote"] or _begins_a_line(text, start)):
        return False  # a list of words, as in a header
    if sign == b">" and name.endswith("-"):  # an arrow, as in code
        return False
    said = name.split()
    if len(said) > 1 and not all(map(_IN_A_PHRASE.fullmatch, said)):
        said = said[-1:]  # `oauth2 v0.21.0 h1:` names h1
    if said and (_is_attribute(said[-1], text[value:end]) or _is_a_name(text[value:end])):
        return False
    words = words_of(" ".join(said))
    if words == ["key"]:  # as often a map's key as an API's: no identifier, no dotted name
        return not (_UUID.match(text, value) or _PARTS.fullmatch(text[value:end]))
    return says_credential(words)


def _is_attribute(name: str, value: bytes) -> bool:
    """Whether the value is code that names a thing by its own name: `OpenKeyEx = win32api.OpenKeyEx`."""
    path, _, last = value.decode("latin-1").rpartition(".")
    return last == name.rpartition(".")[2] and all(map(_IN_CODE.fullmatch, path.split(".")))


def _is_a_name(value: bytes) -> bool:
    """Whether the value is itself the name of a credential: `"private_key.test", "private_key_pem_pkcs8"`."""
    return _SNAKE.fullmatch(value) is not None and says_credential(words_of(value.decode("latin-1")))


def says_credential(words: list[str]) -> bool:
    """Whether the words of a name are those of a credential."""
    known = set(words)
    if known & _SECRETS:
        return True
    if known & _NEVER or not any(_holds_keyword(word) for word in words):
        return False
    if not known & _OTHERS:
        return words[-2:] != list(_OF_A_CLIENT)
    # `page access token`, `cache api key`: its owner stands right before it, and nothing follows it.
    return words[-1] in _THINGS and len(words) > 1 and words[-2] in _OWNERS


def words_of(name: str) -> list[str]:
    """Splits `nextPageToken`, `next_page_token` and `nextpagetoken` into next, page, token."""
    return [part for word in _WORDS.findall(name) for part in _parted(word.lower())]


def _parted(word: str) -> list[str]:
    if word in _OTHERS or word in _NEVER or word in _OWNERS or _ORDINARY.fullmatch(word):
        return [word]
    for ending in _GLUED:
        if word != ending and word.endswith(ending):
            return [*_parted(word.removesuffix(ending)), ending]
    for beginning in ("next", "page", "previous", "continuation"):
        if word.startswith(beginning) and word != beginning:
            return [beginning, *_parted(word.removeprefix(beginning))]
    return [word]


def _holds_keyword(word: str) -> bool:
    """Whether the word contains a keyword of the generic rule and is no ordinary word."""
    return _ORDINARY.fullmatch(word) is None and (word == "api" or any(k in word for k in _KEYWORDS))


def _begins_a_line(text: bytes, start: int) -> bool:
    return start == 0 or text[start - 1 : start] in (b"\n", b"\r")
