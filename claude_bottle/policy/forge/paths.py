"""The path of a call to a forge as servers read it: its segments, in each reading that servers may have. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote

# Beyond these limits a path is unclear, and a forge's if one of its words says so. nginx accepts no request line over
# 8 KB (large_client_header_buffers); no call in the forges' references has a dozen segments before a file's path.
_MAX_LENGTH, _MAX_SEGMENTS = 8192, 64
_MAX_DECODED = 5  # no server decodes more layers; a path with more counts as a forge's
_UNCLEAR = re.compile(r"[\\%;#?\x00-\x1f\x7f\ufffd]|^\s|\s\Z")
# An unclear path counts as a forge's if it has one of these words.
_WORDS = frozenset(["repos", "repositories", "_apis", "2.0", "rest", "lfs", "gitlab-lfs"])
_FIRST_WORDS = frozenset(["user", "orgs", "teams", "gists", "enterprises", "authorizations"])
_VERSIONS = frozenset(["v1", "v3", "v4"])

Segments = list[str]


def read_path(path: str) -> tuple[Segments, ...] | None:
    """One list of segments for each reading: decoded once, in lower case, without empty ones; None for an unclear path.

    In the first reading a segment may contain slashes (`%2F`). Servers that decode before they split have the second,
    which is present if it differs. GitLab's ids of projects and groups, `acme%2Fproject`, are one segment in both,
    because GitLab does not work behind a server that decodes them (docs.gitlab.com/api/rest, "Namespaced paths").
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
    """Whether this segment is the id of a project or a group in GitLab's API."""
    return at >= 3 and segments[at - 3 : at - 1] == ["api", "v4"] and segments[at - 1] in ("projects", "groups")


def words_of(path: str) -> frozenset[str] | None:
    """Every word that may be a segment in some reading of an unclear path; None if it is too long or too deep."""
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
    """Whether an unclear path belongs to a forge's API in some reading."""
    words = words_of(path)
    if words is None:
        return True
    versioned = "api" in words and not words.isdisjoint(_VERSIONS)
    return versioned or not words.isdisjoint(_WORDS | _FIRST_WORDS)
