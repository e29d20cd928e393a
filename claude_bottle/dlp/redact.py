"""Masks the findings in a body: each is replaced by a mask that names its rule. Pure.

For JSON, JSON lines and text; all bytes around a mask stay as they are. The result is scanned like any body, so no
masking is taken on trust.
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
# A secret that stands beside a key's id and has no shape of its own: 40 letters (AWS, "Managing access keys"), no
# SHA-1.
_SECRET_KEY = re.compile(rb"(?<![A-Za-z0-9/+=])(?![0-9a-f]{40})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_NO_END = "private-key-begun"
MOST = 100  # masks in one body; more is a list of secrets and no conversation
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)
# Units that must not be split: an escape, a surrogate pair of escapes, a UTF-8 character.
_UNIT = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[\xc0-\xff][\x80-\xbf]*|.", re.DOTALL)
_TEXT = re.compile(r"text/|application/(?:json|[a-z0-9.+-]+\+json|x-ndjson|jsonl)\b")
# A digest of the body, or a signature over one: the receiver refuses a changed body (RFC 1864, 9421, 9530; "Signature
# calculations for the Authorization header" of Amazon S3).
_BOUND = re.compile(
    r"content-md5|(content-|repr-)?digest|signature(-input)?|x-goog-hash|x-amz-content-sha256|x-amz-checksum-.+"
    r"|x-hub-signature(-256)?"
)


_BEFORE, _BACKSLASH = 64, ord("\\")  # bytes that are searched for an escape: the longest has twelve


class _String(NamedTuple):
    start: int  # of the text between the quotes
    end: int
    is_key: bool


@dataclass(frozen=True)
class Redacted:
    """The body, decoded and masked, and the findings that were masked."""

    body: bytes
    findings: tuple[Finding, ...]


def is_bound(headers: Mapping[str, str]) -> bool:
    """Whether the headers, keyed by lower-case name, bind the request to exactly this body."""
    return any(_BOUND.fullmatch(name) for name in headers) or headers.get("authorization", "").startswith("AWS4-")


def redacted(dlp: Dlp, body: bytes, content_type: str, content_encoding: str) -> Redacted | None:
    """The masked body of one in which something was found; None if not every finding can be masked."""
    if not _TEXT.match(content_type.strip().lower()):
        return None
    try:
        data = body if is_identity(content_encoding) else decode(body, content_encoding, most_plain(len(body)))
        return _redacted(dlp, data, content_type)
    except (DecodeError, UnicodeDecodeError, Unscannable):
        return None


def _redacted(dlp: Dlp, data: bytes, content_type: str) -> Redacted | None:
    data.decode()  # UTF-8, so that each byte below 128 is a character of its own
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
    """The replacement of a finding. It depends on the rule only, so a repeated text stays the same."""
    return f"[REDACTED {finding.rule}]".encode()


def _encoded(dlp: Dlp, data: bytes) -> Iterator[tuple[int, int, Finding]]:
    """The values in which something is found once their encoding is decoded. Each is masked as a whole."""
    for string in _strings(data):
        value = data[string.start : string.end]
        if not string.is_key and (finding := dlp.look(text_views(_plain(value), "json>values"))):
            yield string.start, string.end, finding


def _plain(value: bytes) -> bytes:
    return str(json.loads(b'"' + value + b'"', strict=False)).encode("utf-8", "surrogatepass")


def _is_json(data: bytes) -> bool:
    """Whether the data is one JSON document, or one on each line."""
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
    """The span to mask such that the string stays valid; None if the match is not within one value."""
    for string in _strings(data):
        if string.end > start:
            if string.is_key or not (string.start <= start and end <= string.end):
                return None
            start, end = _wide(data, string.start, string.end, start, end, rule)
            return _of_escapes(data, string.start, start, end)
    return None


def _wide(data: bytes, first: int, last: int, start: int, end: int, rule: str) -> tuple[int, int]:
    """The span, within first and last, widened to all secret characters beside it, because a rule matches the shortest
    form.

    The beginning of a key has no known end, so the whole rest is masked.
    """
    if rule == _NO_END:
        return start, last
    before, behind = data[first:start], data[end:last]
    start -= len(before) - len(before.rstrip(_SECRET))
    beside = behind[: len(behind) - len(behind.lstrip(_SECRET))]
    return _of_letters(data, start, end + len(beside.rstrip(b".")))  # a full stop ends a sentence


def _of_letters(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The span widened to whole UTF-8 characters."""
    while start and 0x80 <= data[start] < 0xC0:
        start -= 1
    while end < len(data) and 0x80 <= data[end] < 0xC0:
        end += 1
    return start, end


def _of_escapes(data: bytes, begin: int, start: int, end: int) -> tuple[int, int]:
    """The span in a string, which begins at `begin`, widened to whole characters and escapes."""
    at = max(begin, start - _BEFORE)
    while at > begin and data[at - 1] == _BACKSLASH:  # it may be escaped by the backslash before it
        at -= 1
    first = start
    for unit in _UNIT.finditer(data, at):
        if unit.start() <= start:
            first = unit.start()
        if unit.end() >= end:
            return first, unit.end()
    return first, end
