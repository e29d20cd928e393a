"""Whether globs of refs together cover everything that another glob matches: decided exactly, not by examples. Pure.

The globs are those of fnmatch(3) as git-gate reads them (sidecar_images/git_gate/push_policy.py): `*` matches slashes
too, and a glob without `refs/` is one of branches.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence

_STAR = None
_OTHER = "\0"  # represents every character that no glob names
_NO_REF = frozenset("~^:?*[\\ \x7f")  # in no ref (git check-ref-format)
_MANY = 20_000  # states; beyond, the glob counts as not covered
_TOKEN = re.compile(r"\*+|\?|\[(!?)(\]?[^\]]*)\]|.", re.DOTALL)
Token = frozenset[str] | None


def covered(glob: str, globs: Iterable[str]) -> bool:
    """Whether each ref that `glob` matches is matched by one of `globs`."""
    texts = [_whole(one) for one in (glob, *globs)]
    letters = frozenset("".join(texts)) | frozenset(string.ascii_letters + string.digits + "-._/") | {_OTHER}
    one, *others = [_tokens(text, letters - _NO_REF) for text in texts]
    begin = (0, frozenset((index, place) for index, tokens in enumerate(others) for place in _skip(tokens, 0)))
    seen, left = {begin}, [begin]
    while left:
        if len(seen) > _MANY:
            return False
        place, positions = left.pop()
        for at in _skip(one, place):
            if at == len(one):
                if not any(spot == len(others[index]) for index, spot in positions):
                    return False
                continue
            for letter in letters - _NO_REF if one[at] is _STAR else one[at] or ():
                after = (at if one[at] is _STAR else at + 1, _step(others, positions, letter))
                if after not in seen:
                    seen.add(after)
                    left.append(after)
    return True


def _step(globs: list[list[Token]], positions: Iterable[tuple[int, int]], letter: str) -> frozenset[tuple[int, int]]:
    after = set()
    for index, place in positions:
        tokens = globs[index]
        if place == len(tokens):
            continue
        token = tokens[place]
        if token is _STAR:
            after |= {(index, spot) for spot in _skip(tokens, place)}
        elif letter in token:
            after |= {(index, spot) for spot in _skip(tokens, place + 1)}
    return frozenset(after)


def _skip(tokens: Sequence[Token], place: int) -> list[int]:
    """The places reachable without consuming a letter."""
    places = [place]
    while place < len(tokens) and tokens[place] is _STAR:
        place += 1
        places.append(place)
    return places


def _tokens(text: str, letters: frozenset[str]) -> list[Token]:
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word[0] == "*":
            tokens.append(_STAR)
        elif word == "?":
            tokens.append(letters)
        elif match[2]:
            named = re.compile(f"[{'^' if match[1] else ''}{_class(match[2])}]")
            tokens.append(frozenset(one for one in letters if named.match(one)))
        else:
            tokens.append(frozenset(word) & letters)
    return tokens


def _class(text: str) -> str:
    """A character class as fnmatch forms it; a range whose end precedes its beginning is empty."""
    parts = re.findall(r".-.|.", text, re.DOTALL)
    return "".join(
        "-".join(re.escape(end) for end in (part[0], part[2])) if len(part) == 3 else re.escape(part)
        for part in parts
        if len(part) < 3 or part[0] <= part[2]
    )


def _whole(glob: str) -> str:
    return glob if glob.startswith("refs/") else f"refs/heads/{glob}"
