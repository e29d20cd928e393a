"""Checks that two servers would read a head alike (RFC 9112, 6 and 7; RFC 9113, 8.3.1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mitmproxy import http

from addons.frame.request_target import check_fields

_VERSIONS = (b"HTTP/1.0", b"HTTP/1.1")
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def checked_head(read: Callable[[list[bytes]], Any]) -> Callable[[list[bytes]], Any]:
    """Wraps mitmproxy's reader of a head so that it raises ValueError if two servers could frame the message
    differently."""

    def checked(lines: list[bytes]) -> Any:
        if any(line[:1] in (b" ", b"\t") for line in lines):
            raise ValueError("a folded header line")
        if _CONTROL.search(lines[0]):
            raise ValueError("a control character in the first line")
        for value in (line.partition(b":")[2] for line in lines[1:]):
            if value.strip() != value.strip(b" \t"):  # mitmproxy strips characters that are not white space in HTTP
                raise ValueError("a control character around a header's value")
        message = read(lines)
        if message.data.http_version not in _VERSIONS:
            raise ValueError("a version of HTTP other than 1.0 and 1.1")
        codings = [value for name, value in message.headers.fields if name.lower() == b"transfer-encoding"]
        if codings and ([c.lower() for c in codings] != [b"chunked"] or "content-length" in message.headers):
            raise ValueError("a transfer coding other than chunked alone")
        if codings and message.data.http_version != b"HTTP/1.1":
            raise ValueError("a transfer coding in HTTP/1.0")
        check_length(message.headers)
        if isinstance(message, http.Request):
            if lines[0].count(b" ") != 2 or b"\t" in lines[0]:
                raise ValueError("a request line that is not three words")
            if "host" not in message.headers and message.data.method != b"CONNECT":
                raise ValueError("a request without a host")  # RFC 9112, 3.2; in HTTP/2 it would have no authority
        return message

    return checked


def check_length(headers: http.Headers) -> None:
    """Raise ValueError for a length that is no number, has more than 18 digits, or is given twice."""
    lengths = [value for name, value in headers.fields if name.lower() == b"content-length"]
    if lengths and (len(lengths) > 1 or not _LENGTH.match(lengths[0])):
        raise ValueError("a length that is no number, or more than one")


def checked_h2_head(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wraps mitmproxy's reader of an HTTP/2 request's fields so that it accepts a target in origin form only.

    Otherwise a whole URL could get onto an HTTP/1.1 request line, with a host that was never judged.
    """

    def checked(fields: Any) -> Any:
        head = read(fields)
        _, _, method, scheme, _, path, headers = head
        check_length(headers)
        if scheme not in (b"http", b"https") or not (path.startswith(b"/") or (method, path) == (b"OPTIONS", b"*")):
            raise ValueError("a scheme or path that HTTP/2 does not have (RFC 9113, 8.3.1)")
        return head

    return checked


def unfit_answer(response: http.Response, request: http.Request) -> str:
    """What is wrong with a response's head, or "". mitmproxy would forward one that a client may misread."""
    if not 100 <= response.status_code <= 999:
        return "a status that is not of three digits"
    try:
        check_fields(response.headers)
    except ValueError as error:
        return str(error)
    is_asked = request.headers.get("upgrade", "").lower() == "websocket" and request.data.http_version == b"HTTP/1.1"
    if response.status_code == 101 and not is_asked:
        return "an upgrade that nobody asked for"
    return ""
