"""Advice to a refused agent on removing a secret: commands that need no editor, from the commit that introduced it."""

from __future__ import annotations

from collections.abc import Sequence

from .scanning.objects import KNOWN
from .scanning.scan import Secret
from .scanning.work import Work

_SHOWN = 20


def how_to_remove(work: Work, secrets: Sequence[Secret], tips: Sequence[str]) -> list[str]:
    """Lines for the client. The commits are rebuilt from the parent of the first one with a secret."""
    advice = []
    bad = {secret.commit for secret in secrets if secret.commit}
    listed = work.git("rev-list", "--topo-order", "--reverse", "--parents", *tips, *KNOWN).decode() if bad else ""
    for line in listed.splitlines():
        commit, *parents = line.split()
        if commit not in bad:
            continue
        undo = f"git reset --soft {parents[0][:12]}" if parents else "git update-ref -d HEAD"
        advice += [
            f"every commit is scanned, and {commit[:12]} is the first with a secret: a later commit that deletes it is"
            " not enough. On its branch, make one new commit of everything since then:",
            f"  {undo}",
            "  (remove the secret from the files if it is still there; your files are unchanged)",
            "  git add -A && git commit -m 'what these commits do'",
        ]
        break
    if any(secret.place.startswith("the tag") for secret in secrets):
        advice.append("a tag: git tag -d NAME, then create it again without the secret")
    if any(not secret.commit and not secret.place.startswith("the tag") for secret in secrets):
        advice.append("the name of a ref, or a push option: choose another one")
    advice += ["then push again"]
    if digests := {digest: secret for secret in reversed(secrets) for digest in secret.digests}:
        advice.append("if it is not a secret, ask the owner to add it to git[].known_findings of this repository:")
        lines = [f"- {digest}  # {one.place}, line {one.line}" for digest, one in reversed(digests.items())]
        advice += [*lines[:_SHOWN], *([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])]
    return advice
