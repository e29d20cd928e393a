"""Addresses on hosts without a route that responses of a followed route name. Exactly these may be read. Pure.

Each proxy keeps the addresses that it has seen as salted digests, only in memory, for an hour, with a limit. The data
that the agent can put into such an address is limited: none if its request has a query or a body, none in the host
name, and a number of characters per address and per hour, because an index names the package that was requested.
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
_URLS = 1 << 15  # addresses; each takes 300 bytes in all
_HOPS = 3  # consecutive redirects
_LONGEST = 8192  # characters of an address
_ECHOED, _ECHOED_AN_HOUR = 200, 16 << 10  # characters that the agent has sent: in one address, and per route and hour
_ROUTES = 256
# RFC 6761 and 6762, RFC 7686, RFC 8375, ICANN's `internal`, and names in use within networks.
_INNER = re.compile(r"(?:\A|\.)(?:local|localhost|internal|intranet|private|corp|home|lan|invalid|onion|arpa)\Z")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_KEPT = re.compile("(@|%2F)", re.IGNORECASE)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_METADATA = ".metadata"  # PEP 658: next to each wheel of an index, under the wheel's name with this suffix
By = tuple[str, tuple[str, ...]]  # the host and the paths of a route


@dataclass(frozen=True)
class Target:
    """An address on another host. echoed: how many of its characters the agent has sent."""

    host: str
    path: str
    echoed: int


@dataclass(frozen=True)
class Named:
    """by: the route whose response named an address. kind: by its text or by a redirect. hops: redirects so far.

    echoed: characters still to be counted. until: time of expiry.
    """

    by: By
    kind: str
    echoed: int
    hops: int
    until: float


def may_hear(request: Request, has_content: bool) -> bool:
    """Whether the agent's only data in this request is its path and headers, so that it may name addresses."""
    return request.method in READS and request.scheme == "https" and "?" not in request.path and not has_content


def target(request: Request, url: str, sent: Sent) -> Target | None:
    """The target of an address in a response; None if it may not be followed. sent: the agent's data in the request."""
    if not url.isprintable() or " " in url:
        return None  # urlsplit drops some of these characters, so the address would differ from the checked one
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
    """A host's canonical name; "" if it is invalid or internal to a network."""
    try:
        host = canonical_host(name)
    except ValueError:
        return ""
    return "" if "." not in host or _INNER.search(host) else host


class Followed:
    """The named addresses. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._key = clock, os.urandom(32)
        self._urls: OrderedDict[bytes, Named] = OrderedDict()
        self._spent: OrderedDict[By, tuple[float, int]] = OrderedDict()  # start of the hour, and number of characters

    def name(self, by: By, kind: str, address: Target, hops: int = 0) -> None:
        """Record that a response names an address."""
        if hops > _HOPS:
            return
        now = self._clock()
        # Some clients normalise percent-encoding as in RFC 3986, 6.2.2, before they follow, and pip encodes almost all
        # characters. No other form matches.
        for path in {address.path, _normal(address.path), _by_pip(address.path)}:
            digest = self._digest(address.host, path)
            previous = self._urls.pop(digest, None)
            known = previous is not None and previous.by == by and now < previous.until
            # Characters that were counted once are not counted again.
            echoed = min(previous.echoed, address.echoed) if previous is not None and known else address.echoed
            self._urls[digest] = Named(by, kind, echoed, hops, now + SECONDS)
        while len(self._urls) > _URLS:
            self._urls.popitem(last=False)

    def find(self, request: Request) -> Named | None:
        """Who named exactly this address within the hour, if the request only reads it."""
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
        """Count the agent's characters in the address of a followed request. Returns whether the limit allows them."""
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
            self._urls[digest] = replace(named, echoed=0)  # counted
        self._spent[named.by] = since, spent
        if len(self._spent) > _ROUTES:
            self._spent.popitem(last=False)
        return fits

    def _digest(self, host: str, path: str) -> bytes:
        return blake2b(f"{host}\0{path}".encode("utf-8", "surrogateescape"), key=self._key, digest_size=16).digest()


def fixed_head(host: str) -> list[tuple[bytes, bytes]]:
    """The headers of a followed request, without any of the agent's. host: "" if they name none (HTTP/2)."""
    rest = [(b"user-agent", b"claude-bottle"), (b"accept", b"*/*"), (b"accept-encoding", b"identity")]
    return [(b"host", host.encode()), *rest] if host else rest


def _normal(path: str) -> str:
    def one(match: re.Match[str]) -> str:
        letter = chr(int(match[1], 16))
        return letter if letter in _UNRESERVED else match[0].upper()

    return _ESCAPED.sub(one, path)


def _by_pip(path: str) -> str:
    """The path as pip requests a link (its models/link.py, _clean_url_path): `+` of a local version is `%2B`."""
    plain, mark, query = path.partition("?")
    parts = [part.upper() if at % 2 else quote(unquote(part)) for at, part in enumerate(_KEPT.split(plain))]
    return "".join(parts) + mark + query
