"""What the answers of an index point to on hosts without a route: exactly these addresses may be read. Pure.

Each proxy notes for itself what it has seen, as salted digests, in memory alone, for an hour, with a bound. What the
agent can put into such an address is bounded: nothing where its request has a query or a body, nothing in the name of
the host, and so many letters in one address and in an hour, for an index names the package that was asked for.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import quote, unquote, urljoin, urlsplit

from addons.follow.sent import Sent
from addons.frame.request import Request
from claude_bottle.policy.names.hosts import canonical_host
from claude_bottle.policy.routes.follow import LINKS, READS
from claude_bottle.policy.routes.targets import check_target, is_git_push_request

SECONDS = 3600.0
_URLS = 1 << 15  # addresses, of 300 bytes with all that keeps them
_HOPS = 3  # redirects behind one another
_LONGEST = 8192  # letters of an address
_ECHOED, _ECHOED_AN_HOUR = 200, 16 << 10  # letters that the agent has sent: in one address, and of one route
_ROUTES = 256
# RFC 6761 and 6762, RFC 7686, RFC 8375, ICANN's `internal`, and names in use within networks.
_INNER = re.compile(r"(?:\A|\.)(?:local|localhost|internal|intranet|private|corp|home|lan|invalid|onion|arpa)\Z")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_KEPT = re.compile("(@|%2F)", re.IGNORECASE)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_METADATA = ".metadata"  # PEP 658: beside each wheel of an index, under its name and this
By = tuple[str, tuple[str, ...]]  # the host and the paths of a route


@dataclass(frozen=True)
class Target:
    """An address on another host. echoed: how many letters of it the agent has sent."""

    host: str
    path: str
    echoed: int


@dataclass(frozen=True)
class Named:
    """by: whose answer has named an address. kind: whether in its text or by a redirect. hops: redirects so far."""

    by: By
    kind: str
    echoed: int
    hops: int
    until: float


def may_hear(request: Request, has_content: bool) -> bool:
    """Whether the agent can have put no more into the answer to this request than its path and headers hold."""
    return request.method in READS and request.scheme == "https" and "?" not in request.path and not has_content


def target(request: Request, url: str, sent: Sent) -> Target | None:
    """What an address in an answer to a request leads to; None where it may not be followed. sent: of that request."""
    if not url.isprintable() or " " in url:
        return None  # urlsplit drops some of these, and then the address is not what was compared
    absolute = url.startswith("https://")
    try:
        parts = urlsplit(url if absolute else urljoin(f"{request.scheme}://{request.host}{request.path}", url))
        port = parts.port
    except ValueError:
        return None
    host = _outer(parts.hostname or "")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme != "https" or port not in (None, 443) or "@" in parts.netloc:
        return None
    if not host or host == request.host or len(path) > _LONGEST or check_target(path) is not None:
        return None
    if ("%" in path or "receive-pack" in path.lower()) and is_git_push_request(path):
        return None
    if sent.is_in(host) or (echoed := sent.letters_in(path)) > _ECHOED:
        return None
    return Target(host, path, echoed)


@lru_cache(256)
def _outer(name: str) -> str:
    """A host's canonical name; "" for what is none, or is one within a network."""
    try:
        host = canonical_host(name)
    except ValueError:
        return ""
    return "" if "." not in host or _INNER.search(host) else host


class Followed:
    """Addresses that were named. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._key = clock, os.urandom(32)
        self._urls: OrderedDict[bytes, Named] = OrderedDict()
        self._spent: OrderedDict[By, tuple[float, int]] = OrderedDict()  # since when, and how many letters

    def name(self, by: By, kind: str, address: Target, hops: int = 0) -> None:
        """Note that an answer names an address."""
        if hops > _HOPS:
            return
        now = self._clock()
        # Some clients write percent signs as RFC 3986, 6.2.2, has them before they follow, pip all but few letters; no
        # other form passes.
        for path in {address.path, _normal(address.path), _by_pip(address.path)}:
            digest = self._digest(address.host, path)
            previous = self._urls.pop(digest, None)
            known = previous is not None and previous.by == by and now < previous.until
            # What it was said to hold once is not told anew.
            echoed = min(previous.echoed, address.echoed) if previous is not None and known else address.echoed
            self._urls[digest] = Named(by, kind, echoed, hops, now + SECONDS)
        while len(self._urls) > _URLS:
            self._urls.popitem(last=False)

    def find(self, request: Request) -> Named | None:
        """By whom exactly this address was named within the hour, where it is only to be read."""
        entry = self._found(request)
        return entry[1] if entry is not None else None

    def _found(self, request: Request) -> tuple[bytes, Named] | None:
        if request.method not in READS or (request.scheme, request.port) != ("https", 443):
            return None
        for path in (request.path, request.path.removesuffix(_METADATA)):
            digest = self._digest(request.host, path)
            named = self._urls.get(digest)
            beside = path != request.path
            if named is None or self._clock() >= named.until:
                continue
            if not beside or (named.kind == LINKS and path.endswith(".whl")):
                return digest, named
        return None

    def spend(self, request: Request) -> bool:
        """Count what the agent has put into the address of a request that follows; whether that is not too much."""
        entry = self._found(request)
        if entry is None or not entry[1].echoed:
            return entry is not None
        digest, named = entry
        now = self._clock()
        since, spent = self._spent.pop(named.by, (now, 0))
        if now - since >= SECONDS:
            since, spent = now, 0
        fits = spent + named.echoed <= _ECHOED_AN_HOUR
        if fits:
            spent += named.echoed
            self._urls[digest] = replace(named, echoed=0)  # it has been told
        self._spent[named.by] = since, spent
        if len(self._spent) > _ROUTES:
            self._spent.popitem(last=False)
        return fits

    def _digest(self, host: str, path: str) -> bytes:
        return blake2b(f"{host}\0{path}".encode("utf-8", "surrogateescape"), key=self._key, digest_size=16).digest()


def fixed_head(host: str) -> list[tuple[bytes, bytes]]:
    """The headers of a request that follows: the agent has no part in them. host: "" where they name none (HTTP/2)."""
    rest = [(b"user-agent", b"claude-bottle"), (b"accept", b"*/*"), (b"accept-encoding", b"identity")]
    return [(b"host", host.encode()), *rest] if host else rest


def _normal(path: str) -> str:
    def one(match: re.Match[str]) -> str:
        letter = chr(int(match[1], 16))
        return letter if letter in _UNRESERVED else match[0].upper()

    return _ESCAPED.sub(one, path)


def _by_pip(path: str) -> str:
    """As pip asks for a link (its models/link.py, _clean_url_path): `+` of a local version is `%2B`."""
    plain, mark, query = path.partition("?")
    parts = [part.upper() if at % 2 else quote(unquote(part)) for at, part in enumerate(_KEPT.split(plain))]
    return "".join(parts) + mark + query
