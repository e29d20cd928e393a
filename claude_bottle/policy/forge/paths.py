"""The path of a call to a forge as servers read it: its segments, in each reading that servers have of it. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote

# Beyond these a path is not followed: it is a forge's if one word of it says so. nginx takes no request line of more
# than 8 KB (large_client_header_buffers); no call of the forges' references has a dozen segments before a file's path.
_MAX_LENGTH, _MAX_SEGMENTS = 8192, 64
_MAX_DECODED = 5  # deeper nesting than this no server undoes; what has more is taken for a forge's
_UNCLEAR = re.compile(r"[\\%;#?\x00-\x1f\x7f\ufffd]|^\s|\s\Z")
# One of these words in a path that is read in more ways than can be followed makes it a forge's.
_WORDS = frozenset(["repos", "repositories", "_apis", "2.0", "rest", "lfs", "gitlab-lfs"])
_FIRST_WORDS = frozenset(["user", "orgs", "teams", "gists", "enterprises", "authorizations"])
_VERSIONS = frozenset(["v1", "v3", "v4"])

Segments = list[str]


def read_path(path: str) -> tuple[Segments, ...] | None:
    """One list of segments for each reading: decoded once, in lower case, empty ones left out; None if none is sure.

    The first reading may have slashes within a segment (`%2F`). Servers that decode before they split have the second,
    which is there if they differ. GitLab's IDs of projects and groups, `acme%2Fproject`, are one segment in both:
    GitLab works behind no server that decodes them (docs.gitlab.com/api/rest, "Namespaced paths").
    """
    raw = path.partition("?")[0]
    if len(raw) > _MAX_LENGTH:
        return None
    parts = [part for part in raw.split("/") if part]
    if len(parts) > _MAX_SEGMENTS:
        return None
    if "%" in raw:
        parts = [unquote(part) for part in parts]
    segments = [part.lower() for part in parts]
    if any(_UNCLEAR.search(segment) for segment in segments):
        return None
    if "%" not in raw:
        return None if "." in segments or ".." in segments else (segments,)
    flat: Segments = []
    for at, segment in enumerate(segments):
        pieces = [piece for piece in segment.split("/") if piece]
        if "." in pieces or ".." in pieces:
            return None
        flat += [segment] if is_gitlab_id(segments, at) else pieces
    return (segments,) if flat == segments else (segments, flat)


def is_gitlab_id(segments: Segments, at: int) -> bool:
    """Whether this segment is the ID of a project or a group in GitLab's API."""
    return at >= 3 and segments[at - 3 : at - 1] == ["api", "v4"] and segments[at - 1] in ("projects", "groups")


def words_of(path: str) -> frozenset[str] | None:
    """Every word that some reading of an unclear path can have as a segment; None if it is too deep or long to say."""
    text = path.partition("?")[0]
    if "%" in text and len(text) > 8 * _MAX_LENGTH:
        return None
    for _ in range(_MAX_DECODED):
        if "%" not in text:
            break
        text = unquote(text)
    if re.search(r"%[0-9A-Fa-f]{2}", text):
        return None
    return frozenset(re.split(r"[/\\;?#\ufffd]", re.sub(r"[\x00-\x20\x7f]", "", text).lower()))


def may_be_forge(path: str) -> bool:
    """Whether an unclear path can be one of a forge's API in some reading."""
    words = words_of(path)
    if words is None:
        return True
    versioned = "api" in words and not words.isdisjoint(_VERSIONS)
    return versioned or not words.isdisjoint(_WORDS | _FIRST_WORDS)
