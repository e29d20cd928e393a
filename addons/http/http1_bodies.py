"""The framing of messages sent over HTTP/1: heads with a length or with chunks, and the bodies after them.

The framing is that of the message being sent, not of the one received (RFC 9112, 6; RFC 9110, 8.6). Pure but for
mitmproxy's messages.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

from mitmproxy import http
from mitmproxy.net.http import http1, status_codes

from addons.frame.request_target import authority_of, known_length

_Message = TypeVar("_Message", http.Request, http.Response)
_MAX_HELD = 16 << 20  # bytes of a response to an HTTP/1.0 client
_MOST_HELD = 64 << 20  # bytes of all of them
_CONTENT_METHODS = ("POST", "PUT", "PATCH")  # their absent content is declared as empty (RFC 9110, 8.6)


class Body:
    """The outstanding part of a body being sent. length: None for chunks. holds: keep the last byte until the end."""

    def __init__(self, length: int | None, *, holds: bool = False) -> None:
        self.length, self.sent, self._holds, self._last = length, 0, holds, b""

    def piece(self, data: bytes) -> bytes:
        """The bytes to send for a piece. Raises ValueError beyond the declared length."""
        self.sent += len(data)
        if self.length is None:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        if self.length < self.sent:
            raise ValueError("more content than was announced")
        if self._holds and data and self.sent == self.length:
            # With its last byte the message would be complete, but its sender may not have completed it: in HTTP/2 a
            # reset, or trailers that are refused, may follow.
            self._last, data = data[-1:], data[:-1]
        return data

    def end(self, trailers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """The bytes that end the body. Raises ValueError if it is shorter than declared.

        Trailers are sent with chunks only; otherwise they are dropped, as a proxy may do (RFC 9110, 6.5.1).
        """
        if self.length is None:
            return b"0\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in trailers) + b"\r\n"
        if self.sent < self.length:
            raise ValueError("less content than was announced")
        return self._last


class HeldBody(Body):
    """A response of unknown length to an HTTP/1.0 client. It is held, because a body that ends with its connection
    always looks complete."""

    total = 0  # bytes that all of them hold

    def __init__(self, head: http.Response) -> None:
        super().__init__(None)
        self._head, self._pieces = head, bytearray()

    def __del__(self) -> None:
        self._release()

    def _release(self) -> None:
        HeldBody.total -= len(self._pieces)
        self._pieces = bytearray()

    def piece(self, data: bytes) -> bytes:
        self._pieces += data
        HeldBody.total += len(data)
        if len(self._pieces) > _MAX_HELD or HeldBody.total > _MOST_HELD:
            self._release()
            raise ValueError("too long an answer for an HTTP/1.0 client, or too many of them")
        return b""

    def end(self, trailers: Sequence[tuple[bytes, bytes]]) -> bytes:  # noqa: ARG002 - HTTP/1.0 has none
        self._head.headers["content-length"] = str(len(self._pieces))
        return bytes(http1.assemble_response_head(self._head) + self._pieces)


def _head_of(message: _Message) -> _Message:
    """A copy with headers of its own. mitmproxy's `copy` takes five times as long, checking each type again."""
    head = copy.copy(message)
    head.data = copy.copy(message.data)
    head.data.headers = http.Headers(message.data.headers.fields)
    return head


def framed_request(request: http.Request, end_stream: bool) -> tuple[http.Request, Body]:
    """The head to send for a request, and the framing of its body. end_stream: no body follows the head."""
    head = _head_of(request)
    if head.is_http2:
        head.authority = ""
        cookies = head.headers.get_all("cookie")
        if len(cookies) > 1:  # only HTTP/2 allows several (RFC 9113, 8.2.3)
            head.headers["cookie"] = "; ".join(cookies)
    if "host" not in head.headers:
        head.headers.insert(0, "Host", authority_of(request) or request.host)
    head.http_version = "HTTP/1.1"  # the sender's own version (RFC 9110, 2.5)
    length = known_length(head)
    if end_stream:
        length = 0
    elif request.trailers:
        length = None
    elif request.data.content is not None and "transfer-encoding" not in head.headers:
        length = len(request.data.content)
    if length is None:
        head.headers.pop("content-length", None)
        head.headers["transfer-encoding"] = "chunked"
    else:
        head.headers.pop("transfer-encoding", None)
        if length or head.method in _CONTENT_METHODS:
            head.headers["content-length"] = str(length)
        else:
            head.headers.pop("content-length", None)
    return head, Body(length, holds=request.data.content is None)


def framed_response(
    request: http.Request, response: http.Response, end_stream: bool
) -> tuple[http.Response, Body | None]:
    """The head to send for a response, and the framing of its body; None if it has no body by definition."""
    head = _head_of(response)
    head.http_version = "HTTP/1.1"
    if response.is_http2:
        head.reason = status_codes.RESPONSES.get(response.status_code, "")
    status, headers = response.status_code, head.headers
    if request.method == "CONNECT" and 200 <= status < 300:
        return head, None
    if 100 <= status < 200 or status == 204:
        headers.pop("transfer-encoding", None)
        headers.pop("content-length", None)
        return head, None
    if request.method == "HEAD" or status == 304:
        headers.pop("transfer-encoding", None)
        return head, None
    length = 0 if end_stream else known_length(head)
    headers.pop("transfer-encoding", None)
    if length is not None:
        headers["content-length"] = str(length)
    elif request.http_version == "HTTP/1.0":
        return head, HeldBody(head)
    else:
        headers["transfer-encoding"] = "chunked"
    return head, Body(length)
