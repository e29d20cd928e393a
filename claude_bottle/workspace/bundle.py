"""Extracts the branches of an agent's git bundle. git's fsck checks each object before it is in the repository.

git does not check objects of a bundle by itself, whatever `fetch.fsckObjects` says (tested with git 2.39). A bundle is
a header, the refs, a blank line and a pack (gitformat-bundle(5)). Standard library only.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from claude_bottle.host.bounded import run_bounded
from claude_bottle.host.child_env import child_env
from claude_bottle.policy.errors import BottleError

_SECONDS = 120.0  # a few kilobytes of deltas can occupy git for hours
# A few megabytes can expand to an object of many gigabytes. git streams a blob of more than 512 MB, so this suffices.
_ALLOC = "600m"
_REFS = 10_000
_LINE = 4096  # bytes
_REF = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) refs/heads/([^\0 ]+)\n\Z")


def bring(root: Path, bundle: IO[bytes], remote: str) -> list[str]:
    """Store the branches at refs/remotes/<remote>/. Returns those git refused. Raises BottleError, nothing changed."""
    left = []
    for name, commit in unpack(root, bundle).items():
        argv = [*_git(root), "update-ref", "--no-deref", f"refs/remotes/{remote}/{name}", commit]
        if subprocess.run(argv, capture_output=True, check=False, env=child_env()).returncode != 0:
            left.append(name)
    return left


def unpack(root: Path, bundle: IO[bytes], env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Add the bundle's objects to the repository. Returns branch to commit. Raises BottleError, nothing changed.

    env: variables for git, such as another folder for objects.
    """
    branches = _header(bundle)
    os.lseek(bundle.fileno(), bundle.tell(), os.SEEK_SET)
    argv = [*_git(root), "index-pack", "--strict", "--threads=1", "--fix-thin", "--stdin"]
    variables = child_env({"GIT_ALLOC_LIMIT": _ALLOC, **(env or {})})
    run_bounded(argv, "git index-pack", stdin=bundle, out=io.BytesIO(), seconds=_SECONDS, env=variables)
    return branches


def _git(root: Path) -> list[str]:
    return ["git", "-C", str(root), "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]


def _header(bundle: IO[bytes]) -> dict[str, str]:
    """Branch to commit. Leaves the bundle at the start of its pack."""
    if not re.fullmatch(rb"# v[23] git bundle\n", bundle.readline(_LINE)):
        raise BottleError("it is not a git bundle")
    branches: dict[str, str] = {}
    while (line := bundle.readline(_LINE)) != b"\n":
        if line.startswith(b"@object-format="):
            continue
        match = _REF.match(line)
        if match is None or len(branches) >= _REFS:
            raise BottleError("the git bundle has a header that it should not have")
        branches[os.fsdecode(match[2])] = match[1].decode()
    return branches
