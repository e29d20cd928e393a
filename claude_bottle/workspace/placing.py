"""Places an agent's files in a folder of the host: only below it, and each file completely or not at all."""

from __future__ import annotations

import os
import secrets
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from claude_bottle.workspace.incoming import is_git, is_plain

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


class Placing:
    """One folder. Call `obstacles` first, then `remove`, then `place`, then `look_again`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        mask = os.umask(0)
        os.umask(mask)
        self._file_mode = 0o666 & ~mask

    def inside(self, name: str) -> bool:
        """Whether a write to `name` stays below the folder, because no folder above it is a link."""
        way = self._root
        for part in name.split("/")[:-1]:
            way = way / part
            if way.is_symlink():
                return False
        return True

    def obstacles(self, names: Iterable[str], removed: Iterable[str]) -> Iterator[str]:
        """Why these files cannot be placed on the host, once the others are removed."""
        gone = set(removed)
        for name in names:
            path = self._root / name
            above = ["/".join(name.split("/")[:depth]) for depth in range(1, name.count("/") + 1)]
            blocking = next((a for a in above if a not in gone and _is_no_folder(self._root / a)), None)
            if blocking is not None:
                yield f"{name}: {blocking} is a link or a file here, not a folder"
            elif path.is_dir() and not path.is_symlink() and not _goes(path, self._root, gone):
                yield f"{name}: is a folder here"

    def remove(self, name: str) -> None:
        """Delete a file, and then the folders that have become empty."""
        if self.inside(name):
            path = self._root / name
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()

    def place(self, member: tarfile.TarInfo, data: IO[bytes] | None) -> bool:
        """Write one file or link of a tar. Returns False for another kind, or one that would leave the folder."""
        if not is_plain(member.name) or not self.inside(member.name) or not (member.issym() or member.isreg()):
            return False
        path = self._root / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{secrets.token_hex(6)}")
        try:
            if member.issym():
                new.symlink_to(member.linkname)
            else:
                descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    _copy(data, file)
                new.chmod(self._mode(path, bool(member.mode & 0o100)))
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        return True

    def look_again(self, links: Iterable[str]) -> list[str]:
        """Delete links that lead out of the folder or into a `.git`, once all is in place. Returns their names."""
        root, out = self._root.resolve(), []
        for name in sorted(links):
            path = self._root / name
            try:
                target = path.resolve()
                good = target.is_relative_to(root) and not any(map(is_git, target.relative_to(root).parts))
            except (OSError, RuntimeError):  # a cycle
                good = True
            if not good:
                path.unlink(missing_ok=True)
                out.append(name)
        return out

    def _mode(self, path: Path, executable: bool) -> int:
        """The mode of the file being replaced without set-id bits, else by the umask; executable as for the agent."""
        try:
            old = path.lstat().st_mode
            mode = old & 0o777 if stat.S_ISREG(old) else self._file_mode
        except OSError:
            mode = self._file_mode
        mode &= ~0o111
        return mode | (mode & 0o444) >> 2 if executable else mode


def _copy(data: IO[bytes] | None, file: IO[bytes]) -> None:
    size = 0
    while data is not None and (chunk := data.read(_CHUNK)):
        size += len(chunk)
        if chunk == _ZEROS[: len(chunk)]:
            file.seek(size)  # keep holes
        else:
            file.write(chunk)
    file.truncate(size)


def _is_no_folder(path: Path) -> bool:
    return path.is_symlink() or (path.exists() and not path.is_dir())


def _goes(path: Path, root: Path, gone: set[str]) -> bool:
    """Whether a folder is empty once the named files are removed."""
    files = [Path(folder) / name for folder, folders, names in os.walk(path) for name in (*names, *folders)]
    return all((file.is_dir() and not file.is_symlink()) or file.relative_to(root).as_posix() in gone for file in files)
