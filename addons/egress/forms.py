"""Form fields that make an upstream see another method or caller than the inspected ones. Pure."""

from __future__ import annotations

import re
from typing import Any

import re2

from addons.frame.request_rules import METHOD_PARAMETERS
from claude_bottle.policy.forge.fields import CHARSETS, is_json


def is_form(content_type: str) -> bool:
    """True for a body whose fields a server may read. Rack reads one without a type as a form too."""
    kind = content_type.partition(";")[0].strip().lower()
    return not kind or "urlencoded" in kind or "form-" in kind or kind.startswith("multipart/")


def has_fields(content_type: str) -> bool:
    """True for a form, and for JSON, whose keys Laravel reads as fields (Illuminate's Request::createFromBase)."""
    return is_form(content_type) or _is_json_somewhere(content_type)


def _is_json_somewhere(content_type: str) -> bool:
    """As in Laravel (Illuminate's InteractsWithContentTypes::isJson): by these strings anywhere in the header."""
    return any(part in content_type.lower() for part in ("/json", "+json"))


def method_override_in_form(body: bytes, content_type: str, caller: bool = False) -> bool:
    """True if a field asks for another method, or that cannot be ruled out. caller: also if one names another user."""
    return has_fields(content_type) and FormOverrideScan(content_type, caller).feed(body)


class FormOverrideScan:
    """Scans a form in chunks for such a field. Once found, it stays found."""

    def __init__(self, content_type: str = "", caller: bool = False) -> None:
        kind = content_type.partition(";")[0].strip().lower()
        self._urlencoded, self._multipart, self._in_json = _WITH_CALLER if caller else _METHODS
        # Grape reads a body without a type as JSON (lib/grape/middleware/formatter.rb).
        self._json = _is_json_somewhere(content_type) or (caller and not kind)
        self._only_json = is_json(content_type)
        self._parts = not kind or kind.startswith("multipart/")
        self._pairs = not self._only_json and not kind.startswith("multipart/")
        charsets = re.findall(r"charset\s*=([^;]*)", content_type, re.IGNORECASE)
        # In another charset (UTF-16, UTF-7, EBCDIC) names look different, and ASP.NET and Java decode by it.
        self._found = any(charset.strip(" \t\"'").lower() not in {"", *CHARSETS} for charset in charsets)
        self._tail, self._line = b"&", b""

    def feed(self, chunk: bytes) -> bool:
        """True if the field was found in this or an earlier chunk."""
        data, line = self._tail + chunk, self._line + chunk
        self._line = line[-_LONGEST:]
        self._found = self._found or (self._json and bool(self._in_json.search(data)))
        if self._only_json:
            self._tail = data[-_LONGEST:]
            return self._found
        if (self._pairs and (self._urlencoded.search(data) or _PADDED_PAIR.search(data))) or (
            self._parts
            and (
                self._multipart.search(data)
                or _PADDED_NAME.search(data)
                or _OTHER_LETTERS.search(data)
                or _CONTENT_ID.search(line)
            )
        ):
            self._found = True
        # A field starts after a separator, may continue in the next chunk, and may have any number of blanks first.
        last = max(data.rfind(b"&"), data.rfind(b";"))
        begun = data[last:] if last >= 0 else b""
        if len(begun) > _LONGEST:
            begun = begun[:1] + begun[1:].lstrip(b" \t\r\n\f\v")
        self._tail = data[-_LONGEST:] if self._json else begun if len(begun) <= _LONGEST else b""
        return self._found


_LONGEST = 1024  # bytes: longer than the longest name with every letter encoded


def _linear(pattern: str) -> Any:
    # RE2, because the agent writes the forms: matching takes time proportional to the length of any text.
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern.encode("latin-1"), options)


def _spelled(letter: str) -> str:
    if letter == "-":
        return r"\\?(?:[_\-. +]|%(?:5f|2d|2e|20))"
    return rf"\\?(?:{re.escape(letter)}|%{ord(letter):02x}|%{ord(letter.upper()):02x})"


_BLANK = r"(?:[\s+\x00]|%(?:0[09ad]|20))*"
# Rack strips brackets before a name (normalize_params: `\A[\[\]]*`).
_PADDING = r"(?:[\s+\x00\[\]]|%(?:0[09ad]|20|5[bd]))"
_BEFORE = f"{_PADDING}*"
# No client writes this many before a name, and the part kept of a chunk could start within them.
_PADDED_PAIR = _linear(rf"(?i)[&;]{_PADDING}{{500}}")
_PADDED_NAME = _linear(rf"""(?i);\s*name\s*(?:\*?\s*=\s*(?:[\w-]*'[\w-]*')?["']?)?{_PADDING}{{500}}""")


def _fields(names: frozenset[str], *in_json: str) -> tuple[Any, Any, Any]:
    """Patterns that find these names in an urlencoded form, in multipart and in JSON.

    PHP strips spaces before a name, ends it at a zero byte, and reads `name[…]` as it (php_register_variable_ex). RFC
    7578, 4.2. No client sends a name in pieces (name*0=, RFC 2231), so one counts as found. One with a character set
    (name*=) is read. An encoded word (RFC 2047), which Commons FileUpload decodes, counts as found too. A name without
    quotation marks ends at any character that is not part of a token (Rack 2, lib/rack/multipart.rb). Ruby's JSON
    strips a backslash before any letter, and skips comments (json 2.6.1).
    """
    spelled = "|".join("".join(map(_spelled, name)) for name in sorted(names))
    escaped = "|".join(
        "".join(rf"(?:\\?{one}|\\u00{ord(one):02x}|\\u00{ord(one):02X})" for one in name) for name in in_json
    )
    return (
        _linear(rf"(?i)[&;]{_BEFORE}(?:{spelled}){_BLANK}(?:[=\[\]\x00]|%(?:5b|5d|3d|00))"),
        _linear(
            rf"""(?i);\s*name(?:\*[0-9]|\s*\*?\s*=\s*["']?\s*=\?"""
            rf"""|\s*\*?\s*=\s*(?:[\w-]*'[\w-]*')?["']?{_BEFORE}(?:{spelled})[^0-9A-Za-z_-])"""
        ),
        _linear(rf'"(?:{escaped})"\s*(?:\z|[:/])'),
    )


_METHODS = _fields(METHOD_PARAMETERS, "_method")
# The caller's identity at GitLab (lib/api/helpers.rb; lib/gitlab/auth/auth_finders.rb) and Gitea
# (routers/api/v1/api.go; services/auth/oauth2.go): a token in a field takes precedence over the one in the head.
_WITH_CALLER = _fields(
    METHOD_PARAMETERS | {"sudo", "private-token", "job-token", "access-token"},
    *("_method", "sudo", "private_token", "job_token"),
)
# Rack uses this as the name of a part that has no other (lib/rack/multipart/parser.rb). OData's batches number theirs,
# and mail's are in angle brackets.
_CONTENT_ID = _linear(r"(?i)content-id:(?:\s{0,16}[^<0-9\s]|\s{17})")
# Character sets that Rack decodes names and values from (handle_dummy_encoding of the same file, since 3.2): those that
# are "dummy" in Ruby, by all their names (Encoding.list, Encoding.aliases).
_OTHER_LETTERS = _linear(r"(?i)charset\s*=\s*[\"']?\s*(?:iso-?2022|cp502|cp65000|utf-?(?:7|16|32)|ucs|ibm0|ebcdic|hz)")
