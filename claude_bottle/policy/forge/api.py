"""Calls of a forge's REST API that write code, merge, or add keys, hooks and the like need a capability. Pure.

Code reaches an upstream only through git-gate, which scans it and knows its branches. A forge is recognised by the
shape of its API's paths on any host, so that self-hosted ones count too. Writes listed as free are allowed (issues,
comments, labels, opening and editing pull requests). Any other write needs a capability that the route lists under
`forge`. Tables: policy/forge/rules.py for one repository, policy/forge/accounts.py for everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from claude_bottle.policy.forge.accounts import ACCOUNTS
from claude_bottle.policy.forge.capabilities import NOTHING, UNREADABLE
from claude_bottle.policy.forge.paths import Segments, may_be_forge, read_path, words_of
from claude_bottle.policy.forge.rules import ID, REPOSITORIES, Forge

READS = frozenset(["GET", "HEAD", "OPTIONS"])
# Reads that create a token: Gitea's for a runner (routers/api/v1/shared/runners.go), and Conan's, which GitLab
# (lib/api/concerns/packages/conan/shared_endpoints.rb) and Gitea (routers/api/packages/conan) implement.
_MAKES_TOKEN = re.compile(r"(?:.*/)?(?:runners/registration-token|conan/v[0-9]+/users/authenticate)(?:\.[^/.]+)?\Z")
_TOKEN_WORDS = frozenset(["registration-token", "authenticate"])
# docs.github.com/en/enterprise-cloud@latest/admin/data-residency: api.SUBDOMAIN.ghe.com
_GITHUB_HOST = re.compile(r"api\.(?:github\.com|[a-z0-9-]+\.ghe\.com)\Z")

# By the first word of a root. A repository's entry comes before an account's, because the longer root is more specific.
_ROOTS: dict[str, list[tuple[tuple[str, ...], Forge]]] = {}
_STARTS: list[tuple[tuple[str, ...], Forge]] = []
for _forge in (*REPOSITORIES, *ACCOUNTS):
    for _root in _forge.roots:
        (_STARTS if _forge.at_start else _ROOTS.setdefault(_root[0], [])).append((_root, _forge))


def needed(method: str, path: str, host: str = "") -> frozenset[str]:
    """The capabilities that the head of a request needs; none for most reads and for free writes.

    host: in lower case; on GitHub's own host every path belongs to the forge. A path may belong to a forge in more than
    one reading (`%2F`, a root inside another's rest). It then needs the capabilities of each.
    """
    github, is_read = is_github(host), method in READS
    readings = read_path(path)
    if readings is None:
        harmless = is_read and _TOKEN_WORDS.isdisjoint(words_of(path) or ())
        return UNREADABLE if not harmless and (github or may_be_forge(path)) else NOTHING
    if is_read:
        makes = any(_MAKES_TOKEN.match(rest) for segments in readings for _, rest in _parts(segments, github))
        return frozenset(["keys"]) if makes else NOTHING
    kinds = {forge.judge(method, rest) for segments in readings for forge, rest in _parts(segments, github)}
    return frozenset(kind for kind in kinds if kind is not None)


def is_github(host: str) -> bool:
    """Whether this is a host of GitHub's own API."""
    return bool(_GITHUB_HOST.match(host))


def repository_rests(readings: tuple[Segments, ...]) -> list[tuple[str, str]]:
    """The name of each forge whose API a path belongs to, and the path after the repository, project or group."""
    parts = [part for segments in readings for part in _parts(segments, False)]
    return [(forge.name, rest) for forge, rest in parts if forge in REPOSITORIES]


def account_rests(readings: tuple[Segments, ...]) -> list[tuple[str, str]]:
    """The name of each forge whose API a path belongs to outside a repository, and the path after its root."""
    parts = [part for segments in readings for part in _parts(segments, False)]
    return [(forge.name, rest) for forge, rest in parts if forge in ACCOUNTS]


def forges_of(readings: tuple[Segments, ...]) -> frozenset[str]:
    """The names of the forges whose API a path belongs to by its shape."""
    return frozenset(forge.name for segments in readings for forge, _ in _parts(segments, False))


def _parts(segments: Segments, github: bool) -> Iterator[tuple[Forge, str]]:
    """Every part of a forge's API that the segments may belong to, and the rest of the path there."""
    for at, word in enumerate(segments):
        for root, forge in (*_STARTS, *_ROOTS.get(word, ())) if at == 0 else _ROOTS.get(word, ()):
            if (forge.host_only and not github) or not _stands(root, segments, at):
                continue
            # A slash within a segment is part of a name: a label, or an environment of GitHub's.
            rest = "/".join(segment.replace("/", "%2f") for segment in segments[at + len(root) :])
            if forge.own is None or forge.own.match(rest):
                yield forge, rest
                break


def _stands(root: tuple[str, ...], segments: Segments, at: int) -> bool:
    return at + len(root) <= len(segments) and all(part in (ID, segments[at + i]) for i, part in enumerate(root))
