"""Findings that the owner may let pass one time: exactly these values at these places, in whatever push they come."""

from __future__ import annotations

from collections.abc import Sequence

from claude_bottle.policy.once import Once, digest_of

from .remotes import Remote
from .scanning.scan import Looked, Secret

_PAGE = 50  # findings


def pardonable(found: Looked) -> bool:
    """Whether findings are all that is against a push, and each of them is one that an owner can judge: not the gate's
    own credential, and not among so many that some have no digest.
    """
    others = found.too_large or found.closed or found.lfs
    return bool(found.secrets) and not others and all(len(one.digests) == len(one.context) > 0 for one in found.secrets)


def findings_digest(remote: Remote, secrets: Sequence[Secret]) -> str:
    """One name for these findings at this upstream."""
    parts = sorted(f"{digest} {one.place} {one.rule}" for one in secrets for digest in one.digests)
    return digest_of(*(part.encode("utf-8", "surrogateescape") for part in ("findings", remote.name, *parts)))


def hold(once: Once, remote: Remote, secrets: Sequence[Secret]) -> str:
    """Put them where their owner can look at them; their digest."""
    digest = findings_digest(remote, secrets)
    lines = [
        f"{one.place}, line {one.line}" + (f", commit {one.commit[:12]}" if one.commit else "") + f" ({one.rule})\n"
        + "".join(f"    {' '.join(context.split())}\n    known_findings: {name}\n"
                  for name, context in zip(one.digests, one.context, strict=True))
        for one in secrets
    ]  # fmt: skip
    pages = ["".join(lines[at : at + _PAGE]) for at in range(0, len(lines), _PAGE)]
    count = f"{len(secrets)} finding{'s' if len(secrets) > 1 else ''}"
    once.hold(digest, {"what": f"{count} in a push to {remote.name} ({remote.upstream}), each a secret or not"}, pages)
    return digest
