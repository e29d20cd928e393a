"""The agent's files, read and written by `docker exec` as the agent's own user; what is read is not trusted.

Only the standard library: commands that run during `up`, and `make pull`, use it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from components.errors import BottleError
from components.host_folder import mark_of
from components.state import state_folder

WORKSPACE = "/home/node/workspace"
_MARK = "/home/node/.claude-bottle-home"
# Names that are there, for tar complains about the others.
_THERE = 'for f; do if [ -f "$f" ] || [ -L "$f" ]; then printf "%s\\0" "$f"; fi; done'
_TAR = f"cd {WORKSPACE} && xargs -0 -r sh -c '{_THERE}' sh | tar -c --null --no-recursion -T -"
_LIST = (
    f"cd {WORKSPACE} && if [ -e .git ] && git ls-files -z -co --exclude-standard 2>/dev/null; then :;"
    " else find . -path ./.git -prune -o '(' -type f -o -type l ')' -print0; fi"
)


@dataclass(frozen=True)
class AgentFiles:
    """The files of one agent's container."""

    container: str

    def run(self, script: str, stdin: bytes = b"") -> bytes:
        """Standard output of a shell script run as `node`. Raises BottleError with its last words."""
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            return self._run(script, file)

    def _run(self, script: str, stdin: IO[bytes]) -> bytes:
        done = subprocess.run(self._argv(script), stdin=stdin, capture_output=True, check=False)
        if done.returncode != 0:
            raise BottleError(f"{self.container}: {_last(done.stderr) or 'the command failed'}")
        return done.stdout

    def _argv(self, script: str) -> list[str]:
        return ["docker", "exec", "-i", "-u", "node", self.container, "sh", "-euc", script]

    def extract(self, folder: str, write: Callable[[IO[bytes]], None]) -> None:
        """Unpack what `write` writes, a tar, below `folder`."""
        with tempfile.TemporaryFile() as file:
            write(file)
            file.seek(0)
            self._run(f"mkdir -p {folder} && tar -x -C {folder}", file)

    def home_identity(self) -> str:
        """What tells this home volume from one before it; an agent that changes it only makes its own base unknown."""
        told = self.run(f"[ -s {_MARK} ] || od -An -N16 -tx1 /dev/urandom | tr -d ' ' > {_MARK}; cat {_MARK}")
        return told.decode(errors="replace").strip()[:64]

    def list_workspace(self) -> list[str]:
        """What git does not ignore there, or all files where there is no repository; only names that may be used."""
        found = self.run(_LIST).split(b"\0")
        names = (os.fsdecode(name.removeprefix(b"./")) for name in found if name)
        return sorted({name for name in names if is_plain(name)})

    @contextmanager
    def workspace_tar(self, names: Iterable[str]) -> Iterator[tarfile.TarFile]:
        """Those of the named files that are there, as a tar."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as wanted:
            wanted.write(b"".join(os.fsencode(name) + b"\0" for name in names))
            wanted.seek(0)
            done = subprocess.run(self._argv(_TAR), stdin=wanted, stdout=out, stderr=subprocess.PIPE, check=False)
            if done.returncode != 0:
                raise BottleError(f"{self.container}: the workspace could not be read: {_last(done.stderr)}")
            out.seek(0)
            if os.fstat(out.fileno()).st_size == 0:  # an empty list makes no tar at all
                out.write(b"\0" * 1024)
                out.seek(0)
            with tarfile.open(fileobj=out, mode="r:") as tar:
                yield tar

    def workspace_marks(self, names: Iterable[str]) -> dict[str, str]:
        """Path to mark, of those of the named files that are there."""
        found = {}
        with self.workspace_tar(names) as tar:
            for member in tar:
                if member.issym():
                    found[member.name] = mark_of(None, member.linkname, False)
                elif member.isreg() or member.islnk():
                    data = tar.extractfile(member)
                    digest = hashlib.file_digest(data, "sha256").hexdigest() if data else ""  # type: ignore[arg-type]
                    found[member.name] = digest + ("x" if member.mode & 0o100 else "")
        return found


def is_plain(name: str) -> bool:
    """Whether a name from the agent may be used on the host: relative, no dots, nothing of a `.git`."""
    parts = name.split("/")
    safe = all(part not in ("", ".", "..") and part.lower().rstrip(". ") not in (".git", "git~1") for part in parts)
    return safe and "\0" not in name


def _last(stderr: bytes) -> str:
    return (stderr.decode(errors="replace").strip().splitlines() or [""])[-1]


@dataclass(frozen=True)
class BaseRecord:
    """What host and agent last had in common, kept on the host, out of the agent's reach."""

    stack: str

    @property
    def file(self) -> Path:
        return state_folder("workspaces") / f"{self.stack}.json"

    def read(self, identity: str) -> dict[str, str]:
        """Path to mark; empty where nothing is known about this home volume."""
        try:
            kept = json.loads(self.file.read_text())
            return dict(kept["base"]) if kept["home"] == identity else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def write(self, identity: str, base: dict[str, str]) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"home": identity, "base": base}))
        new.replace(self.file)
