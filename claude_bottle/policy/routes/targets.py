"""Request targets: what every server reads alike, and what is a git push however it is spelled. Pure."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
_NOT_IN_TARGET = re.compile(r"[\x00-\x20\x7f]")


def check_target(path: str) -> str | None:
    """Why a request target is none that every server reads alike, or None. For every route, in both proxies.

    A target has no fragment (RFC 9112, 3.2; RFC 3986, 3.5): who finds a `#` cuts there, or does not. It is ASCII
    without spaces and control characters (RFC 3986, 2). A backslash in the path is a slash to some (URL standard, 4.4).
    What clients send as it is all the same, and nobody reads in two ways, passes: `"`, `<`, `>`, `^`, `{`, `|`, `}`.
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
    """The path as every server reads it, or None where servers differ. It looks at the very text that is sent.

    None for what check_target refuses, for dot segments (plain, encoded, with parameters), for encoded slashes,
    backslashes, percent signs, `?`, `#` and control characters, and for what is no UTF-8: with any of these, the prefix
    that is compared here need not be the one that the upstream serves.
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
    # Also `...` and `.. `, of which some servers cut last dots and blanks.
    names = [segment.partition(";")[0] for segment in plain.split("/")]
    if any(name and not name.strip(". ") for name in names):
        return None
    return plain


def path_readings(path: str) -> tuple[str, ...]:
    """Each way in which servers read a path; none where it cannot be told.

    As checked_path, but for encoded slashes. They are slashes to some servers and letters of a name to others: there
    is a reading for each. npm asks for `/@scope%2Fname`, GitLab's clients for `/projects/group%2Fproject`. What comes
    of decoding is looked at as if it had been written so: dot segments and a second layer (`%252F`) stay refused.
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
    """Whether a route can have this as a prefix of paths: plain, but for a slash that is a letter of a name (`%2F`), as
    in GitLab's IDs (`/api/v4/projects/group%2Fproject`) and npm's scopes."""
    plain = text.replace("%2F", "/")
    return checked_path(plain) == plain and not re.search(r"(?:\A|/|%2F)%2F|%2F(?:/|\Z)", text)


def is_git_fetch_request(path: str) -> bool:
    """True for both requests of a fetch as git itself spells them. For the form of an answer, never for a decision."""
    location, _, query = path.partition("?")
    return location.endswith("/git-upload-pack") or (
        location.endswith("/info/refs") and query == "service=git-upload-pack"
    )


def is_git_push_request(path: str) -> bool:
    """True for both requests of a smart-HTTP push, however they are spelled; fetch and clone are not pushes.

    A push asks for `…/info/refs?service=git-receive-pack` and posts to `…/git-receive-pack` (gitprotocol-http(5)).
    """
    location, _, query = path.partition("?")
    for _ in range(5):  # until nothing is left to decode; deeper nesting than this no server undoes
        location, query = unquote(location, errors="replace"), unquote(query.replace("+", " "), errors="replace")
    location = re.sub(r"[\x00-\x20\x7f]", "", location.replace("\\", "/").lower())
    bare = "/".join(segment.partition(";")[0] for segment in location.partition("#")[0].partition("?")[0].split("/"))
    last = posixpath.normpath("/" + bare)
    if last.endswith("/git-receive-pack"):
        return True
    return last.endswith("/info/refs") and "git-receive-pack" in (query + location).lower()
