"""The views of one body: every way to read it. A secret in any view is a secret sent. Pure.

The bytes decide what a body is. A declared type is read as well: it adds views and removes none.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from claude_bottle.dlp.fields import WORDS, FormFields, JsonStrings, ends, is_form_like, is_json_like
from claude_bottle.dlp.packed.decoder import DecodeError, TooLargeError
from claude_bottle.dlp.packed.decoders import decode, layers_of
from claude_bottle.dlp.packed.members import Budget, long_runs, members, most_plain
from claude_bottle.dlp.parts import is_cut, is_message, joined_parts, part_of, parts_of
from claude_bottle.dlp.rules.allow import compile_bytes
from claude_bottle.dlp.text.near import OVERLAP
from claude_bottle.dlp.text.readings import PLAIN, WINDOW, View, text_views, windows
from claude_bottle.dlp.verdict import Unscannable

__all__ = ["DEPTH", "Unscannable", "body_views", "member_views", "packed_too", "stream_views"]

DEPTH = 4  # of archives and parts within one another
_UNDONE = ("base64", "hex", "wide", "escape", "rest")
_IN_TAGS, _PHRASE = compile_bytes(">[^<>A-Za-z]{0,20}([A-Za-z]{3,8})[^<>A-Za-z]{0,20}<"), 12
# A percent sign or a backslash that begins no escape. In a binary with one of these, other escapes are there by chance:
# decoded, an archive of the stream itself would appear once more, unfinished.
_STRAY = re.compile(rb"%(?![0-9A-Fa-f]{2})(?=[\s\S]{2})|\\(?![ -~])(?=[\s\S])")
_CHARSET = re.compile(r"""charset\s*=\s*"?([A-Za-z0-9._:-]{1,40})""", re.IGNORECASE)
# Already readable as UTF-8; or no text encoding, and slow to decode.
_AS_IT_IS = ("utf-8", "ascii", "iso8859-1", "cp1252", "punycode", "idna", "undefined")


def body_views(data: bytes, content_type: str, content_encoding: str = "") -> Iterator[View]:
    """Every view of a body. Raises Unscannable if the body cannot be read to its end."""
    budget = Budget(len(data))
    try:
        for name in layers_of(content_encoding):
            # A decoder skips names and comments in gzip, frames in zstd, metadata in brotli.
            yield from packed_too(text_views(data, "raw"), budget, but_the_first=True)
            data = decode(data, name, most_plain(len(data)))
    except TooLargeError as error:
        raise Unscannable("too_large_to_scan", str(error)) from error
    except DecodeError as error:
        raise Unscannable("unreadable_encoding", str(error)) from error
    yield from _readings(data, content_type, DEPTH, budget)


def stream_views(data: bytes, label: str, depth: int) -> Iterator[View]:
    """The views of a part of a stream. Archives in the stream itself are not searched for here."""
    yield from _text(data, label, depth, Budget(len(data)), whole=False)


def member_views(data: bytes, depth: int) -> Iterator[View]:
    """The views of a short member of an archive."""
    yield from _deeper("archive", data, "", depth, Budget(len(data)))


def packed_too(views: Iterable[View], budget: Budget, *, but_the_first: bool = False) -> Iterator[View]:
    """The views, and the views of the archives in each. but_the_first: the first view begins with an archive that is
    unpacked elsewhere."""
    for number, (label, data) in enumerate(views):
        yield label, data
        if not label.endswith(PLAIN):
            inside = data[1:] if but_the_first and number == 0 else data
            yield from _packed(inside, DEPTH, budget)


def _readings(
    data: bytes, content_type: str, depth: int, budget: Budget, *, strict: bool = True, sure: bool = True
) -> Iterator[View]:
    if not data:
        return
    kind = content_type.partition(";")[0].strip().lower()
    yield from _packed(data, depth, budget, strict=strict, sure=sure)
    raw, data = data, _in_utf_8(data, content_type)
    if data is not raw:
        yield from _text(raw, "text", depth, budget)
    if kind == "application/json" or kind.endswith(("+json", "json-seq", "ndjson")) or is_json_like(data):
        pieces: list[bytes] = []
        fields = JsonStrings(pieces).feed(data, last=True)
        joined = next(fields)
        undone = b"".join(pieces)
        pieces.clear()
        if undone == data:
            undone = data
        else:
            yield from ((PLAIN, window) for window in windows(data))
        yield from _text(undone, "json", depth, budget)
        del undone  # of a long body, each copy counts (claude_bottle/manifest/render/pipelock.py)
        yield from _joined(chain([joined], fields))
    else:
        yield from _text(data, "text", depth, budget)
        if b"<" in data and (words := words_in_tags(data)):
            yield f"markup>{WORDS}", words
    if kind == "application/x-www-form-urlencoded" or is_form_like(data):
        yield from _joined(FormFields().feed(data, last=True))
    if kind.startswith("multipart/") or is_cut(data):
        yield from _parts(data, content_type, depth, budget)
    elif kind.startswith("message/") or is_message(data):
        part = part_of(data)
        if part.content_type or part.payload is not data:
            yield from _deeper("part", part.payload, part.content_type, depth, budget)


def words_in_tags(data: bytes) -> bytes:
    """The words that stand alone between tags, one a line; empty if they are too few for a phrase."""
    words, count = bytearray(), 0
    for match in _IN_TAGS.finditer(data):
        words += match.group(1) + b"\n"
        count += 1
    return bytes(words) if count >= _PHRASE else b""


def _text(data: bytes, label: str, depth: int, budget: Budget, *, whole: bool = True) -> Iterator[View]:
    """The text's views, and the views of archives in those that decode something. whole: the text does not continue."""
    in_one = len(data) <= WINDOW + OVERLAP
    for name, view in text_views(data, label):
        yield name, view
        how = name.rpartition(">")[2]
        if how in _UNDONE:  # an archive that is written so; a binary with a percent sign is none
            ours = how != "escape" or data.isascii()
            whole_here = whole or not in_one or (not ours and _STRAY.search(data) is not None)
            yield from _packed(view, depth, budget, whole=whole_here, sure=ours)
    for run in long_runs(data):
        yield from _packed(run, depth, budget, whole=whole)


def _joined(views: Iterable[View]) -> Iterator[View]:
    looked_at = b""
    for label, joined in views:
        if joined and joined != looked_at:  # without keys, the values are all there is
            yield from ((label, w) for w in windows(joined)) if label.endswith(WORDS) else text_views(joined, label)
        looked_at = joined


def _packed(
    data: bytes, depth: int, budget: Budget, *, strict: bool = False, whole: bool = True, sure: bool = True
) -> Iterator[View]:
    scraps, joined = [], []
    for member in members(data, budget, strict=strict, sure=sure):
        if member.unfinished and not whole:
            raise Unscannable("too_large_to_scan", "an archive in base64 that is too large to be scanned")
        if member.scrap or (depth == 0 and not member.whole):
            scraps.append(member.data)
            continue
        joined.append(ends(member.data))
        yield from _deeper("archive", member.data, "", depth, budget, strict and member.whole, member.whole)
    if scraps:
        yield from text_views(b"\n".join(scraps), "scraps")
    if len(joined) > 1:
        yield from text_views(b"".join(joined), "archive>joined")


def _parts(data: bytes, content_type: str, depth: int, budget: Budget) -> Iterator[View]:
    parts = parts_of(data, content_type)
    for part in parts:
        yield from _deeper("part", part.payload, part.content_type, depth, budget)
    yield from _joined(joined_parts(parts))


def _deeper(
    label: str, data: bytes, content_type: str, depth: int, budget: Budget, strict: bool = True, sure: bool = True
) -> Iterator[View]:
    if depth == 0:
        raise Unscannable("nested_too_deep", "archives within archives, or parts within parts")
    for name, view in _readings(data, content_type, depth - 1, budget, strict=strict, sure=sure):
        yield f"{label}>{name}", view


def _in_utf_8(data: bytes, content_type: str) -> bytes:
    """The data in UTF-8, if another text encoding is declared, or if it is JSON in UTF-16 or UTF-32 (RFC 4627, 3)."""
    declared = _CHARSET.search(content_type)
    try:
        name = codecs.lookup(declared.group(1)).name if declared else ""
        if name and name not in _AS_IT_IS:
            return _to_utf_8(data, name)
    except (LookupError, UnicodeError):  # an unknown charset
        pass
    if b"\0" in data[:4] and (name := json.detect_encoding(data)) != "utf-8":
        text = _to_utf_8(data, name)
        return text if is_json_like(text) else data
    return data


def _to_utf_8(data: bytes, name: str) -> bytes:
    """The data from another text encoding. A window at a time, because as text it may take four times its size. Raises
    LookupError if it is no text encoding."""
    data[:1].decode(name, "replace")
    decoder, places = codecs.getincrementaldecoder(name)("replace"), range(0, len(data), WINDOW)
    texts = (decoder.decode(data[at : at + WINDOW], at + WINDOW >= len(data)) for at in places)
    try:
        return b"".join(text.encode("utf-8", "replace") for text in texts)
    except UnicodeError:  # such as UTF-16 without its mark, which only a whole text may lack
        return data.decode(name, "replace").encode("utf-8", "replace")
