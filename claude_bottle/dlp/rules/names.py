"""Whether what stands before a value names a credential: weak evidence needs a name and a place of its kind. Pure.

A vendor's shape decides anywhere. The generic rule has no shape: a word like `key` in what stands before, and letters
that look random. Cursors, page tokens, idempotency keys, nonces, digests and keys of caches look the same. So its
finding counts only where the words of the name are those of a credential, and none says that the value is something
else. What is in doubt counts.
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
# A token of the client's own making, by which AWS knows a repeated request (its API references: ClientToken,
# ClientRequestToken).
_OF_A_CLIENT = ("client", "token")
_ORDINARY = re.compile(  # words in which a keyword stands and means nothing
    r"(?:key(?:board|chain|code|down|frame|hole|line|map|note|pad|point|press|ring|space|stone|stroke|up|word)s?|"
    r"(?:donk|hock|jock|monk|turk|whisk)eys?|(?:de|re)?token(?:s|ise|ize|ised|ized|iser|izer|isation|ization)|keys|keyed|"
    r"access(?:ed|es|ible|ibility|ing|ion|or|ors|ory|ories)|author(?:s|ed|ing|ity|ities|ship)?|authentic|secret(?:ary|ariat))"
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_GLUED = ("token", "secret", "password", "key", "auth", "access")
_KEYWORDS = ("key", "token", "auth", "access")  # and `api`, as a word
# What stands between name and value; gitleaks' generic rule has the same in its expression.
_BETWEEN = re.compile(
    rb"(?P<name>.*?)(?P<quote>['\"\s\\]*)(?P<sign>=>|\?=|:{1,3}=|\|\||[=>:,])[\x60'\"\s=]*\Z", re.DOTALL
)
_IN_A_PHRASE = re.compile(r"[A-Za-z][A-Za-z_-]*[0-9]{0,3}|[0-9]{1,3}")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PARTS = re.compile(rb"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+){2,}|[a-z]+[0-9]{0,2}[._-][a-z]+[0-9]{0,2}")


# A signature in a header, made with the key and never the key (Microsoft, Authorize with Shared Key; HMAC-SHA256).
_SHARED_KEY = re.compile(rb"\bSharedKey(?:Lite)?\s+[a-z0-9]{3,24}:\Z")
_HMAC = re.compile(rb"[A-Za-z0-9+/]{43}=(?![A-Za-z0-9+/=])")


def is_credential(text: bytes, start: int, value: int, end: int) -> bool:
    """Whether a finding of the generic rule is one. It begins at `start`, and the value at `value`."""
    if _SHARED_KEY.search(text[max(0, value - 60) : value]) and _HMAC.match(text, value):
        return False
    match = _BETWEEN.match(text[start:value])
    if match is None:
        return True
    name, sign = match["name"].decode("latin-1"), match["sign"]
    if sign == b"," and not (b'"' in match["quote"] or b"'" in match["quote"] or _begins_a_line(text, start)):
        return False  # a list of words, as a header has
    if sign == b">" and name.endswith("-"):  # an arrow of a language
        return False
    said = name.split()
    if len(said) > 1 and not all(map(_IN_A_PHRASE.fullmatch, said)):
        said = said[-1:]  # `oauth2 v0.21.0 h1:` is about h1
    words = words_of(" ".join(said))
    if words == ["key"]:  # of a map as often as of an API: an identifier, or a name in parts, is none
        return not (_UUID.match(text, value) or _PARTS.fullmatch(text[value:end]))
    return says_credential(words)


def says_credential(words: list[str]) -> bool:
    """Whether the words of a name are those of a credential."""
    known = set(words)
    if known & _SECRETS:
        return True
    if known & _NEVER or not any(_holds_keyword(word) for word in words):
        return False
    if not known & _OTHERS:
        return words[-2:] != list(_OF_A_CLIENT)
    # `page access token`, `cache api key`: whose it is stands right before it, and nothing but that behind it.
    return words[-1] in _THINGS and len(words) > 1 and words[-2] in _OWNERS


def words_of(name: str) -> list[str]:
    """`nextPageToken`, `next_page_token` and `nextpagetoken` as next, page, token."""
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
    """Whether a keyword of the generic rule is in it, and it is no ordinary word."""
    return _ORDINARY.fullmatch(word) is None and (word == "api" or any(k in word for k in _KEYWORDS))


def _begins_a_line(text: bytes, start: int) -> bool:
    return start == 0 or text[start - 1 : start] in (b"\n", b"\r")
