"""Paths of a mounted workspace that must be read-only, because the owner's git reads its configuration from them.

Standard library only. git's own rules: setup.c (is_git_directory, read_gitfile), gitsubmodules(7).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from claude_bottle.workspace.git_folder import entries, git_output
from claude_bottle.workspace.incoming import is_git

_DEEPEST = 10  # git's own limit for nested includes
_MOST = 64  # paths; each is a mount of the agent's container


@dataclass(frozen=True)
class GitPlaces:
    """Paths relative to the workspace. present: exist. missing: do not exist, or are empty folders.

    The missing ones are created as empty folders, because otherwise the agent could create them.
    wrong: why this workspace cannot be mounted, or "".
    """

    present: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    wrong: str = ""


def git_places(root: Path) -> GitPlaces:
    """Every `.git`, including those of submodules, and every path inside the workspace that they refer to.

    Raises OSError if git cannot list the submodules.
    """
    top = root.resolve()
    if not (root / ".git").is_file() and not (root / ".git/HEAD").is_file():
        # Without one, or with an empty one, git treats the folder itself as a repository if it is laid out as one.
        return GitPlaces(
            wrong="has no repository at its top, so the agent could create one; run git init, or write mode: copy"
        )
    present: set[str] = set()
    missing: set[str] = set()
    for path in _repositories(root):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            return GitPlaces(wrong=f"{name} is a link; git would follow it to where the agent can write")
        if path.is_dir() and not any(path.iterdir()):
            missing.add(name)  # created by an earlier run; git ignores an empty one
            continue
        present.add(name)
        for other in _referred(path):
            if not other.is_relative_to(top) or other == top:
                continue
            if not other.exists():
                return GitPlaces(wrong=f"{name} refers to {other.relative_to(top)}, which the agent could create")
            present.add(other.relative_to(top).as_posix())
    missing |= {f"{name}/.git" for name in _submodules(root) if not os.path.lexists(root / name / ".git")}
    inside = {name for name in present if any(name.startswith(f"{other}/") for other in present)}
    if len(present - inside) + len(missing) > _MOST:
        return GitPlaces(wrong=f"has more than {_MOST} repositories inside; write mode: copy, or name one of them")
    return GitPlaces(tuple(sorted(present - inside)), tuple(sorted(missing)))


def folders_above(places: Iterable[str]) -> list[str]:
    """The parent folders of these paths. Whoever renames one can replace the path."""
    above = {"/".join(place.split("/")[:depth]) for place in places for depth in range(1, place.count("/") + 1)}
    return sorted(above.difference(places))


def _repositories(root: Path) -> Iterator[Path]:
    """Every `.git`, and every folder below the top that is laid out as a repository under another name."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        yield from (here / name for name in (*folders, *names) if is_git(name))
        laid_out = here != root and "HEAD" in names and ({"objects", "refs"} <= set(folders) or "commondir" in names)
        if laid_out:
            yield here
        folders[:] = [] if laid_out else [name for name in folders if not is_git(name)]


def _referred(place: Path) -> Iterator[Path]:
    """The targets of a `.git` file and of a `commondir`, and the files and hook folders that a config names."""
    folder = place
    if place.is_file():
        text = _read(place)
        if not text.startswith("gitdir:"):
            return
        folder = (place.parent / text.removeprefix("gitdir:").strip()).resolve()
        yield folder
    if common := _read(folder / "commondir").strip():
        yield (folder / common).resolve()
    for config in (folder / "config", folder / "config.worktree", *folder.glob("modules/**/config")):
        yield from _named(config, place.parent, 0)


def _named(config: Path, work: Path, depth: int) -> Iterator[Path]:
    """git-config(1): an include is relative to the including file, core.hooksPath to the work tree."""
    if depth > _DEEPEST:
        raise OSError(f"{config}: its includes are nested too deeply")
    if not config.is_file():
        return
    for key, value in entries(config):
        if key == "include.path" or (key.startswith("includeif.") and key.endswith(".path")):
            included = (config.parent / Path(value).expanduser()).resolve()
            yield included
            yield from _named(included, work, depth + 1)
        elif key == "core.hookspath":
            yield (work / Path(value).expanduser()).resolve()


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")[:4096] if file.is_file() else ""
    except OSError:
        return ""


def _submodules(root: Path) -> Iterator[str]:
    """Folders that the index records as submodules. git reads them without being asked."""
    for entry in git_output("-C", str(root), "-c", "core.fsmonitor=false", "ls-files", "-z", "--stage").split("\0"):
        about, _, name = entry.partition("\t")
        if about.startswith("160000 "):
            yield name
