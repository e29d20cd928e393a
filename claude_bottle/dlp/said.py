"""What each host has said: it may be said back to it, for it knows it. And where it has pointed to. Pure.

Kept as salted digests, in memory alone, with a bound, for some hours. What DLP finds counts as known to a host only if
it is, or lies within, one whole value that this very host has said by this scheme; to every other host it is a secret.
In a body, and in the URL of what may write, only what has no vendor's shape is known: a host shows to others what it is
sent to keep.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Protocol

VALUE_SECONDS, URL_SECONDS = 8 * 3600.0, 3600.0
_HOSTS, _OF_HOST, _ALL = 256, 4096, 1 << 16  # values, of 250 bytes with all that keeps them
_URLS, _SENT = 4096, 4096
_SHORTEST, _LONGEST = 12, 4096  # letters; no rule finds a secret in less
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~+/%-"
_RUN = re.compile(rb"[A-Za-z0-9_.~+/%-]{12,4096}={0,2}")
_DIGIT = re.compile(rb"[0-9]")
_ENDS = b"\"'=&\r\n"  # of a field
_IN_HEAD = ("url", "query", "path", "header", "cookie")  # as their views are called; a name is told to name servers
JOINED = ("joined", "values", "named")  # how views end in which values stand without anything between them
_PASSED = 64  # values that one request may say back

Stamps = OrderedDict[bytes, float]  # digest to when it came


class Named(Protocol):
    """What of a rule is needed here."""

    @property
    def id(self) -> str: ...
    @property
    def is_generic(self) -> bool: ...


def values_in(text: bytes) -> set[bytes]:
    """What of a text may be a credential: its runs of letters with a digit among them, and the long parts of a path."""
    values: set[bytes] = set()
    for run in _RUN.findall(text):
        parts = [run]
        if b"/" in run:  # of base64 some part is long, of most paths none
            parts = [part for part in run.split(b"/") if len(part) >= _SHORTEST]
            parts += [run] if parts else []
        values.update(part for part in parts if _DIGIT.search(part))
    return values


class Said:
    """Of all hosts. clock: seconds. An origin is a scheme and a canonical host."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._key = clock, os.urandom(32)
        self._values: OrderedDict[str, Stamps] = OrderedDict()  # by origin; the one that was last of use is last
        self._size = 0
        self._urls: Stamps = OrderedDict()
        self._sent: Stamps = OrderedDict()  # values that were said back
        self._own: set[bytes] = set()
        self._let_through: set[str] = set()
        self._kept: set[bytes] = set()  # what a host was told that may keep it, and put it into an address at any time

    def _digest(self, origin: str, value: bytes) -> bytes:
        return blake2b(origin.encode() + b"\0" + value, key=self._key, digest_size=16).digest()

    def hear(self, origin: str, values: Iterable[bytes]) -> None:
        """Note what a host has said."""
        now, kept = self._clock(), self._values.setdefault(origin, OrderedDict())
        self._values.move_to_end(origin)
        before = len(kept)
        for value in values:
            if (digest := self._digest(origin, value)) not in self._own:
                _keep(kept, digest, now, _OF_HOST)
        self._size += len(kept) - before
        while self._size > _ALL or len(self._values) > _HOSTS:
            oldest = next(iter(self._values))
            if len(self._values) > _HOSTS or not self._values[oldest]:
                self._size -= len(self._values.pop(oldest))
            else:
                self._values[oldest].popitem(last=False)
                self._size -= 1

    def has_said(self, origin: str, value: bytes) -> bool:
        """Whether a host has said this, and it is none of the owner's credentials."""
        kept, digest = self._values.get(origin), self._digest(origin, value)
        stamp = kept.get(digest) if kept is not None else None
        if kept is None or stamp is None or self._clock() - stamp >= VALUE_SECONDS or self.is_put_in(origin, value):
            return False
        _keep(kept, digest, self._clock(), _OF_HOST)
        self._values.move_to_end(origin)
        return True

    def put_in(self, origin: str, credential: bytes) -> None:
        """Note what egress has put in for a host: never is it said back."""
        if len(self._own) < _SENT:
            self._own |= {self._digest(origin, value) for value in values_in(credential)}

    def is_put_in(self, origin: str, value: bytes) -> bool:
        """Whether it is the owner's credential for that host, or there are more of those than are kept."""
        return len(self._own) >= _SENT or self._digest(origin, value) in self._own

    def say_back(self, value: bytes) -> None:
        """Note that a value was let through because its receiver had said it."""
        _keep(self._sent, self._digest("", value), self._clock(), _SENT)

    def tell_to_keep(self, value: bytes) -> None:
        """Note that a host was told this back where it may keep it."""
        if len(self._kept) < _SENT:
            self._kept.add(self._digest("", value))

    def let_through(self, origin: str) -> None:
        """Note that a host has got a secret because the owner let it through."""
        self._let_through.add(origin)

    def may_be_told_on(self, origin: str, value: bytes) -> bool:
        """Whether a host that puts this into the address of another one has not been told it by the agent as an
        exception, and has not said it as something of its own."""
        now = self._clock()
        while self._sent and next(iter(self._sent.values())) < now - VALUE_SECONDS:
            self._sent.popitem(last=False)
        # With more to remember than room nobody knows any more.
        return not (
            len(self._sent) >= _SENT
            or origin in self._let_through
            or len(self._kept) >= _SENT
            or self._digest("", value) in self._kept
            or self._digest("", value) in self._sent
            or self.is_put_in(origin, value)
            or self.has_said(origin, value)
        )

    def point(self, origin: str, path: str) -> None:
        """Note an address that was said by who may: by its own host, or by another one that `may_be_told_on` allows."""
        _keep(self._urls, self._digest(origin, _normal(path)), self._clock(), _URLS)

    def is_pointed_to(self, origin: str, path: str) -> bool:
        """Whether exactly this address was said, within the last hour."""
        stamp = self._urls.get(self._digest(origin, _normal(path)))
        return stamp is not None and self._clock() - stamp < URL_SECONDS


class Receiver:
    """What the host of one request knows. reads: its method changes nothing there (GET, HEAD). passed: what of it was
    found in the request and let through."""

    def __init__(self, said: Said, origin: str, reads: bool) -> None:
        self._said, self._origin, self._reads = said, origin, reads
        self.passed: set[bytes] = set()
        self.whole: set[bytes] = set()  # of these, what a precise rule has found

    def knows(self, rule: Named, where: str, text: bytes, start: int, end: int) -> bool:
        """Whether what a rule has found in a view lies within a value that the host has said."""
        begins, _, _ = where.partition(">")
        if begins == "host" or len(self.passed) >= _PASSED:
            return False
        first, last = _run_around(text, start, end)
        is_read = begins in ("header", "cookie") or (self._reads and begins in _IN_HEAD)
        if not is_read and not ((rule.is_generic or rule.id == "jwt") and _is_field(text, first, last)):
            return False
        run = text[first:last]
        before, behind = text[first:start].rpartition(b"/")[2], text[end:last].partition(b"/")[0]
        for value in (text[start:end], run, before + text[start:end] + behind):
            if _SHORTEST <= len(value) <= _LONGEST + 2 and self._said.has_said(self._origin, value):
                self.passed.add(value)
                if not rule.is_generic:
                    self.whole.add(value)
                self._said.say_back(value)
                self._said.say_back(text[start:end])
                if not is_read:
                    self._said.tell_to_keep(value)
                    self._said.tell_to_keep(text[start:end])
                return True
        return False

    def without_passed(self, text: bytes, *, generic: bool = False) -> bytes:
        """A text with line ends for what was let through as a secret of a known shape: it makes nothing together with
        its neighbours. generic: for what was let through by its name alone, too; a piece of a secret can be such."""
        for value in self.passed if generic else self.whole:
            text = text.replace(value, b"\n")
        return text


def _run_around(text: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the run of letters is that holds this part."""
    before, behind = text[max(0, start - _LONGEST) : start], text[end : end + _LONGEST]
    first = start - (len(before) - len(before.rstrip(_LETTERS)))
    rest = behind.lstrip(_LETTERS)
    equals = len(rest) - len(rest.lstrip(b"="))
    return first, end + len(behind) - len(rest) + min(equals, 2)


def _is_field(text: bytes, first: int, last: int) -> bool:
    return (first == 0 or text[first - 1] in _ENDS) and (last >= len(text) or text[last] in _ENDS)


_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _normal(path: str) -> bytes:
    """Percent signs as RFC 3986, 6.2.2, has them: clients write them so before they follow."""

    def one(match: re.Match[str]) -> str:
        letter = chr(int(match.group(1), 16))
        return letter if letter in _UNRESERVED else match.group().upper()

    return _ESCAPED.sub(one, path).encode("utf-8", "surrogateescape")


def _keep(kept: Stamps, digest: bytes, now: float, most: int) -> None:
    kept[digest] = now
    kept.move_to_end(digest)
    if len(kept) > most:
        kept.popitem(last=False)
