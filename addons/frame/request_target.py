"""The host that a client addresses: CONNECT, TLS server name, request target and Host header must agree."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mitmproxy import connection, http, tls

from addons.frame.request import Request
from claude_bottle.policy.names.a_labels import PREFIX
from claude_bottle.policy.names.hosts import canonical_host, split_authority

_TOKEN, _CONTROL = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z"), re.compile(rb"[\x00-\x1f\x7f]")
_METHOD = re.compile(rb"[A-Z][A-Z-]{0,30}\Z")
# Of several of these, some servers use the first, others the last, or both.
_SINGLE = ("content-type", "content-encoding", "content-disposition", "authorization", "expect", "sec-websocket-key")
_PLAIN = re.compile(r"(?P<host>[A-Za-z0-9_.-]{1,253})(?::(?P<port>[0-9]{1,5}))?")
_ECH = 0xFE0D  # encrypted_client_hello (RFC 9849)


class Tunnels:
    """Remembers the CONNECT target of each client connection."""

    def __init__(self) -> None:
        self._targets: dict[str, tuple[str, int]] = {}

    def open(self, client: connection.Client, host: str, port: int) -> None:
        self._targets[client.id] = (host, port)

    def target(self, client: connection.Client) -> tuple[str, int] | None:
        return self._targets.get(client.id)

    def close(self, client: connection.Client) -> None:
        self._targets.pop(client.id, None)


def connect_target(flow: http.HTTPFlow) -> tuple[str, int]:
    """Host and port of a CONNECT. Raises ValueError unless both spellings agree and are plain."""
    host, port = split_authority(authority_of(flow.request), 443)
    if (canonical_host(flow.request.host), flow.request.port) != (host, port):
        raise ValueError("the target is not clear")
    named = flow.request.headers.get_all("host")
    if len(named) > 1 or (named and split_authority(named[0], port) != (host, port)):
        raise ValueError("the target and the Host header differ")
    return host, port


def authority_of(request: http.Request) -> str:
    """The authority as sent. mitmproxy's own attribute decodes punycode."""
    return request.data.authority.decode("latin-1")


def use_host(request: http.Request, host: str) -> None:
    """Set a request's canonical host in every place, so that the judged host is the one that is used. Ports stay."""
    request.data.host = host  # mitmproxy's own attribute would rewrite the port
    if "host" in request.headers:
        request.headers["host"] = host + _port_of(request.headers["host"])
    if authority := authority_of(request):
        request.data.authority = (host + _port_of(authority)).encode("latin-1")


def _port_of(authority: str) -> str:
    _, colon, port = authority.partition(":")
    return colon + port


def ascii_authority(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps mitmproxy's parser of `host[:port]` so that punycode stays as it is: mitmproxy decodes it by IDNA 2003, in
    which many current names have another spelling or none."""

    def parsed(authority: str | bytes, check: bool) -> tuple[str, int | None]:
        text = authority.decode("latin-1") if isinstance(authority, bytes) else authority
        match = _PLAIN.fullmatch(text) if PREFIX in text.lower() else None
        if match is None or int(match["port"] or 0) > 65535:
            result: tuple[str, int | None] = parse(authority, check)
            return result
        return match["host"], int(match["port"]) if match["port"] else None

    return parsed


def check_plain(request: http.Request) -> None:
    """Raise ValueError for a head that two servers could read differently. Some end a line at a bare CR in a value.

    Names and methods are tokens; values and targets have no control characters (RFC 9110, 5.5 and 5.6.2).
    """
    # Methods are case-sensitive (RFC 9110, 9.1). None is inspected, because it is at most 31 capital letters and
    # hyphens.
    if not _METHOD.match(request.data.method):
        raise ValueError("the method is not a plain word in capital letters")
    if _CONTROL.search(request.data.path) or b" " in request.data.path:
        raise ValueError("a control character or a space in the URL")
    check_fields(request.headers)
    for name in _SINGLE:
        if len(request.headers.get_all(name)) > 1:
            raise ValueError(f"more than one {name}")


def check_fields(headers: http.Headers) -> None:
    """Raise ValueError for a header or trailer whose name is no token, or whose value has a control character."""
    for name, value in headers.fields:
        if not _TOKEN.match(name) or _CONTROL.search(value.replace(b"\t", b" ")):
            raise ValueError("a header that is not plain")


def parse_request(flow: http.HTTPFlow, tunnels: Tunnels) -> Request:
    """The request, if CONNECT, SNI, request target and Host header name one host. Raises ValueError otherwise."""
    request = flow.request
    check_plain(request)
    host = canonical_host(request.host)
    target = tunnels.target(flow.client_conn)
    if target is not None and target != (host, request.port):
        raise ValueError("the request names another host than its CONNECT")
    if request.scheme == "https" and flow.client_conn.sni is None:
        raise ValueError("a TLS connection without a server name")
    if flow.client_conn.sni is not None and flow.client_conn.sni.lower() != host:
        raise ValueError("the TLS server name and the request differ")
    named = request.headers.get_all("host")
    if len(named) > 1:
        raise ValueError("more than one Host header")
    for name in (*named, *([authority] if (authority := authority_of(request)) else [])):
        if split_authority(name, request.port) != (host, request.port):
            raise ValueError("the Host header and the connection differ")
    if not has_content(request) and known_length(request):
        raise ValueError("a length is announced, and nothing follows")
    return Request(request.scheme, host, request.port, request.method, request.path)


def has_content(request: http.Request) -> bool:
    """Whether content follows the head (as noted by addons/http/layers.py)."""
    return bool(getattr(request, "has_content", True))


def is_two_way(request: http.Request) -> bool:
    """Whether both sides may talk at once: the messages of a gRPC call (PROTOCOL-HTTP2: content-type)."""
    return str(request.headers.get("content-type", "")).lower().startswith("application/grpc")


def known_length(message: http.Message) -> int | None:
    """The declared body length in bytes; None if only the end of the body will show it."""
    if "transfer-encoding" in message.headers:
        return None
    value = message.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def has_encrypted_hello(data: tls.ClientHelloData) -> bool:
    """Whether the client hides a second server name in its hello."""
    return any(kind == _ECH for kind, _ in data.client_hello.extensions)
