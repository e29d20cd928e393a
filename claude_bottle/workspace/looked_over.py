"""Whether a repository's objects contain one of the bottle's tokens. Clean ones are remembered: unpacking is slow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from claude_bottle.host.state_folder import state_folder
from claude_bottle.workspace.git_folder import git_files, object_bytes

_OVERLAP = 64 << 10  # bytes, longer than any token


def holds_token(root: Path, holds: Callable[[bytes], bool], secrets: Sequence[bytes]) -> bool:
    """Whether a copied file or object of `.git` contains a secret. holds: scans bytes. Raises OSError."""
    if not secrets:
        return False
    folder = root / ".git"
    names = git_files(root)
    small = [name for name in names if "objects/" not in name]
    if any(holds((folder / name).read_bytes()) for name in small):
        return True
    known = state_folder("looked") / _name([name for name in names if "objects/" in name], secrets)
    if known.exists():
        return False
    if any(holds(piece) for piece in _overlapping(object_bytes(root))):
        return True
    known.touch()
    return False


def _overlapping(pieces: Iterable[bytes]) -> Iterable[bytes]:
    before = b""
    for piece in pieces:
        yield before + piece
        before = piece[-_OVERLAP:] if len(piece) >= _OVERLAP else (before + piece)[-_OVERLAP:]


def _name(objects: Sequence[str], secrets: Sequence[bytes]) -> str:
    """A name for exactly these objects and secrets. It is slow to compute, so that it does not help to guess one."""
    salt = hashlib.sha256("\0".join(objects).encode()).digest()
    return hashlib.scrypt(b"\0".join(sorted(secrets)), salt=salt, n=1 << 13, r=8, p=1, dklen=20).hex()
