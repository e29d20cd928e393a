"""A body without what was found in it: a mask that names the rule in the place of each finding. Pure.

For JSON, for lines of JSON, and for text; what is around a mask stays as it is, byte for byte. The outcome is looked at
like any body, so that nothing is believed of what was masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.packed.decoder import DecodeError
from claude_bottle.dlp.packed.decoders import decode, is_identity
from claude_bottle.dlp.packed.members import most_plain
from claude_bottle.dlp.text.readings import text_views
from claude_bottle.dlp.verdict import Finding, Unscannable

_SECRET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_.~-"
# What stands beside the id of a key and has no shape of its own: 40 letters (AWS, "Managing access keys"), no SHA-1.
_SECRET_KEY = re.compile(rb"(?<![A-Za-z0-9/+=])(?![0-9a-f]{40})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_NO_END = "private-key-begun"
MOST = 100  # masks in one body; more is a list of secrets and no conversation
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)
# What must not be cut in two: an escape, two that are one letter, a letter of UTF-8.
_UNIT = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[\xc0-\xff][\x80-\xbf]*|.", re.DOTALL)
_TEXT = re.compile(r"text/|application/(?:json|[a-z0-9.+-]+\+json|x-ndjson|jsonl)\b")
# A digest of the body, or a signature over one: the receiver refuses a body that is another (RFC 1864, 9421, 9530;
# "Signature calculations for the Authorization header" of Amazon S3).
_BOUND = re.compile(
    r"content-md5|(content-|repr-)?digest|signature(-input)?|x-goog-hash|x-amz-content-sha256|x-amz-checksum-.+"
    r"|x-hub-signature(-256)?"
)


_BEFORE, _BACKSLASH = 64, ord("\\")  # bytes that an escape is looked for in: the longest has twelve


class _String(NamedTuple):
    start: int  # of what stands between the quotes
    end: int
    is_key: bool


@dataclass(frozen=True)
class Redacted:
    """The body, decoded, and what was taken out of it."""

    body: bytes
    findings: tuple[Finding, ...]


def is_bound(headers: Mapping[str, str]) -> bool:
    """Whether the headers, with names in small letters, hold the receiver to exactly this body."""
    return any(_BOUND.fullmatch(name) for name in headers) or headers.get("authorization", "").startswith("AWS4-")


def redacted(dlp: Dlp, body: bytes, content_type: str, content_encoding: str) -> Redacted | None:
    """What may go in the place of a body in which something was found; None where it cannot be masked whole."""
    if not _TEXT.match(content_type.strip().lower()):
        return None
    try:
        data = body if is_identity(content_encoding) else decode(body, content_encoding, most_plain(len(body)))
        return _redacted(dlp, data, content_type)
    except (DecodeError, UnicodeDecodeError, Unscannable):
        return None


def _redacted(dlp: Dlp, data: bytes, content_type: str) -> Redacted | None:
    data.decode()  # UTF-8, so that a letter that means something in JSON is that byte
    strings = _is_json(data)
    findings: list[Finding] = []
    while (hit := dlp.hit_in("text", data)) is not None:
        (start, end), finding = hit
        place = (
            _in_string(data, start, end, finding.rule)
            if strings
            else _wide(data, 0, len(data), start, end, finding.rule)
        )
        if place is None or len(findings) == MOST:
            return None
        findings.append(finding)
        data = data[: place[0]] + mask(finding) + data[place[1] :]
    if any(finding.rule == "aws-access-token" for finding in findings):
        data = _SECRET_KEY.sub(b"[REDACTED aws-secret-access-key]", data)
    if strings and dlp.look_at_body(data, content_type, ""):
        for start, end, finding in reversed(list(_encoded(dlp, data))):
            findings.append(finding)
            data = data[:start] + mask(finding) + data[end:]
    if len(findings) > MOST or not findings or dlp.look_at_body(data, content_type, ""):
        return None
    return Redacted(data, tuple(findings))


def mask(finding: Finding) -> bytes:
    """What stands in the place of a finding; the same for each of its rule, so that a repeated text stays the same."""
    return f"[REDACTED {finding.rule}]".encode()


def _encoded(dlp: Dlp, data: bytes) -> Iterator[tuple[int, int, Finding]]:
    """The values in which something is found as soon as their encoding is undone: they go as a whole."""
    for string in _strings(data):
        value = data[string.start : string.end]
        if not string.is_key and (finding := dlp.look(text_views(_plain(value), "json>values"))):
            yield string.start, string.end, finding


def _plain(value: bytes) -> bytes:
    return str(json.loads(b'"' + value + b'"', strict=False)).encode("utf-8", "surrogatepass")


def _is_json(data: bytes) -> bool:
    """One document, or one on each line."""
    for documents in ([data], [line for line in data.splitlines() if line.strip()]):
        try:
            for document in documents:
                json.loads(document)
            return bool(documents)
        except (ValueError, RecursionError):
            continue
    return False


def _strings(data: bytes) -> Iterator[_String]:
    for token in _TOKEN.finditer(data):
        yield _String(token.start(1), token.end(1), token[2] is not None)


def _in_string(data: bytes, start: int, end: int, rule: str) -> tuple[int, int] | None:
    """Where to mask, so that the string stays one; None where it is not in one value alone."""
    for string in _strings(data):
        if string.end > start:
            if string.is_key or not (string.start <= start and end <= string.end):
                return None
            start, end = _wide(data, string.start, string.end, start, end, rule)
            return _of_escapes(data, string.start, start, end)
    return None


def _wide(data: bytes, first: int, last: int, start: int, end: int, rule: str) -> tuple[int, int]:
    """The span widened to all letters of a secret beside it, between first and last: a rule matches the least of one.

    The beginning of a key has no end: the whole rest goes.
    """
    if rule == _NO_END:
        return start, last
    before, behind = data[first:start], data[end:last]
    start -= len(before) - len(before.rstrip(_SECRET))
    beside = behind[: len(behind) - len(behind.lstrip(_SECRET))]
    return _of_letters(data, start, end + len(beside.rstrip(b".")))  # which ends a sentence


def _of_letters(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The span widened to whole letters of UTF-8, of four bytes at most."""
    while start and 0x80 <= data[start] < 0xC0:
        start -= 1
    while end < len(data) and 0x80 <= data[end] < 0xC0:
        end += 1
    return start, end


def _of_escapes(data: bytes, begin: int, start: int, end: int) -> tuple[int, int]:
    """The span in a string, which begins at `begin`, widened to whole letters and escapes."""
    at = max(begin, start - _BEFORE)
    while at > begin and data[at - 1] == _BACKSLASH:  # it may be one that makes the next one a letter
        at -= 1
    first = start
    for unit in _UNIT.finditer(data, at):
        if unit.start() <= start:
            first = unit.start()
        if unit.end() >= end:
            return first, unit.end()
    return first, end
