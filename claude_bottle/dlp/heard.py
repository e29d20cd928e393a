"""What an answer says that may come back: values and addresses, from its headers and its text as it passes. Pure.

Only what stands there as a whole value: of a header, a cookie, a string of JSON, an attribute of HTML, an element of
XML, a field of a form. Running text says nothing, nor does what is no text, or is beyond the limit.
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

LIMIT = 256 << 10  # bytes of a body, as it is without its encoding
_LONGEST = 8 << 10  # bytes of one value
_MOST_URLS = 256
_LETTERS = 256  # of an address, in the mean of those of one answer
_FIELD = 64  # letters that an ampersand counts for: what reads it may take it for a reference of HTML, which is work
_UNPACKED = 32  # bytes that each of a piece may unpack to, where it unpacks to more than a STEP (text comes to ten)
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
    """values: what may be said back. urls: addresses, absolute ones where they stand in a body.

    links: whether nothing but addresses is heard. most, letters: how many of these, and in all.
    """

    values: set[bytes] = field(default_factory=set)
    urls: list[str] = field(default_factory=list)
    links: bool = False
    most: int = _MOST_URLS
    letters: int = _MOST_URLS * _LONGEST

    @property
    def is_full(self) -> bool:
        """Whether no address is taken any more."""
        return self.most <= 0 or self.letters <= 0

    def add(self, text: bytes, *, url: bool = False) -> None:
        """A whole value, which may be an address."""
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
    """The values within a JSON Web Token: DLP reads what is in base64."""
    claims: set[bytes] = set()
    for part in token.split(b".")[:2]:
        try:
            claims |= values_in(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
        except (binascii.Error, ValueError):
            continue
    return claims


def heard_in_head(fields: Iterable[tuple[bytes, bytes]]) -> Heard:
    """What headers say."""
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


Way = tuple[re.Pattern[bytes], Callable[[bytes], bytes], bytes]  # a value, how it is read, what it may begin with

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
    """Listens to a body of one type. After `limit` bytes, or where it cannot be read, it hears nothing more.

    links: 0, or how many addresses are heard, and nothing besides; after that many nothing more is heard.
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
        """Whether more can be heard."""
        return bool(self._ways)

    def feed(self, chunk: bytes, last: bool = False) -> Heard:
        """What the next bytes complete."""
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
                if room < 0:  # a small piece that unpacks to so much is made to keep the proxy at work
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
        self._work -= len(text)  # what is looked at again, because it was not complete, counts too
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
