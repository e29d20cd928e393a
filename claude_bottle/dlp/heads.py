"""The views of a request's head: its address and its headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote_to_bytes

from claude_bottle.dlp.fields import FormFields, ends
from claude_bottle.dlp.packed.members import Budget
from claude_bottle.dlp.text.readings import View, text_views
from claude_bottle.dlp.views import packed_too

_NAME = 8  # bytes of a single field's name; a longer one may hold a secret itself


def url_views(host: str, path: str) -> Iterator[View]:
    """Host labels, path and query, decoded and joined, and the archives in them."""
    yield from packed_too(_url_views(host, path), Budget(len(path)))


def header_views(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[View]:
    """Header names and values, cookies split and joined, and the archives in them."""
    yield from packed_too(_header_views(headers), Budget(sum(len(value) for _, value in headers)))


def _url_views(host: str, path: str) -> Iterator[View]:
    yield from text_views(f"{host}{path}".encode("utf-8", "replace"), "url")
    labels = host.split(".")[:-2]
    if labels:
        yield from text_views("".join(labels).encode(), "host")
        yield "host", "".join(labels).upper().encode()  # a name is sent in lower case, whatever it holds
    location, _, query = path.partition("?")
    if query:
        fields = query.encode("utf-8", "replace")
        pairs = [pair.partition(b"=") for pair in re.split(rb"[&;]", fields)]
        quoted = b"\n".join(_decoded(name) + b'="' + _decoded(value) + b'"' for name, _, value in pairs)
        yield from text_views(quoted, "query")
        for label, joined in FormFields().feed(fields, last=True):
            if joined and (not label.endswith("named") or len(pairs) > 1 or len(fields.partition(b"=")[0]) > _NAME):
                yield from text_views(joined, f"query>{label.partition('>')[2]}")
    segments = [unquote_to_bytes(segment) for segment in location.split("/")]
    yield from text_views(b"".join(segments), "path>joined")


def _decoded(value: bytes) -> bytes:
    return unquote_to_bytes(value.replace(b"+", b" "))


def _header_views(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[View]:
    yield from text_views(b"\n".join(name + b": " + value for name, value in headers), "header")
    cookies = [c.partition(b"=")[2] for name, v in headers if name.lower() == b"cookie" for c in re.split(rb";\s*", v)]
    if cookies:
        yield from text_views(b"".join(cookies), "cookie>joined")
    yield from text_views(b"".join(ends(value) for _, value in headers), "header>joined")
