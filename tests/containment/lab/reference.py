"""What the strict server reads in bytes: the requests that a client has sent, by the letter of RFC 9112.

Lenient where the proxies may be, because what they write anew is the same to everybody: chunk extensions, a whole URL as
the target, empty lines before a request. A head with a character that does not belong there is read too: it is refused
for that, and a request behind it is judged on its own.
"""

from __future__ import annotations

import re

_LINE = re.compile(rb"([^ \r\n]+) (\*|/[^ \n]*|https?://[^/ \n]+(/[^ \n]*)?) HTTP/1\.[01]")
_FIELD = re.compile(rb"([^: \t\n]+):[ \t]*([^\n]*?)[ \t]*")


def read_requests(data: bytes) -> list[tuple[str, str, bytes, tuple[str, ...]]]:
    """Method, path, body and trailers of each request that is whole, up to the first thing that is no HTTP."""
    requests = []
    while True:
        data = data.lstrip(b"\r\n")
        head, blank, rest = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        line = _LINE.fullmatch(lines[0])
        fields = [_FIELD.fullmatch(one) for one in lines[1:]]
        if not blank or not line or not all(fields) or b"\n" in head.replace(b"\r\n", b""):
            return requests
        headers = [(one[1].lower(), one[2]) for one in fields if one]
        lengths, codings = (
            [value for name, value in headers if name == word] for word in (b"content-length", b"transfer-encoding")
        )
        body: bytes | None = b""
        trailers: tuple[str, ...] = ()
        if codings:
            if lengths or [coding.lower() for coding in codings] != [b"chunked"]:
                return requests
            body, trailers, rest = _chunks(rest)
        elif lengths:
            if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
                return requests
            size = int(lengths[0])
            body, rest = (rest[:size], rest[size:]) if len(rest) >= size else (None, b"")
        if body is None:
            return requests
        path = re.sub(rb"^https?://[^/]+", b"", line[2]) or b"/"
        requests.append((line[1].decode("latin-1"), path.decode("latin-1"), body, trailers))
        data = rest


def _chunks(data: bytes) -> tuple[bytes | None, tuple[str, ...], bytes]:
    whole = b""
    while match := re.match(rb"([0-9a-fA-F]{1,20})(;[^\n]*?)?[ \t]*\r\n", data):
        size, data = int(match[1], 16), data[match.end() :]
        if size == 0:
            if data.startswith(b"\r\n"):
                return whole, (), data[2:]
            block, blank, rest = data.partition(b"\r\n\r\n")
            fields = [_FIELD.fullmatch(line) for line in block.split(b"\r\n")]
            if not blank or not all(fields):
                break
            return (
                whole,
                tuple(f"{f[1].decode('latin-1').lower()}: {f[2].decode('latin-1')}" for f in fields if f),
                rest,
            )
        if data[size : size + 2] != b"\r\n":
            break
        whole, data = whole + data[:size], data[size + 2 :]
    return None, (), b""
