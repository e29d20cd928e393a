"""A checkout's `.git`, as it is copied into the agent: without hooks, locks and credentials. Standard library only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from components.host_folder import all_files

_LEFT_OUT = ("hooks/", "worktrees/", "lfs/tmp/")


def git_files(root: Path) -> list[str]:
    """Names below `.git` that are copied: no hooks, locks, other worktrees or sockets."""
    folder = root / ".git"
    names = (n for n in all_files(folder) if not n.startswith(_LEFT_OUT) and not n.endswith(".lock"))
    return [name for name in names if (folder / name).is_file()]


def git_problems(root: Path) -> Iterator[str]:
    """Why this `.git` cannot be copied."""
    folder = root / ".git"
    if not folder.exists():
        yield "there is no .git to copy"
    elif not folder.is_dir():
        yield "its .git is a file (a linked worktree or a submodule); name the main checkout, or leave copy_git out"
    else:
        if (folder / "objects/info/alternates").exists():
            yield "its .git borrows objects elsewhere; git repack -a -d && rm .git/objects/info/alternates"
        for file in [folder / "config", *sorted((folder / "modules").rglob("config"))]:
            yield from (f"{file.relative_to(root)}: {wrong}" for wrong in _credentials(file))


def _credentials(file: Path) -> Iterator[str]:
    argv = ["git", "config", "--file", str(file), "--list", "-z"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    for entry in filter(None, listed.split("\0")):
        key, _, value = entry.partition("\n")
        if key.lower().endswith(".extraheader"):
            yield f"{key} holds a credential; git config --unset-all {key}"
        elif "://" in f"{key}{value}":
            for url in (value, key.removeprefix("url.")):
                parts = urlsplit(url) if "://" in url else None
                if parts and (parts.password or (parts.username and parts.scheme in ("http", "https"))):
                    yield f"{key.rpartition('.')[2]} of a remote holds a credential; give the URL without it"
                    break
