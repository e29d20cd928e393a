"""Joins the fields of a body, JSON or a form, to find a secret that is split over several. Incremental. Pure.

Fields are found without a strict parser: text that is not JSON, or only almost, still has strings. Only the incomplete
piece is kept.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Protocol
from urllib.parse import unquote_to_bytes

from claude_bottle.dlp.text.readings import encoded, unescaped
from claude_bottle.dlp.verdict import Unscannable

View = tuple[str, bytes]

REACH = 1 << 10  # bytes of a long field that are joined with the next one: no rule needs more
STEP = 1 << 20  # bytes that are parsed at a time
_TO_QUOTE = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_DEPTH = 6  # of JSON within strings of JSON
_DECODED = 64 << 10  # bytes
_SEPARATOR = re.compile(rb"[&;]")
WORDS = "words"  # a view that is searched for seed phrases only: words, one a line


class Fields(Protocol):
    """feed: the views that the next piece completes; each continues the view of the same name before it."""

    def feed(self, data: bytes, last: bool) -> Iterator[View]: ...


def ends(value: bytes) -> bytes:
    """The bytes of a field that are joined with others: the two ends of a long value."""
    return value if len(value) <= 2 * REACH else value[:REACH] + b"\n" + value[-REACH:]


class JsonStrings:
    """The strings of JSON in order, with the keys and without; also of several documents in a row (NDJSON).

    undone: gets the whole text with its escapes decoded, at little extra cost.
    """

    def __init__(self, undone: list[bytes] | None = None, depth: int = 0) -> None:
        self._undone, self._depth = undone, depth
        self._nested = _Values()  # the strings that are JSON or forms themselves
        self._half = b""  # of a UTF-8 character
        self._rest = b""  # an incomplete string with its quote, or a string that is a key if a colon follows
        self._views: dict[str, list[bytes]] = {"joined": [], "values": [], WORDS: []}

    def feed(self, data: bytes, last: bool) -> Iterator[View]:
        data = self._half + data
        whole = len(data) if last else _whole_letters(data, len(data))
        self._half = data[whole:]
        start = 0
        while start < whole or last:
            end = _whole_letters(data, start + STEP) if start + STEP < whole else whole
            self._take(self._rest + data[start:end], last and end == whole)
            start, last = end, last and end != whole
        for label, pieces in self._views.items():
            joined = b"".join(pieces)
            pieces.clear()
            yield f"json>{label}", joined
        nested, self._nested = self._nested, _Values()
        yield from _fields_within(nested, self._depth)

    def _take(self, data: bytes, last: bool) -> None:
        if b"\\" in data and b'\\"' in data:  # a search for one byte is ten times as fast as for two
            strings, behind, rest, undone = _scanned(data, last)
        else:
            _, *pieces = data.split(b'"')
            strings, behind, rest = pieces[::2], pieces[1::2], b""
            if len(strings) > len(behind) and not last:
                rest = b'"' + strings.pop()
            undone = unescaped(data[: len(data) - len(rest)])
            if b"\\" in data:
                strings = [unescaped(string) if b"\\" in string else string for string in strings]
        if strings and not rest and not last and not behind[-1].strip():
            # It is a key if a colon follows. A string with quotes in it is not held, and counts as a value.
            rest = b'"' + strings[-1] + b'"' + behind[-1]
            if b"\\" in rest or b'"' in strings[-1]:
                rest = b""
            else:
                strings.pop()
                undone = undone[: len(undone) - len(rest)]
        self._add(strings, behind)
        if self._undone is not None and len(rest) > 4 * STEP:
            undone, rest = undone + unescaped(rest), _shortened(rest)
        self._rest = rest if self._undone is not None else _shortened(rest)
        if self._undone is not None:
            self._undone.append(undone)

    def _add(self, strings: list[bytes], behind: list[bytes]) -> None:
        if not strings:
            return
        for string in strings:
            if _has_fields(string):
                self._nested.add(string)
        if max(map(len, strings)) > 2 * REACH:
            strings = [ends(string) for string in strings]
        behind.append(b"")
        values = [string for string, then in zip(strings, behind, strict=False) if then.lstrip()[:1] != b":"]
        # Joined, because a list of millions of short strings takes sixty times the memory.
        self._views["joined"].append(b"".join(strings))
        self._views["values"].append(b"".join(values))
        self._views[WORDS].append(b"".join([word + b"\n" for word in values if 3 <= len(word) <= 8 and word.isalpha()]))


def _whole_letters(data: bytes, end: int) -> int:
    """The greatest end, at most `end`, that splits no UTF-8 character."""
    for begin in range(end - 1, max(end - 4, -1), -1):
        if data[begin] >= 0xC0:  # the first byte of two to four
            return begin if begin + (2 + (data[begin] >= 0xE0) + (data[begin] >= 0xF0)) > end else end
        if data[begin] < 0x80:
            break
    return end


def _scanned(data: bytes, last: bool) -> tuple[list[bytes], list[bytes], bytes, bytes]:
    """Strings with escaped quotes, decoded; the text after each; the incomplete rest; and the whole text, decoded."""
    text = data.decode("utf-8", "replace")
    strings: list[bytes] = []
    behind: list[bytes] = []
    undone: list[str] = []
    start, end, rest = text.find('"'), 0, ""
    while start >= 0:
        between, begin = text[end:start], start + 1
        if strings:
            behind.append(between[:20].encode())
        undone += (between, '"')
        try:
            string, end = scanstring(text, begin, False)
        except ValueError:  # an escape that JSON does not have, or no end
            end = _end_of_string(text, begin)
            if end < 0 and not last:
                undone.pop()
                rest = text[start:]
                break
            end = end if end >= 0 else len(text)
            string = unescaped(text[begin : end - 1 if text[end - 1] == '"' else end].encode()).decode(
                "utf-8", "replace"
            )
        strings.append(encoded(string))
        undone += (string, '"')
        start = text.find('"', end)
    if start < 0:
        undone.append(text[end:])
        behind.append(text[end : end + 20].encode())
    return strings, behind, rest.encode(), encoded("".join(undone))


def _end_of_string(text: str, start: int) -> int:
    """The index after the next quote that is not escaped; -1 if there is none."""
    match = _TO_QUOTE.match(text, start)
    return match.end() if match else -1


class _Values:
    """Values in order. A list of millions of short ones takes ten times the memory."""

    def __init__(self) -> None:
        self._all, self._ends = bytearray(), array("Q")

    def add(self, value: bytes) -> None:
        self._all += value
        self._ends.append(len(self._all))

    def __iter__(self) -> Iterator[bytes]:
        start = 0
        for end in self._ends:
            yield bytes(memoryview(self._all)[start:end])
            start = end


def _has_fields(value: bytes) -> bool:
    """Whether a value may be JSON or a form itself."""
    return len(value) >= 8 and (value[:1] in b"{[" or b"&" in value)


def _fields_within(values: Iterable[bytes], depth: int) -> Iterator[View]:
    """The views of values that are JSON or forms themselves. Raises Unscannable if they are nested deeper than
    _DEPTH."""
    for value in values:
        fields: Fields | None = JsonStrings(depth=depth + 1) if is_json_like(value) else None
        fields = fields or (FormFields(depth + 1) if is_form_like(value) else None)
        if fields is not None and depth >= _DEPTH:
            raise Unscannable("nested_too_deep", "JSON within JSON")
        for label, joined in fields.feed(value, last=True) if fields is not None else ():
            if joined:
                yield f"{label.partition('>')[0]}>within>{label.rpartition('>')[2]}", joined


class FormFields:
    """The values of a form in order, alone and with their names."""

    def __init__(self, depth: int = 0) -> None:
        self._rest = b""
        self._depth = depth

    def feed(self, data: bytes, last: bool) -> Iterator[View]:
        data = self._rest + data
        whole = len(data) if last else max(data.rfind(b"&"), data.rfind(b";")) + 1
        self._rest = _shortened(data[whole:])
        joined, named, words, nested = bytearray(), bytearray(), bytearray(), _Values()
        for pairs in _pairs(data, whole):
            for pair in pairs:
                name, _, value = pair.partition(b"=")
                short = ends(value)
                joined += short
                named += ends(name) + short
                if 3 <= len(value) <= 8 and value.isalpha():
                    words += value + b"\n"
                if (b"%" in pair or b"{" in pair) and _has_fields(decoded := _decoded(value)):
                    nested.add(decoded)
        yield "form>joined", _decoded(joined)
        del joined
        yield "form>named", _decoded(named)
        del named
        yield f"form>{WORDS}", bytes(words)
        yield from _fields_within(nested, self._depth)


def _pairs(data: bytes, whole: int) -> Iterator[list[bytes]]:
    """The pairs of a form up to that index, those of about STEP bytes at a time."""
    start = 0
    while start < whole:
        match = _SEPARATOR.search(data, start + STEP, whole)
        end = match.end() if match else whole
        yield _SEPARATOR.split(data[start:end])
        start = end


def _shortened(value: bytes) -> bytes:
    """An incomplete piece: its two ends if it is long."""
    return value if len(value) <= 8 * REACH else value[: 2 * REACH] + b"\n" + value[-2 * REACH :]


def _decoded(data: bytes | bytearray) -> bytes:
    decoded, start = bytearray(), 0
    while start < len(data):  # little at a time, because unquote_to_bytes makes a list of the pieces between escapes
        end = start + _DECODED
        escape = data.rfind(b"%", end - 2, end)  # one that goes on beyond the end
        end = escape if escape >= 0 else end
        decoded += unquote_to_bytes(bytes(data[start:end].replace(b"+", b" ")))
        start = end
    return bytes(decoded)


# An object, or an array of JSON values, after the prefixes that servers add: a byte order mark, a record separator (RFC
# 7464), a guard against script inclusion, `data:` of an event stream, a JSONP call.
_JSON = re.compile(
    rb"(?:\xef\xbb\xbf)?[\s\x1e]*(?:(?:event|id|retry):[^\n]{0,200}\n)*"
    rb"(?:\)\]\}',?|for ?\(;;\);|while ?\(1\);|data:|[\w.$]{1,60}\()?\s*"
    rb"(?:\{\s*[\"}]|\[\s*(?:[\"{\[\]]|(?:-?[0-9.eE+]+|true|false|null)\s*[,\]]))"
)
_PAIR = rb"\s*[^\s&=;<>{}\"]{1,256}=[^\s&;<>{}\"]*"
_FORM, _FORM_BEGINS = re.compile(_PAIR + rb"[&;][^\s&=;<>{}\"]{1,256}="), re.compile(_PAIR + rb"(?:[&;]|\Z)")


def is_json_like(data: bytes) -> bool:
    """Whether the data begins like JSON."""
    begin = data[:500]
    return (b"{" in begin or b"[" in begin) and _JSON.match(data) is not None


def is_form_like(data: bytes, *, goes_on: bool = False) -> bool:
    """Whether the data begins like a form. goes_on: more follows, which may hold the second field."""
    return b"=" in data[:300] and (_FORM_BEGINS if goes_on else _FORM).match(data) is not None
