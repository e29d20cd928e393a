"""Requests to the forward proxy of the owner's network: a tunnel to a name by CONNECT (RFC 9110, 9.3.6). Pure.

The tunnel carries the upstream's own TLS or ssh, so such a proxy can neither read the traffic nor impersonate the
upstream.
"""

from __future__ import annotations

import base64
import re

HEAD_LIMIT = 16 << 10  # bytes of the response's head
SECONDS = 20.0  # seconds from the first packet to the end of the head
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r\n]")


def parse_proxy(value: str) -> tuple[str, int]:
    """Host and port of `host:port`. Raises ValueError."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{value[:60]}: a forward proxy is host:port")
    return host.strip("[]"), int(port)


def login_headers(login: str) -> dict[str, str]:
    """The header for a login, user:password; none for ""."""
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}


def connect_head(host: str, port: int, login: str) -> bytes:
    """The request for a tunnel. login: user:password, "" for none."""
    authority = f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in login_headers(login).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def check_answer(head: bytes, proxy: str, host: str) -> None:
    """Raises OSError, naming the proxy, unless this response head opens the tunnel to `host`."""
    match = _STATUS.match(head)
    if match is None:
        raise OSError("the forward proxy's answer is not HTTP")
    if (status := int(match[1])) // 100 != 2:
        wants = "; it wants a login: pipelock.upstream_proxy_ref" if status == 407 else ""
        raise OSError(f"the forward proxy {proxy} gives no tunnel to {host} (status {status}){wants}")
