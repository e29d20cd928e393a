"""The fields of a request to a forge, where every server reads the same ones. Pure.

The measure is Rack, because GitLab is behind it: lib/rack/query_parser.rb, lib/rack/multipart/parser.rb; its releases
2.2.24, 3.1.8 and 3.2.3 were run. A body of another kind than these three, or written otherwise than clients write it,
is not read at all, so that nothing depends on how a server takes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from claude_bottle.policy.strict_json import read_json

Fields = list[tuple[str, Any]]  # name and value: text, or what JSON holds

_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\Z")
# In these the letters of names and commands are those of ASCII.
CHARSETS = frozenset(["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "latin1", "windows-1252"])
_CHARSET = f"(?:{'|'.join(sorted(CHARSETS))})"
_OTHER_CHARSET = re.compile(rf"charset\s*=(?!\s*\"?{_CHARSET}\"?\s*(?:;|\Z))", re.IGNORECASE)
_HALF = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# RFC 2046 has more letters for a boundary; Rack ends it at a comma, and takes the last `boundary=` of a value.
_BOUNDARY = re.compile(
    r"multipart/form-data(?:\s*;\s*charset=utf-8)?\s*;\s*boundary=(\"?)([0-9A-Za-z'()+_.-]{1,70})\1"
    r"(?:\s*;\s*charset=utf-8)?\s*\Z",
    re.IGNORECASE,
)
# A part without a name is named by its Content-ID, its file or its type there; a backslash in a name is left out.
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
    """Whether every server reads such a body as JSON, and as nothing else."""
    return bool(_JSON.match(content_type.partition(";")[0].strip().lower()))


def fields_of_body(content_type: str, body: bytes) -> Fields | None:
    """The fields of a body, of JSON those of its object; a value without a name is filed under "". None where servers
    could read others. What a file holds is a value like others, for not every server takes it for a file.
    """
    if body.strip() in (b"", b"null"):
        return []
    if _OTHER_CHARSET.search(content_type):
        return None
    if is_json(content_type):
        payload = plain_json(body)
        return None if payload is None else list(payload.items()) if isinstance(payload, dict) else [("", payload)]
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        # What begins like JSON, or a comment before it, is no form for who looks at the body alone. Rack takes a zero
        # byte off the end (lib/rack/request.rb).
        text = None if _CONTROL.search(body) or body.lstrip()[:1] in b'{["/' else _text(body)
        return None if text is None else fields_of_query(text)
    boundary = _BOUNDARY.match(content_type)
    return _parts(b"--" + boundary[2].encode(), body) if boundary else None


def plain_json(body: bytes | str) -> Any:
    """JSON as `read_json` has it; None too for what is no UTF-8, and where it is another thing to some.

    Ruby's JSON.load makes of an object what its `json_class` says, a string of bytes among it, and Oj what a name with
    `^` says. Behind half of a surrogate pair Ruby's parser takes a letter away (json 2.6.1).
    """
    text = _text(body) if isinstance(body, bytes) else body
    payload = None if text is None else read_json(text)
    names = [name for part in parts_of(payload) if isinstance(part, dict) for name in part]
    if any(name == "json_class" or name.startswith("^") for name in names):
        return None
    return None if any(map(_HALF.search, (*names, *strings(payload)))) else payload


def fields_of_query(text: str) -> Fields:
    """The fields of a form or a query. Rack 3 parts them at `&`, Rack 2 at `;` too, so that each reading is there."""
    pairs = (pair.partition("=") for pair in {*text.split("&"), *re.split("[&;]", text)} if pair)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def base_name(name: str) -> str:
    """The name that Rack files a field under: brackets before it are left out (normalize_params)."""
    return re.split(r"[\[\].]", name.strip().lower().lstrip("[]"), maxsplit=1)[0]


def strings(value: Any) -> Iterator[str]:
    """Every string of a JSON value, however deep."""
    return (item for item in parts_of(value) if isinstance(item, str))


def parts_of(value: Any) -> Iterator[Any]:
    """A JSON value and every value in it, however deep."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _parts(mark: bytes, body: bytes) -> Fields | None:
    # Cut wherever the mark stands, so that a part which could end earlier for somebody is none.
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
