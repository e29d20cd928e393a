"""What a response says that may come back: values and addresses, from its headers and from its text as it passes. Pure.

Only whole values count: of a header, a cookie, a JSON string, an HTML attribute, an XML element or a form field.
Running text does not count, nor does a body that is not text, nor anything beyond the limit.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from claude_bottle.dlp.packed.decoder import STEP, DecodeError, Decoder
from claude_bottle.dlp.packed.decoders import decoder_for
from claude_bottle.dlp.said import values_in

LIMIT = 256 << 10  # bytes of a decoded body
_LONGEST = 8 << 10  # bytes of one value
_MOST_URLS = 256
_LETTERS = 256  # characters of an address, on average over one response
_FIELD = 64  # characters that an ampersand counts as: resolving it as an HTML reference takes time
_UNPACKED = 32  # output bytes for each input byte, if a chunk unpacks to more than a STEP (text reaches ten)
_JSON = re.compile(rb'"((?:[^"\\\s]|\\[^\s]){12,8192})(?=")')
_HTML = re.compile(rb"""["']([^"'\\\s<>]{12,8192})(?=["'])""")
_XML = re.compile(rb">([^<>\s]{12,8192})(?=<)")
_FORM = re.compile(rb"=([^&=\s]{12,8192})(?=&|\Z)")
_URL = re.compile(rb"https?://[^\s\"'<>]+\Z", re.IGNORECASE)
_LINKED = re.compile(rb"<([^<>\s]{1,8192})>")  # RFC 8288
_POINTERS = (b"location", b"content-location")
_COOKIE = b"set-cookie"


@dataclass
class Heard:
    """values: may be sent back. urls: addresses; those in a body are absolute.

    links: only addresses are collected. most, letters: how many more addresses, and characters of them, are collected.
    """

    values: set[bytes] = field(default_factory=set)
    urls: list[str] = field(default_factory=list)
    links: bool = False
    most: int = _MOST_URLS
    letters: int = _MOST_URLS * _LONGEST

    @property
    def is_full(self) -> bool:
        """Whether no more addresses are collected."""
        return self.most <= 0 or self.letters <= 0

    def add(self, text: bytes, *, url: bool = False) -> None:
        """Add a whole value, which may be an address."""
        if url or _URL.match(text):
            if not self.is_full and len(text) <= _LONGEST:
                self.urls.append(text.decode("utf-8", "replace"))
                self.most, self.letters = self.most - 1, self.letters - len(text) - _FIELD * text.count(b"&")
            return
        if self.links:
            return
        for written in {text, unquote_to_bytes(text)} if b"%" in text else (text,):
            values = values_in(written)
            self.values |= values
            for value in values:
                if value.startswith(b"ey"):
                    self.values |= _claims(value)


def _claims(token: bytes) -> set[bytes]:
    """The values within a JSON Web Token, because DLP decodes base64."""
    claims: set[bytes] = set()
    for part in token.split(b".")[:2]:
        try:
            claims |= values_in(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
        except (binascii.Error, ValueError):
            continue
    return claims


def heard_in_head(fields: Iterable[tuple[bytes, bytes]]) -> Heard:
    """The values and addresses in headers."""
    heard = Heard()
    for name, value in fields:
        lowered = name.lower()
        if lowered in _POINTERS:
            heard.add(value.strip(), url=True)
        elif lowered == b"link":
            for target in _LINKED.findall(value):
                heard.add(target, url=True)
        elif lowered == _COOKIE:
            heard.add(value.partition(b";")[0].partition(b"=")[2].strip(b' "'))
        elif len(value) <= _LONGEST and b" " not in value.strip():
            heard.add(value.strip())
    return heard


def _from_json(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    try:
        return str(json.loads(b'"' + text + b'"')).encode("utf-8", "replace")
    except ValueError:
        return b""


def _from_html(text: bytes) -> bytes:
    return html.unescape(text.decode("utf-8", "replace")).encode() if b"&" in text else text


Way = tuple[re.Pattern[bytes], Callable[[bytes], bytes], bytes]  # expression, decoder, possible first characters

_OF_JSON: Sequence[Way] = [(_JSON, _from_json, b'"')]
_OF_HTML: Sequence[Way] = [(_HTML, _from_html, b"\"'")]
_OF_XML: Sequence[Way] = [(_XML, _from_html, b">"), (_HTML, _from_html, b"\"'")]
_OF_FORM: Sequence[Way] = [(_FORM, bytes, b"=")]


def _ways(content_type: str) -> Sequence[Way]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith("html") or kind == "application/xhtml+xml":
        return _OF_HTML
    if kind.endswith(("json", "json-seq")) or kind == "text/event-stream":
        return _OF_JSON
    if kind.endswith(("/xml", "+xml")):
        return _OF_XML
    return _OF_FORM if kind == "application/x-www-form-urlencoded" else ()


class Ears:
    """Collects values and addresses from a body of one content type. Stops after `limit` bytes, or if the body is
    unreadable.

    links: 0, or how many addresses to collect; then nothing else is collected, and it stops after that many.
    """

    def __init__(self, content_type: str, content_encoding: str, *, limit: int = LIMIT, links: int = 0) -> None:
        self._ways, self._links, self._letters = _ways(content_type), links, links * _LETTERS
        self._left, self._work, self._carry = limit, 4 * limit, b""
        self._decoder: Decoder | None = None
        try:
            self._decoder = decoder_for(content_encoding) if self._ways else None
        except DecodeError:
            self._ways = ()

    @property
    def listens(self) -> bool:
        """Whether more can be collected."""
        return bool(self._ways)

    def feed(self, chunk: bytes, last: bool = False) -> Heard:
        """The values and addresses that the next bytes complete."""
        heard = Heard(links=True, most=self._links, letters=self._letters) if self._links else Heard()
        if self._decoder is None or not self._ways:
            return heard
        room = max(STEP, _UNPACKED * len(chunk))
        try:
            for part in self._decoder.feed_parts(chunk):
                room -= len(part)
                self._take(part[: self._left], heard, last=False)
                if not self._ways:
                    return heard
                if room < 0:  # a small chunk that unpacks to so much is meant to keep the proxy busy
                    self._ways, self._carry = (), b""
                    return heard
        except DecodeError:
            self._ways = ()
        if last:
            self._take(b"", heard, last=True)
        return heard

    def _take(self, plain: bytes, heard: Heard, last: bool) -> None:
        text = self._carry + plain
        self._left -= len(plain)
        self._work -= len(text)  # incomplete text is searched again, and counts again
        begin = len(text)
        for pattern, read, starts in self._ways:
            for match in pattern.finditer(text):
                if pattern is not _FORM or last or match.end() < len(text):
                    heard.add(read(match.group(1)))
                    if heard.links and heard.is_full:
                        break
            begin = min(begin, max(text.rfind(starts[n : n + 1]) for n in range(len(starts))) % (len(text) + 1))
        self._carry = text[begin:] if len(text) - begin <= _LONGEST else b""
        full = False
        if self._links:
            self._links, self._letters, full = heard.most, heard.letters, heard.is_full
        if self._left <= 0 or self._work <= 0 or last or full:
            self._ways, self._carry = (), b""
