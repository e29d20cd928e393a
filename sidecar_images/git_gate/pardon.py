"""Findings that the owner may allow once: exactly these values in these contents, in any push that carries them."""

from __future__ import annotations

from collections.abc import Sequence

from claude_bottle.policy.once import Once, digest_of

from .remotes import Remote
from .scanning.scan import Judged, Looked

_PAGE = 50  # findings


def pardonable(looked: Looked) -> bool:
    """Whether findings are the only objections to a push, and an owner can judge each of them."""
    return bool(looked.judged) and not (looked.beyond or looked.too_large or looked.closed or looked.lfs)


def findings_digest(remote: Remote, findings: Sequence[Judged]) -> str:
    """One digest for these findings at this upstream. Another value, content, line or rule changes it."""
    parts = sorted(f"{one.digest} {one.where}" for one in findings)
    return digest_of(*(part.encode("utf-8", "surrogateescape") for part in ("findings", remote.name, *parts)))


def hold(once: Once, remote: Remote, findings: Sequence[Judged]) -> str:
    """Show the findings to their owner for a decision. Returns their digest."""
    digest = findings_digest(remote, findings)
    lines = [
        f"{one.shown}\n    {' '.join(one.context.split())}\n    known_findings: {one.digest}\n" for one in findings
    ]
    pages = ["".join(lines[at : at + _PAGE]) for at in range(0, len(lines), _PAGE)]
    count = f"{len(findings)} finding{'s' if len(findings) > 1 else ''}"
    once.hold(digest, {"what": f"{count} in a push to {remote.name} ({remote.upstream}), each a secret or not"}, pages)
    return digest
