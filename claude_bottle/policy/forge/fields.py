"""The fields of a request to a forge, if every server reads the same ones. Pure.

The reference is Rack, because GitLab uses it: lib/rack/query_parser.rb, lib/rack/multipart/parser.rb. Its releases
2.2.24, 3.1.8 and 3.2.3 were tested. A body of any other kind than these three, or in a form that clients do not send,
is not read at all, so that nothing depends on a server's interpretation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from claude_bottle.policy.strict_json import read_json

Fields = list[tuple[str, Any]]  # name and value: text, or a JSON value

_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\Z")
# Character sets in which the letters of names and commands are encoded as in ASCII.
CHARSETS = frozenset(["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "latin1", "windows-1252"])
_CHARSET = f"(?:{'|'.join(sorted(CHARSETS))})"
_OTHER_CHARSET = re.compile(rf"charset\s*=(?!\s*\"?{_CHARSET}\"?\s*(?:;|\Z))", re.IGNORECASE)
_HALF = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# RFC 2046 allows more characters in a boundary. Rack ends it at a comma, and uses the last `boundary=` of a value.
_BOUNDARY = re.compile(
    r"multipart/form-data(?:\s*;\s*charset=utf-8)?\s*;\s*boundary=(\"?)([0-9A-Za-z'()+_.-]{1,70})\1"
    r"(?:\s*;\s*charset=utf-8)?\s*\Z",
    re.IGNORECASE,
)
# Rack names a part without a name by its Content-ID, file or type, and drops a backslash in a name.
_NAMED = re.compile(
    rb'content-disposition:[ \t]*form-data;[ \t]*name=(?:"([\w.\[\]-]{1,200})"|([\w.-]{1,200}))'
    rb"(?:;[ \t]*filename=\"[^\"\\\r\n]{0,255}\")?(?:;[ \t]*filename\*=utf-8''[\w%.!#$&+^`|~-]{1,1000})?",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    rb"content-type:[ \t]*[\w.+/-]+(?:[ \t]*;[ \t]*charset=\"?" + _CHARSET.encode() + rb"\"?)?"
    rb"|content-transfer-encoding:[ \t]*(?:7bit|8bit|binary)|content-length:[ \t]*[0-9]+",
    re.IGNORECASE,
)


def is_json(content_type: str) -> bool:
    """Whether every server reads such a body as JSON and as nothing else."""
    return bool(_JSON.match(content_type.partition(";")[0].strip().lower()))


def fields_of_body(content_type: str, body: bytes) -> Fields | None:
    """The fields of a body, or of a JSON body's object; a value without a name gets the name "". None if servers could
    read other fields. The content of a file is a value like others, because not every server treats it as a file.
    """
    if body.strip() in (b"", b"null"):
        return []
    if _OTHER_CHARSET.search(content_type):
        return None
    if is_json(content_type):
        payload = plain_json(body)
        return None if payload is None else list(payload.items()) if isinstance(payload, dict) else [("", payload)]
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        # A body that begins like JSON, or like a comment before it, is not a form to a server that ignores its type.
        # Rack strips a zero byte at the end (lib/rack/request.rb).
        text = None if _CONTROL.search(body) or body.lstrip()[:1] in b'{["/' else _text(body)
        return None if text is None else fields_of_query(text)
    boundary = _BOUNDARY.match(content_type)
    return _parts(b"--" + boundary[2].encode(), body) if boundary else None


def plain_json(body: bytes | str) -> Any:
    """The JSON value as from `read_json`; None also if it is not UTF-8, or if some parsers read another value.

    Ruby's JSON.load turns an object with `json_class` into an instance, such as a string of bytes, and Oj one with a
    name that begins with `^`. Ruby's parser drops a character after half of a surrogate pair (json 2.6.1).
    """
    text = _text(body) if isinstance(body, bytes) else body
    payload = None if text is None else read_json(text)
    names = [name for part in parts_of(payload) if isinstance(part, dict) for name in part]
    if any(name == "json_class" or name.startswith("^") for name in names):
        return None
    return None if any(map(_HALF.search, (*names, *strings(payload)))) else payload


def fields_of_query(text: str) -> Fields:
    """The fields of a form or a query, in both readings: Rack 3 splits at `&`, and Rack 2 at `;` too."""
    pairs = (pair.partition("=") for pair in {*text.split("&"), *re.split("[&;]", text)} if pair)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def base_name(name: str) -> str:
    """The name under which Rack files a field, without the brackets before it (normalize_params)."""
    return re.split(r"[\[\].]", name.strip().lower().lstrip("[]"), maxsplit=1)[0]


def strings(value: Any) -> Iterator[str]:
    """Every string of a JSON value, at any depth."""
    return (item for item in parts_of(value) if isinstance(item, str))


def parts_of(value: Any) -> Iterator[Any]:
    """A JSON value and every value in it, at any depth."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _parts(mark: bytes, body: bytes) -> Fields | None:
    # Split at every mark, so that a part that could end earlier for some server is refused.
    before, *parts = body.split(mark)
    end = parts.pop() if parts else b""
    if before or not parts or end not in (b"--", b"--\r\n"):
        return None
    fields: Fields = []
    for part in parts:
        head, blank, value = part.partition(b"\r\n\r\n")
        if not (head.startswith(b"\r\n") and blank and value.endswith(b"\r\n")):
            return None
        lines = head[2:].split(b"\r\n")
        named = [match for line in lines if (match := _NAMED.fullmatch(line))]
        if len(named) != 1 or not all(_BESIDE.fullmatch(line) for line in lines if line != named[0][0]):
            return None
        fields.append(((named[0][1] or named[0][2]).decode(), value[:-2].decode("utf-8", "replace")))
    return fields
