"""Reads and writes the agent's files by commands inside it, as the agent's own user. Its output is not trusted.

Standard library only, because commands that run during `up` and `make pull` import it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from claude_bottle.engines.chosen import inside_agent
from claude_bottle.host.bounded import run_bounded
from claude_bottle.host.state_folder import state_folder
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.names.files import AGENT_HOME, WORKSPACE
from claude_bottle.policy.whole_file import write_whole
from claude_bottle.workspace.host_folder import mark_of
from claude_bottle.workspace.hostile_tar import members
from claude_bottle.workspace.incoming import is_plain

_MARK = f"{AGENT_HOME}/.claude-bottle-home"
# Only names that exist, because tar reports an error for others.
_THERE = 'for f; do if [ -f "$f" ] || [ -L "$f" ]; then printf "%s\\0" "$f"; fi; done'
# Sparse files stay sparse, because an empty one may claim a terabyte. A hard link becomes a file of its own.
_TAR = (
    f"cd {WORKSPACE} && xargs -0 -r sh -c '{_THERE}' sh | tar -c --sparse --hard-dereference --null --no-recursion -T -"
)
_ARCHIVE = 4 << 30  # bytes of the agent's workspace as a tar archive
_SECONDS, _ARCHIVE_SECONDS = 60, 600
_NAMES = 1_000_000  # files of a workspace; each costs some hundred bytes of memory, several times
_LIST = (
    f"cd {WORKSPACE} && if [ -e .git ] && git ls-files -z -co --exclude-standard 2>/dev/null; then :;"
    " else find . -path ./.git -prune -o '(' -type f -o -type l ')' -print0; fi"
)


@dataclass(frozen=True)
class AgentFiles:
    """The files of one agent. container: its name on the engine. root: run as root there instead of `node`."""

    container: str
    root: bool = field(default=False, kw_only=True)

    def run(self, script: str, stdin: bytes = b"") -> bytes:
        """The standard output of a shell script. Raises BottleError with the last line of its standard error."""
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            return self._run(script, file)

    def feed(self, script: str, stdin: IO[bytes]) -> None:
        """Run a script whose input may be large. Raises BottleError."""
        self._run(script, stdin, _ARCHIVE_SECONDS)

    def run_into(self, script: str, out: IO[bytes]) -> None:
        """Run a script whose output may be large, and write the output to a file. Raises BottleError."""
        argv = self._argv(script, _ARCHIVE_SECONDS)
        run_bounded(argv, self.container, out=out, seconds=_ARCHIVE_SECONDS + 5, most=_ARCHIVE)

    def _run(self, script: str, stdin: IO[bytes], seconds: int = _SECONDS) -> bytes:
        out = io.BytesIO()
        run_bounded(self._argv(script, seconds), self.container, stdin=stdin, out=out, seconds=seconds + 5)
        return out.getvalue()

    def _argv(self, script: str, seconds: int = _SECONDS) -> list[str]:
        # The limit also ends the process in the agent, which may have replaced a file by a pipe or a device.
        limited = ["timeout", "-k", "1", str(seconds), "sh", "-euc", script]
        return inside_agent(self.container, limited, root=self.root)

    def extract(self, folder: str, write: Callable[[IO[bytes]], None]) -> None:
        """Unpack the tar archive that `write` writes below `folder`. Raises BottleError."""
        with tempfile.TemporaryFile() as file:
            write(file)
            file.seek(0)
            self._run(f"mkdir -p {folder} && tar -x -C {folder}", file, _ARCHIVE_SECONDS)

    def home_identity(self) -> str:
        """An id of this home volume, which a new volume does not have. An agent that changes it only loses its base."""
        new = f"{{ rm -rf {_MARK}; od -An -N16 -tx1 /dev/urandom | tr -d ' ' > {_MARK}; }}"
        output = self.run(f"[ -f {_MARK} ] && [ ! -L {_MARK} ] && [ -s {_MARK} ] || {new}; head -c 64 {_MARK}")
        return output.decode(errors="replace").strip()

    def list_workspace(self) -> list[str]:
        """Files that git does not ignore, or all files without a repository; only names that are safe on the host."""
        listing = self.run(_LIST)
        if listing.count(b"\0") > _NAMES:
            raise BottleError(f"{self.container}: the workspace has more than {_NAMES} files")
        entries = listing.split(b"\0")
        names = (os.fsdecode(name.removeprefix(b"./")) for name in entries if name)
        return sorted({name for name in names if is_plain(name)})

    @contextmanager
    def workspace_tar(self, names: Iterable[str]) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]]:
        """Those of the named files that exist, and nothing else (see hostile_tar.members)."""
        asked = set(names)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as wanted:
            wanted.write(b"".join(os.fsencode(name) + b"\0" for name in asked))
            wanted.seek(0)
            argv, what = self._argv(_TAR, _ARCHIVE_SECONDS), f"{self.container}: reading the workspace"
            run_bounded(argv, what, stdin=wanted, out=out, seconds=_ARCHIVE_SECONDS + 5, most=_ARCHIVE)
            out.seek(0)
            if os.fstat(out.fileno()).st_size == 0:  # an empty list makes no archive at all
                out.write(b"\0" * 1024)
                out.seek(0)
            yield members(out, asked)

    def workspace_marks(self, names: Iterable[str]) -> dict[str, str]:
        """Path to mark, for those of the named files that exist."""
        marks = {}
        with self.workspace_tar(names) as files:
            for member, data in files:
                if data is None:
                    marks[member.name] = mark_of(None, member.linkname, False)
                else:
                    digest = hashlib.file_digest(data, "sha256").hexdigest()  # type: ignore[arg-type]
                    marks[member.name] = digest + ("x" if member.mode & 0o100 else "")
        return marks


@dataclass(frozen=True)
class BaseRecord:
    """The last common state of host and agent, stored on the host, where the agent cannot reach it."""

    stack: str

    @property
    def file(self) -> Path:
        return state_folder("workspaces") / f"{self.stack}.json"

    @property
    def _later(self) -> Path:
        return self.file.with_suffix(".later")

    def read(self, identity: str) -> dict[str, str]:
        """Path to mark; empty if nothing is known about this home volume."""
        try:
            kept = json.loads(self.file.read_text())
            base = dict(kept["base"]) if kept["home"] == identity else {}
        except (OSError, ValueError, KeyError, TypeError):
            base = {}
        with contextlib.suppress(OSError, ValueError, TypeError):
            for line in self._later.read_text().splitlines():
                home, path, mark = json.loads(line)
                if home == identity:
                    base.pop(path, None)
                    base |= {path: mark} if mark else {}
        return base

    def add(self, identity: str, path: str, mark: str | None) -> None:
        """Record one file as soon as it is in place (mark None: deleted), so that an interrupted pull can resume."""
        with self._later.open("a") as later:
            later.write(json.dumps([identity, path, mark]) + "\n")

    def write(self, identity: str, base: dict[str, str]) -> None:
        """Replace the whole record, including files that were added."""
        write_whole(self.file, json.dumps({"home": identity, "base": base}).encode())
        self._later.unlink(missing_ok=True)
