"""The ways in which one body or URL can be read: each is a view, and a secret in any of them is a secret sent."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import unquote_to_bytes

from addons.decoders import DecodeError, decode
from addons.dlp_text import PLAIN, View, encoded, text_views, unescaped

MAX_PLAIN = 64 << 20  # bytes of one body after decompression
_ENDS = 1 << 10  # letters
_DEPTH = 3  # archives and parts within one another


class Unscannable(ValueError):
    """What cannot be read as what it claims to be; `reason` is a refusal's reason id."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


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
    is_json = kind == "application/json" or kind.endswith("+json")
    # JSON is read once more with its escapes undone, so that as it is it needs no second reading.
    yield from text_views(data, depth=0, label=PLAIN) if is_json else text_views(data)
    if data[:2] == b"\x1f\x8b" or data[:4] == b"\x28\xb5\x2f\xfd":
        yield from _compressed(data, depth)
    elif data[:4] == b"PK\x03\x04":
        yield from _zip(data, depth)
    elif kind.startswith("multipart/"):
        yield from _multipart(data, content_type, depth)
    elif is_json:
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


class _Object(list[tuple[str, Any]]):
    """The pairs of a JSON object: a dict would drop a key that is there twice."""


def _json(data: bytes) -> Iterator[View]:
    """All of it with escapes undone; and the strings joined, with and without keys, for a secret split over fields."""
    try:
        waiting = [json.loads(data, object_pairs_hook=_Object)]
    except (ValueError, RecursionError) as error:
        raise Unscannable("invalid_json", "the body says that it is JSON and is not") from error
    if (spelling := json.detect_encoding(data)) != "utf-8":
        data = data.decode(spelling, "replace").encode()
    yield from text_views(unescaped(data), label="json")
    strings: list[str] = []
    values: list[str] = []
    while waiting:  # in the order of the text, however deep
        item = waiting.pop()
        if isinstance(item, str):
            strings.append(_ends(item))
            values.append(strings[-1])
        elif isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, tuple):
            strings.append(_ends(item[0]))
            waiting.append(item[1])
    for label, chosen in (("json>joined", strings), ("json>values", values)):
        yield from text_views(encoded("".join(chosen)), label=label)


def _ends(value: str) -> str:
    """Where fields are joined, only the two ends of a long value meet others."""
    return value if len(value) <= 2 * _ENDS else f"{value[:_ENDS]}\n{value[-_ENDS:]}"
