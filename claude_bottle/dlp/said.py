"""The values that each host has said, which may be sent back to it because it knows them, and the addresses it gave.
Pure.

Values are kept as salted digests, in memory alone, bounded, for some hours. A finding counts as known to a host only if
it equals, or lies within, one whole value that this host has said over this scheme; for every other host it is a
secret. In a body, and in the URL of a request that may write, only values without a vendor's shape count as known,
because a host shows stored data to others.
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
_HOSTS, _OF_HOST, _ALL = 256, 4096, 1 << 16  # values; each costs 250 bytes with its bookkeeping
_URLS, _SENT = 4096, 4096
_SHORTEST, _LONGEST = 12, 4096  # characters; no rule matches less
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~+/%-"
_RUN = re.compile(rb"[A-Za-z0-9_.~+/%-]{12,4096}={0,2}")
_DIGIT = re.compile(rb"[0-9]")
_ENDS = b"\"'=&\r\n"  # characters that delimit a field
_IN_HEAD = ("url", "query", "path", "header", "cookie")  # view labels; not of the host, which name servers see
JOINED = ("joined", "values", "named")  # endings of labels of views whose values stand without a delimiter
_PASSED = 64  # values that one request may send back

Stamps = OrderedDict[bytes, float]  # digest to the time it was noted


class Named(Protocol):
    """The part of a rule that is used here."""

    @property
    def id(self) -> str: ...
    @property
    def is_generic(self) -> bool: ...


def values_in(text: bytes) -> set[bytes]:
    """The parts of a text that may be credentials: runs of letters with a digit among them, and long segments of a
    path."""
    values: set[bytes] = set()
    for run in _RUN.findall(text):
        parts = [run]
        if b"/" in run:  # some segment of base64 is long; of most paths none is
            parts = [part for part in run.split(b"/") if len(part) >= _SHORTEST]
            parts += [run] if parts else []
        values.update(part for part in parts if _DIGIT.search(part))
    return values


class Said:
    """What all hosts have said. clock: seconds. An origin is a scheme and a canonical host."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._key = clock, os.urandom(32)
        self._values: OrderedDict[str, Stamps] = OrderedDict()  # by origin; the most recently used one is last
        self._size = 0
        self._urls: Stamps = OrderedDict()
        self._sent: Stamps = OrderedDict()  # values that were sent back
        self._own: set[bytes] = set()
        self._let_through: set[str] = set()
        self._kept: set[bytes] = set()  # values that a host may have stored, and may put into an address at any time

    def _digest(self, origin: str, value: bytes) -> bytes:
        return blake2b(origin.encode() + b"\0" + value, key=self._key, digest_size=16).digest()

    def hear(self, origin: str, values: Iterable[bytes]) -> None:
        """Note values that a host has said. An owner's credential for that host is not noted."""
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
        """Whether a host has said this value within VALUE_SECONDS, and it is none of the owner's credentials."""
        kept, digest = self._values.get(origin), self._digest(origin, value)
        stamp = kept.get(digest) if kept is not None else None
        if kept is None or stamp is None or self._clock() - stamp >= VALUE_SECONDS or self.is_put_in(origin, value):
            return False
        _keep(kept, digest, self._clock(), _OF_HOST)
        self._values.move_to_end(origin)
        return True

    def put_in(self, origin: str, credential: bytes) -> None:
        """Note a credential that egress has injected for a host. Its values are never allowed back."""
        if len(self._own) < _SENT:
            self._own |= {self._digest(origin, value) for value in values_in(credential)}

    def is_put_in(self, origin: str, value: bytes) -> bool:
        """Whether the value is the owner's credential for that host, or there are more of those than are kept."""
        return len(self._own) >= _SENT or self._digest(origin, value) in self._own

    def say_back(self, value: bytes) -> None:
        """Note that a value was allowed because its receiver had said it."""
        _keep(self._sent, self._digest("", value), self._clock(), _SENT)

    def tell_to_keep(self, value: bytes) -> None:
        """Note that a value was sent back to a host in a place that the host may store."""
        if len(self._kept) < _SENT:
            self._kept.add(self._digest("", value))

    def let_through(self, origin: str) -> None:
        """Note that a host has received a secret because the owner allowed it."""
        self._let_through.add(origin)

    def may_be_told_on(self, origin: str, value: bytes) -> bool:
        """Whether this value, in an address that `origin` gives, is trusted as no relay of a secret: the agent has not
        sent it as an exception, and the host has not said it as a value of its own."""
        now = self._clock()
        while self._sent and next(iter(self._sent.values())) < now - VALUE_SECONDS:
            self._sent.popitem(last=False)
        # If there are more values than are kept, nothing is trusted.
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
        """Note an address that its own host gave, or another host that `may_be_told_on` allows."""
        _keep(self._urls, self._digest(origin, _normal(path)), self._clock(), _URLS)

    def is_pointed_to(self, origin: str, path: str) -> bool:
        """Whether exactly this address was given within the last hour."""
        stamp = self._urls.get(self._digest(origin, _normal(path)))
        return stamp is not None and self._clock() - stamp < URL_SECONDS


class Receiver:
    """What the host of one request knows. reads: the method changes nothing there (GET, HEAD). passed: known values
    that were found in the request and allowed."""

    def __init__(self, said: Said, origin: str, reads: bool) -> None:
        self._said, self._origin, self._reads = said, origin, reads
        self.passed: set[bytes] = set()
        self.whole: set[bytes] = set()  # those of `passed` that a precise rule has found

    def knows(self, rule: Named, where: str, text: bytes, start: int, end: int) -> bool:
        """Whether a rule's match in a view lies within a value that the host has said. Notes the value as allowed if
        so."""
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
        """The text with each allowed value of a known shape replaced by a line break, so that it makes no secret with
        its neighbours. generic: replace the ones that generic rules found too; a piece of a secret can be among
        them."""
        for value in self.passed if generic else self.whole:
            text = text.replace(value, b"\n")
        return text


def _run_around(text: bytes, start: int, end: int) -> tuple[int, int]:
    """Start and end of the run of letters around this match."""
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
    """The path with percent escapes normalised by RFC 3986, 6.2.2, because clients do that before they follow an
    address."""

    def one(match: re.Match[str]) -> str:
        letter = chr(int(match.group(1), 16))
        return letter if letter in _UNRESERVED else match.group().upper()

    return _ESCAPED.sub(one, path).encode("utf-8", "surrogateescape")


def _keep(kept: Stamps, digest: bytes, now: float, most: int) -> None:
    kept[digest] = now
    kept.move_to_end(digest)
    if len(kept) > most:
        kept.popitem(last=False)
