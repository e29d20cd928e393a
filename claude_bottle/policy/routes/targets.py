"""Request targets: those that every server reads alike, and git pushes in any spelling. Pure."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
_NOT_IN_TARGET = re.compile(r"[\x00-\x20\x7f]")


def check_target(path: str) -> str | None:
    """Why some servers could read a request target differently, or None. For every route, in both proxies.

    A target has no fragment (RFC 9112, 3.2; RFC 3986, 3.5): some servers cut at a `#`, others do not. It is ASCII
    without spaces and control characters (RFC 3986, 2). Some servers read a backslash in the path as a slash (URL
    standard, 4.4). Characters that clients send unencoded, and all servers read alike, pass: `"`, `<`, `>`, `^`, `{`,
    `|`, `}`.
    """
    if "#" in path:
        return "The URL holds a fragment (#), which is no part of a request."
    if not path.isascii() or _NOT_IN_TARGET.search(path):
        return "The URL holds a space, a control character or one that is not ASCII; write it with %."
    if not path.startswith("/") and path != "*":  # `OPTIONS *` (RFC 9112, 3.2.4)
        return "The URL's path does not begin with a slash."
    if "\\" in path.partition("?")[0]:
        return "The URL's path holds a backslash; write it as %5C."
    return None


def checked_path(path: str) -> str | None:
    """The path as every server reads it, or None if servers differ. It checks the exact text that is sent.

    None for targets that check_target refuses, for dot segments (plain, encoded, with parameters), for encoded slashes,
    backslashes, percent signs, `?`, `#` and control characters, and for invalid UTF-8: with any of these, the prefix
    that is compared here may differ from the one that the upstream serves.
    """
    raw = path.partition("?")[0]
    if check_target(path) is not None or path == "*" or re.search(r"%(?![0-9A-Fa-f]{2})", raw):
        return None
    if re.search(r"%(?:2f|5c|25|23|3f|[01][0-9a-f]|7f)", raw, re.IGNORECASE):
        return None
    try:
        plain = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return None
    # Also `...` and `.. `, because some servers cut trailing dots and blanks.
    names = [segment.partition(";")[0] for segment in plain.split("/")]
    if any(name and not name.strip(". ") for name in names):
        return None
    return plain


def path_readings(path: str) -> tuple[str, ...]:
    """Each way in which servers read a path; empty if that is uncertain.

    Like checked_path, except for encoded slashes. Some servers read them as slashes, others as letters of a name, so
    each gives a reading. npm requests `/@scope%2Fname`, GitLab's clients `/projects/group%2Fproject`. The decoded path
    is checked like a plain one: dot segments and a second layer (`%252F`) are still refused.
    """
    plain = checked_path(path)
    if plain is not None:
        return (plain,)
    raw = path.partition("?")[0]
    decoded = checked_path(_ENCODED_SLASH.sub("/", raw))
    if decoded is None or check_target(path) is not None:
        return ()
    return decoded, unquote(_ENCODED_SLASH.sub("%252F", raw))


def is_prefix(text: str) -> bool:
    """Whether a route can have this path prefix: plain, except for a slash that is a letter of a name (`%2F`), as in
    GitLab's IDs (`/api/v4/projects/group%2Fproject`) and npm's scopes."""
    plain = text.replace("%2F", "/")
    return checked_path(plain) == plain and not re.search(r"(?:\A|/|%2F)%2F|%2F(?:/|\Z)", text)


def is_git_fetch_request(path: str) -> bool:
    """Whether this is a request of a fetch as git itself spells it. For the form of a response, never for a
    decision."""
    location, _, query = path.partition("?")
    return location.endswith("/git-upload-pack") or (
        location.endswith("/info/refs") and query == "service=git-upload-pack"
    )


def is_git_push_request(path: str) -> bool:
    """Whether this is a request of a smart-HTTP push, in any spelling. Fetch and clone are not pushes.

    A push requests `…/info/refs?service=git-receive-pack` and posts to `…/git-receive-pack` (gitprotocol-http(5)).
    """
    location, _, query = path.partition("?")
    for _ in range(5):  # no server decodes deeper nesting than this
        location, query = unquote(location, errors="replace"), unquote(query.replace("+", " "), errors="replace")
    location = re.sub(r"[\x00-\x20\x7f]", "", location.replace("\\", "/").lower())
    bare = "/".join(segment.partition(";")[0] for segment in location.partition("#")[0].partition("?")[0].split("/"))
    last = posixpath.normpath("/" + bare)
    if last.endswith("/git-receive-pack"):
        return True
    return last.endswith("/info/refs") and "git-receive-pack" in (query + location).lower()
