"""Notes what responses say as they pass, and which requests may send it back. The rules are in
claude_bottle/dlp/said.py."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Protocol
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from mitmproxy import http

from addons.frame.body_encoding import body_encoding
from addons.frame.request import Request
from addons.frame.request_target import has_content
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.heard import Ears, Heard, heard_in_head
from claude_bottle.dlp.said import Receiver, Said, values_in
from claude_bottle.dlp.verdict import Unscannable
from claude_bottle.policy.names.hosts import canonical_host
from claude_bottle.policy.routes.table import ALLOWED_PORTS

_READS = ("GET", "HEAD")
_LOOKED_AT = 32  # addresses of other hosts that are checked in one response
_HELD = 256 << 10  # bytes of a request that is compared with the addresses in its response
_PIECE = 8  # letters: a piece of a value this long in the request means that the value may come from it


class Policy(Protocol):
    """The part of the policy that is used here."""

    def leads_to(self, scheme: str, host: str, port: int) -> bool: ...
    def leads_on(self, request: Request, host: str) -> bool: ...
    def dlp(self, host: str) -> Dlp: ...
    def leaves_out(self, host: str) -> bool: ...


class Answers:
    """The responses of all hosts."""

    def __init__(self, said: Said | None = None) -> None:
        self._said = said or Said()

    def receiver(self, request: Request) -> Receiver:
        """The host of a request, with the values that it knows."""
        return Receiver(self._said, _origin(request), request.method in _READS)

    def is_pointed_to(self, flow: http.HTTPFlow, request: Request) -> bool:
        """Whether a host has given exactly this address, and the request only fetches it."""
        fetches = request.method in _READS and not has_content(flow.request)
        return fetches and self._said.is_pointed_to(_origin(request), request.path)

    def put_in(self, request: Request, credential: bytes) -> None:
        """Note a header value that egress has injected."""
        pair = credential.partition(b" ")[2]
        try:
            decoded = base64.b64decode(pair, validate=True)
        except binascii.Error:
            decoded = b""
        for value in (credential, decoded):
            self._said.put_in(_origin(request), value)

    def let_through(self, request: Request) -> None:
        """Note that the owner has allowed a secret to be sent to a host."""
        self._said.let_through(_origin(request))

    def listen(
        self, flow: http.HTTPFlow, request: Request, response: http.Response, policy: Policy
    ) -> bool | Callable[[bytes], Iterable[bytes]]:
        """Note the values and addresses in the head. Returns how to stream the body: True, or a function for each
        piece."""
        answer = _Answer(self._said, flow, request, policy)
        answer.take(heard_in_head(response.headers.fields), in_head=True)
        ears = Ears(response.headers.get("content-type", ""), response.headers.get("content-encoding", ""))
        if not ears.listens or request.method == "HEAD" or response.status_code < 200:
            return True

        def stream(chunk: bytes) -> Iterable[bytes]:
            if ears.listens:
                answer.take(ears.feed(chunk, last=not chunk))
            return [chunk] if chunk else []

        return stream


class _Answer:
    """One response, with its request."""

    def __init__(self, said: Said, flow: http.HTTPFlow, request: Request, policy: Policy) -> None:
        self._said, self._flow, self._request, self._policy = said, flow, request, policy
        self._origin = _origin(request)
        self._left = _LOOKED_AT

    def take(self, heard: Heard, *, in_head: bool = False) -> None:
        """Note values and addresses. in_head: check every address, because there are few."""
        others: list[Request] = []
        for url in dict.fromkeys(heard.urls):
            target = _target(self._request, url)
            if target is None:
                continue
            if _origin(target) == self._origin:
                values = _values_of(target.path)
                heard.values |= values
                if not any(self._said.is_put_in(self._origin, value) for value in values):
                    self._said.point(self._origin, target.path)
            elif in_head or "?" in target.path:
                others.append(target)
        self._said.hear(self._origin, heard.values)
        for target in others:
            if self._may_point(target):
                self._said.point(_origin(target), target.path)

    def _may_point(self, target: Request) -> bool:
        """Whether a host may give an address of another host in which DLP finds something: only if the agent has no
        part in it."""
        policy = self._policy
        leads = policy.leads_to(target.scheme, target.host, target.port) or policy.leads_on(self._request, target.host)
        if target.scheme != "https" or target.port != 443 or not leads:
            return False
        if policy.leaves_out(self._request.host) or self._left <= 0:
            return False  # a secret sent there as an exception must not be passed on
        self._left -= 1
        values = policy.dlp(target.host).values_in_url(target.host, target.path)
        if not values or not all(self._said.may_be_told_on(self._origin, value) for value in values):
            return False
        pieces = {value[at : at + _PIECE].lower() for value in values for at in range(max(1, len(value) - _PIECE + 1))}
        sent = self._sent
        return sent is not None and target.host.encode() not in sent and not any(piece in sent for piece in pieces)

    @cached_property
    def _sent(self) -> bytes | None:
        return _sent(self._flow, self._request, self._policy.dlp(self._request.host))


def _sent(flow: http.HTTPFlow, request: Request, dlp: Dlp) -> bytes | None:
    """The whole request in every reading, in lower case; None if it is not fully known."""
    message = flow.request
    body = message.raw_content
    if message.stream or message.timestamp_end is None or body is None or len(body) > _HELD or message.trailers:
        return None
    kind, encoding = message.headers.get("content-type", ""), body_encoding(message.headers)
    try:
        return dlp.readings(request.host, request.path, message.headers.fields, body, kind, encoding).lower()
    except Unscannable:
        return None


def _values_of(path: str) -> set[bytes]:
    text = path.replace("=", "&").encode("utf-8", "replace")
    return values_in(text) | values_in(unquote_to_bytes(text))


def _origin(request: Request) -> str:
    return f"{request.scheme}://{request.host}"


def _target(request: Request, url: str) -> Request | None:
    """The request that an address in a response leads to, or None."""
    try:
        parts = urlsplit(urljoin(f"{request.scheme}://{request.host}{request.path}", url))
        port = parts.port or ALLOWED_PORTS.get(parts.scheme, 0)
        if parts.username is not None or parts.scheme not in ALLOWED_PORTS or port != ALLOWED_PORTS[parts.scheme]:
            return None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Request(parts.scheme, canonical_host(parts.hostname or ""), port, "GET", path)
    except ValueError:
        return None
