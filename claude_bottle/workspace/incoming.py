"""Decides by names and links which of an agent's files may be placed on the host, before anything is written. Pure.

The agent chooses names, links and contents. On the host, programs of the owner act on some names automatically: git on
a folder that is laid out as a repository, whose configuration names programs; editors, shells and package managers on
others.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping

from claude_bottle.workspace.run_files import run_by

# Bytes. Linux: NAME_MAX; PATH_MAX is 4096, including the owner's folder; a link's target has PATH_MAX less its NUL.
_LONGEST_NAME, _LONGEST_PATH, _LONGEST_LINK = 255, 3000, 4095

# Names in a folder that git treats as a repository, `.git` or not (git's setup.c, is_git_directory: HEAD, and objects
# and refs, there or where a file `commondir` points).
_REPOSITORY = (
    "head",
    "objects",
    "refs",
    "commondir",
    "config",
    "config.worktree",
    "packed-refs",
    "hooks",
    "info",
    "index",
)


def repositories(names: Iterable[str], exists: Callable[[str], bool]) -> list[str]:
    """Folders ("" for the top) that git would treat as a repository once these files are placed.

    exists: whether a path is on the host already. Case is ignored, because some file systems ignore it.
    """
    parts: dict[str, set[str]] = {}
    for name in names:
        words = name.split("/")
        for depth, word in enumerate(words):
            if word.lower() in _REPOSITORY:
                parts.setdefault("/".join(words[:depth]), set()).add(word.lower())
    return sorted(folder for folder, inside in parts.items() if _is_repository(folder, inside, exists))


def _is_repository(folder: str, inside: set[str], exists: Callable[[str], bool]) -> bool:
    def has(name: str) -> bool:
        path = posixpath.join(folder, "HEAD" if name == "head" else name)
        return name in inside or exists(path)

    return has("head") and ((has("objects") and has("refs")) or has("commondir"))


def _in_repository(name: str, laid_out: frozenset[str]) -> str | None:
    """The folder among these that a file is in. At the top only names that git reads there count."""
    for at, letter in enumerate(name):
        if letter == "/" and name[:at] in laid_out:
            return name[:at]
    return "" if "" in laid_out and name.split("/")[0].lower() in _REPOSITORY else None


def wrong_link(name: str, target: str) -> str:
    """Why a link may not be placed, by its text alone; "" if it may.

    `..` is allowed only at the beginning, because after a name, which may itself be a link, its target is unknown.
    """
    if len(target.encode(errors="surrogateescape")) > _LONGEST_LINK:
        return "a link whose target is too long for this machine"
    words = target.split("/")
    up = len(words) - len(words[next((n for n, word in enumerate(words) if word != ".."), len(words)) :])
    if not target or target.startswith("/") or ".." in words[up:] or up > name.count("/"):
        return f"a link that leaves the workspace ({target})"
    if any(is_git(word) for word in posixpath.normpath(posixpath.join(posixpath.dirname(name), target)).split("/")):
        return f"a link into a .git ({target})"
    return ""


def is_git(word: str) -> bool:
    """Whether a path component is `.git`, in any spelling that some file systems treat as equal."""
    return word.lower().rstrip(". ") in (".git", "git~1")


def is_plain(name: str) -> bool:
    """Whether a name from the agent may be used on the host: relative, no `.` or `..`, nothing of a `.git`."""
    parts = name.split("/")
    return all(part not in ("", ".", "..") and not is_git(part) for part in parts) and "\0" not in name


def too_long(name: str) -> bool:
    """Whether a path is too long to create on the host."""
    data = name.encode(errors="surrogateescape")
    return len(data) > _LONGEST_PATH or any(len(word) > _LONGEST_NAME for word in data.split(b"/"))


def left_out(
    names: Iterable[str], links: Mapping[str, str], exists: Callable[[str], bool], *, run_files: bool
) -> Iterator[tuple[str, str]]:
    """Files that are not placed, with the reason. names: of all files. run_files: whether run_by() files are placed."""
    every = sorted(names)
    laid_out = frozenset(repositories(every, exists))
    for name in every:
        if (folder := _in_repository(name, laid_out)) is not None:
            yield name, f"part of a git repository, whose configuration git would follow ({folder or '.'})"
        elif too_long(name):
            yield name, "its name is too long for this machine"
        elif name in links and (why := wrong_link(name, links[name])):
            yield name, why
        elif not run_files and (by := run_by(name)):
            yield name, f"run by {by}"
