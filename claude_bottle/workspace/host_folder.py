"""A folder of the host that is copied into the agent: its files, problems that forbid the copy, its digest, a tar of
it.

Standard library only, because commands that run during `up` import it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from claude_bottle.host.child_env import child_env

AGENT_UID = 1000


@dataclass(frozen=True)
class Item:
    """One file or link. path: relative, with slashes. mark: SHA-256 and `x` if executable, or `-> target` of a link."""

    path: str
    mark: str


def mark_of(data: bytes | None, link: str | None, executable: bool) -> str:
    """A mark that differs between two versions of an item."""
    if link is not None:
        return f"-> {link}"
    return hashlib.sha256(data or b"").hexdigest() + ("x" if executable else "")


def all_files(root: Path) -> list[str]:
    """Every file and link below `root`, sorted, without a `.git` at the top."""
    paths = []
    for folder, folders, names in os.walk(root):
        relative = Path(folder).relative_to(root)
        paths += [(relative / n).as_posix() for n in (*names, *(d for d in folders if (Path(folder) / d).is_symlink()))]
        folders[:] = sorted(d for d in folders if not (folder == str(root) and d == ".git"))
    return sorted(name for name in paths if name != ".git")


def versioned_files(root: Path) -> list[str]:
    """The files that git would track: all except ignored ones, also of nested repositories. Raises OSError."""
    argv = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(argv, capture_output=True, check=False, env=child_env())
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace").strip().splitlines()[0])
    names: set[str] = set()
    for name in filter(None, os.fsdecode(done.stdout).split("\0")):
        path = root / name.rstrip("/")
        if path.is_dir() and not path.is_symlink():  # a submodule or a repository of its own
            below = versioned_files(path) if (path / ".git").exists() else all_files(path)
            names |= {f"{name.rstrip('/')}/{item}" for item in below}
        elif path.exists() or path.is_symlink():
            names.add(name)
    return sorted(names)


def workspace_files(root: Path) -> list[str]:
    """The files of a workspace copy: in a git checkout those that git does not ignore, else all."""
    return versioned_files(root) if (root / ".git").exists() else all_files(root)


def problems(root: Path, names: Iterable[str], *, links_stay_inside: bool) -> Iterator[str]:
    """Reasons why this folder must not be copied."""
    top = root.resolve()
    for name in names:
        path = root / name
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            if links_stay_inside and not _leads_inside(path, top):
                yield f"{name} is a link that leaves the folder ({path.readlink()})"
        elif not stat.S_ISREG(kind):
            yield f"{name} is neither a file nor a link"
        elif not os.access(path, os.R_OK):
            yield f"{name} cannot be read"


def _leads_inside(link: Path, top: Path) -> bool:
    target = link.readlink()
    try:
        return not target.is_absolute() and (link.parent / target).resolve().is_relative_to(top)
    except (OSError, RuntimeError):  # a cycle, which leads nowhere
        return False


def items(root: Path, names: Iterable[str]) -> list[Item]:
    """The items, with their marks."""
    return [Item(name, _mark(root / name)) for name in names]


def _mark(path: Path) -> str:
    if path.is_symlink():
        return mark_of(None, str(path.readlink()), False)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest + ("x" if path.stat().st_mode & 0o100 else "")


def digest(files: Iterable[Item]) -> str:
    """One SHA-256 of all items."""
    total = hashlib.sha256()
    for item in files:
        total.update(f"{item.path}\0{item.mark}\0".encode(errors="surrogateescape"))
    return total.hexdigest()


def write_tar(out: IO[bytes], root: Path, names: Iterable[str], prefix: str = "") -> None:
    """Write the named files to `out`, owned by the agent's user; links stay links."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            member = tar.gettarinfo(root / name, arcname=prefix + name)
            member.uid = member.gid = AGENT_UID
            member.uname = member.gname = "node"
            if member.islnk():  # a hard link becomes a file of its own
                member.type, member.size = tarfile.REGTYPE, (root / name).stat().st_size
            member.mode = 0o755 if member.mode & 0o100 else 0o644
            if member.isreg():
                with (root / name).open("rb") as file:
                    tar.addfile(member, file)
            else:
                tar.addfile(member)
