"""The ways in which one body or URL can be read: each is a view, and a secret in any of them is a secret sent."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import unquote_to_bytes

from addons.decoders import DecodeError, decode
from addons.dlp_fold import folded
from addons.dlp_rules import compile_bytes

View = tuple[str, bytes]  # (how it was read, for the log; the bytes)

MAX_PLAIN = 64 << 20  # bytes of one body after decompression
WINDOW = 1 << 20  # bytes that are looked at together
OVERLAP = 16 << 10  # bytes that two windows share: more than any key in PEM
_LONG_VALUE = 64 << 10  # bytes
REVERSED = "reversed"  # a view in which only the precise rules count: generic ones find something in any text
_DEPTH = 3  # encodings within encodings that are undone
# RE2, for these run over every byte of every view.
_BASE64 = compile_bytes(r"[A-Za-z0-9+/_-]{20,}")
_HEX = compile_bytes(r"(?:[0-9A-Fa-f]{2}){16,}")
_PERCENT = compile_bytes(r"%[0-9A-Fa-f]{2}")
_ESCAPE = re.compile(rb"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})|\\([\"\\/])")


class Unscannable(ValueError):
    """What cannot be read as what it claims to be; `reason` is a refusal's reason id."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def text_views(data: bytes, depth: int = _DEPTH, label: str = "text") -> Iterator[View]:
    """The bytes themselves, and what percent, backslash, base64 and hex encoding hide in them, nested too;
    backwards, and as a person reads them.

    Long ones are looked at in overlapping windows, so that what is undone at one time stays small.
    """
    if len(data) > WINDOW + OVERLAP:
        for start in range(0, len(data), WINDOW):
            yield from text_views(data[start : start + WINDOW + OVERLAP], depth, label)
        return
    yield label, data
    if depth == 0 or not data:
        return
    if depth == _DEPTH:
        yield f"{label}>{REVERSED}", data[::-1]
    if (plain := folded(data)) is not None:
        yield from text_views(plain, depth - 1, f"{label}>folded")
    if _PERCENT.search(data):
        plain = unquote_to_bytes(data.replace(b"+", b" "))
        if plain != data:
            yield from text_views(plain, depth - 1, f"{label}>percent")
    if b"\\" in data:
        plain = _ESCAPE.sub(_unescape, data)
        if plain != data:
            yield from text_views(plain, depth - 1, f"{label}>escape")
    decoded = [plain for run in _BASE64.findall(data) for plain in _base64(run)]
    if decoded:
        yield from text_views(b"\n".join(decoded), depth - 1, f"{label}>base64")
    decoded = [binascii.unhexlify(run) for run in _HEX.findall(data)]
    if decoded:
        yield from text_views(b"\n".join(decoded), depth - 1, f"{label}>hex")


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match.group(1) or match.group(2)
    return chr(int(code, 16)).encode("utf-8", "replace") if code else match.group(3)


def _base64(run: bytes) -> Iterator[bytes]:
    """The run decoded at each offset: a path or a word may stand before it without a separator."""
    run = run.replace(b"-", b"+").replace(b"_", b"/")
    for offset in range(4):
        part = run[offset:]
        part = part[: len(part) - (1 if len(part) % 4 == 1 else 0)]
        try:
            yield base64.b64decode(part + b"=" * (-len(part) % 4))
        except binascii.Error:
            continue


def body_views(data: bytes, content_type: str, content_encoding: str = "") -> Iterator[View]:
    """Every view of a body. Raises Unscannable where the body is not what its headers say."""
    try:
        data = decode(data, content_encoding, MAX_PLAIN)
    except DecodeError as error:
        raise Unscannable("unreadable_encoding", str(error)) from error
    yield from _typed(data, content_type, _DEPTH)


def _typed(data: bytes, content_type: str, depth: int) -> Iterator[View]:
    if not data:
        return
    kind = content_type.partition(";")[0].strip().lower()
    yield from text_views(data)
    if data[:2] == b"\x1f\x8b" or data[:4] == b"\x28\xb5\x2f\xfd":
        yield from _compressed(data, depth)
    elif data[:4] == b"PK\x03\x04":
        yield from _zip(data, depth)
    elif kind.startswith("multipart/"):
        yield from _multipart(data, content_type, depth)
    elif kind == "application/json" or kind.endswith("+json"):
        yield from _json(data)
    elif kind == "application/x-www-form-urlencoded":
        values = [unquote_to_bytes(v.partition(b"=")[2].replace(b"+", b" ")) for v in re.split(rb"[&;]", data)]
        yield from text_views(b"".join(values), label="form>joined")


def _compressed(data: bytes, depth: int) -> Iterator[View]:
    if depth == 0:
        raise Unscannable("nested_too_deep", "archives within archives")
    try:
        plain = decode(data, "gzip" if data[0] == 0x1F else "zstd", MAX_PLAIN)
    except DecodeError as error:
        raise Unscannable("unreadable_encoding", str(error)) from error
    for label, view in _typed(plain, "", depth - 1):
        yield f"archive>{label}", view


def _zip(data: bytes, depth: int) -> Iterator[View]:
    if depth == 0:
        raise Unscannable("nested_too_deep", "archives within archives")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        if sum(info.file_size for info in archive.infolist()) > MAX_PLAIN:
            raise Unscannable("too_large_to_scan", "the archive is too large when unpacked")
        for info in archive.infolist():
            for label, view in _typed(archive.read(info), "", depth - 1):
                yield f"archive>{label}", view
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise Unscannable("unreadable_encoding", "a broken, encrypted or unknown archive") from error


def _multipart(data: bytes, content_type: str, depth: int) -> Iterator[View]:
    if depth == 0:
        raise Unscannable("nested_too_deep", "multipart within multipart")
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + data)
    parts = message.get_payload()
    if not isinstance(parts, list) or not parts:
        raise Unscannable("unreadable_multipart", "a multipart body without its boundary")
    if len(parts) > 1000:
        raise Unscannable("unreadable_multipart", "a multipart body with more than 1,000 parts")
    joined = []
    for part in parts:
        if not isinstance(part, Message):
            raise Unscannable("unreadable_multipart", "a multipart body whose parts cannot be told apart")
        decoded = part.get_payload(decode=True)
        payload = decoded if isinstance(decoded, bytes) else b""
        joined.append(payload)
        for label, view in _typed(payload, part.get_content_type(), depth - 1):
            yield f"part>{label}", view
    yield from text_views(b"".join(p.strip(b"\r\n") for p in joined if len(p) < 4096), label="parts>joined")


def _ends(value: str) -> str:
    """A long value was looked at as text already; where fields are joined, only its two ends meet others."""
    return value if len(value) <= _LONG_VALUE else f"{value[:OVERLAP]}\n{value[-OVERLAP:]}"


def _json(data: bytes) -> Iterator[View]:
    """Keys with their values, and both and the values alone joined: a secret split over fields is seen whole."""
    pairs: list[str] = []
    words: list[str] = []  # keys too
    values: list[str] = []

    def take(items: list[tuple[str, object]]) -> list[tuple[str, object]]:
        # Called for every object, duplicate keys included, which a plain dict would drop.
        for key, value in items:
            if isinstance(value, str):
                pairs.append(f'{key}="{_ends(value)}"')
        return items

    def walk(node: object) -> None:
        stack = [node]
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                words.append(_ends(item))
                values.append(words[-1])
            elif isinstance(item, tuple):
                words.append(_ends(item[0]))
                stack.append(item[1])
            elif isinstance(item, list):
                stack.extend(reversed(item))

    try:
        walk(json.loads(data, object_pairs_hook=take))
    except (ValueError, RecursionError) as error:
        raise Unscannable("invalid_json", "the body says that it is JSON and is not") from error
    yield from text_views("\n".join(pairs).encode("utf-8", "replace"), label="json")
    yield from text_views("".join(words).encode("utf-8", "replace"), label="json>joined")
    if len(values) > 1 or len(values) != len(words):
        yield from text_views("".join(values).encode("utf-8", "replace"), label="json>values")
