"""Looks for secrets in everything that a push brings: contents, messages, names, tags. gitleaks decides what one is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .remotes import ETC, Remote

_PRINTABLE = re.compile(rb"[\x20-\x7e\t]{6,}")
_WIDE = re.compile(rb"(?:[\x20-\x7e]\x00){6,}|(?:\x00[\x20-\x7e]){6,}")
# What the upstream has: the mirror was made like it when this push began.
KNOWN = ("--not", "--glob=refs/*")
_ARCHIVES: dict[bytes, tuple[str, ...]] = {
    b"PK\x03\x04": (".zip",),
    b"\x1f\x8b": (".gz", ".tar.gz"),
    b"BZh": (".bz2", ".tar.bz2"),
    b"\xfd7zXZ\x00": (".xz", ".tar.xz"),
    b"\x28\xb5\x2f\xfd": (".zst", ".tar.zst"),
}
_LFS = b"version https://git-lfs.github.com/spec/"


class ScanError(Exception):
    """The push could not be looked at, so it is not let through."""


@dataclass(frozen=True)
class Secret:
    """Where a secret is; never what it is. place: for a person. commit: the commit that brings it, if one does."""

    place: str
    line: int
    rule: str
    commit: str = ""

    def __str__(self) -> str:
        where = f", commit {self.commit[:12]}" if self.commit else ""
        return f"{self.place}, line {self.line}{where}: REDACTED (rule {self.rule})"


@dataclass
class Looked:
    """What a look at a push found, and what was in it. too_large: paths and sizes. lfs: paths of new LFS pointers."""

    secrets: list[Secret] = field(default_factory=list)
    too_large: list[str] = field(default_factory=list)
    lfs: list[str] = field(default_factory=list)
    commits: int = 0
    objects: int = 0


def look(remote: Remote, new: Iterable[str], refs: Iterable[str]) -> Looked:
    """Look at every object that is reachable from `new` and not from what the mirror has. Raises ScanError."""
    tips = list(new)
    told = Looked()
    with tempfile.TemporaryDirectory(prefix="scan-", dir="/tmp") as name:
        folder = Path(name)
        places = _write_out(remote, _new_objects(tips), folder, told)
        (folder / "refs.txt").write_text("\n".join(refs) + "\n")
        places["refs.txt"] = ("the name of a ref", "")
        for found in _gitleaks(remote, folder):
            place, sha = places.get(Path(found["File"].partition("!")[0]).name, ("?", ""))
            commit = _commit_of(sha, tips) if sha else ""
            secret = Secret(place, int(found["StartLine"]), str(found["RuleID"]), commit)
            if (place, secret.rule, commit) not in [(s.place, s.rule, s.commit) for s in told.secrets]:
                told.secrets.append(secret)
    return told


def _git(*argv: str) -> bytes:
    done = subprocess.run(["git", *argv], capture_output=True, check=False)
    if done.returncode != 0:
        raise ScanError(f"git {argv[0]}: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return done.stdout


def _new_objects(tips: list[str]) -> dict[str, str]:
    """Object name to the path it was first seen at ("" for commits and tags)."""
    if not tips:
        return {}
    listed = _git("rev-list", "--objects", *tips, *KNOWN)
    found = {}
    for line in listed.splitlines():
        sha, _, path = line.partition(b" ")
        found[sha.decode()] = path.decode(errors="replace")
    return found


def _write_out(remote: Remote, objects: dict[str, str], folder: Path, told: Looked) -> dict[str, tuple[str, str]]:
    """A file per object, under names that no rule's list of exempt paths knows. File name to (place, object)."""
    places: dict[str, tuple[str, str]] = {}
    names: set[str] = set()
    for number, (sha, kind, data) in enumerate(_contents(list(objects))):
        file, path = f"o{number}.txt", objects[sha]
        told.objects += 1
        if kind == "tree":
            names |= set(tree_names(data, len(sha) // 2))
            continue
        place = path
        if kind == "commit":
            told.commits += 1
            place = f"the message of commit {sha[:12]}"
        elif kind == "tag":
            place = f"the tag {sha[:12]}"
        else:
            if len(data) > remote.max_blob_mb << 20:
                told.too_large.append(f"{path}: {len(data) >> 20} MB, {remote.max_blob_mb} MB are allowed")
                continue
            if data.startswith(_LFS):
                told.lfs.append(path)
        (folder / file).write_bytes(readable(data))
        places[file] = (place, "" if kind == "tag" else sha)
        for ending in archive_endings(data):
            (folder / f"o{number}{ending}").write_bytes(data)
            places[f"o{number}{ending}"] = places[file]
    (folder / "names.txt").write_text("\n".join(sorted(names)) + "\n")
    places["names.txt"] = ("the name of a file", "")
    return places


def _contents(shas: list[str]) -> Iterator[tuple[str, str, bytes]]:
    """Object name, type and content, one after the other."""
    with tempfile.TemporaryFile() as wanted:
        wanted.write("".join(f"{sha}\n" for sha in shas).encode())
        wanted.seek(0)
        with subprocess.Popen(["git", "cat-file", "--batch"], stdin=wanted, stdout=subprocess.PIPE) as reader:
            assert reader.stdout is not None  # noqa: S101 - it is a pipe
            for sha in shas:
                head = reader.stdout.readline().split()
                if len(head) != 3 or head[0].decode() != sha:
                    raise ScanError(f"object {sha} cannot be read")
                data = reader.stdout.read(int(head[2]))
                reader.stdout.read(1)
                yield sha, head[1].decode(), data


def tree_names(data: bytes, hash_length: int) -> Iterator[str]:
    """The names in a tree object."""
    at = 0
    while at < len(data):
        end = data.index(b"\0", at)
        yield data[at:end].partition(b" ")[2].decode(errors="replace")
        at = end + 1 + hash_length


def archive_endings(data: bytes) -> tuple[str, ...]:
    """The names under which gitleaks opens this as an archive; it goes by the name, a push can use any."""
    if data[257:262] == b"ustar":
        return (".tar",)
    return next((endings for magic, endings in _ARCHIVES.items() if data.startswith(magic)), ())


def readable(data: bytes) -> bytes:
    """Text as it is; of anything else, the text that is in it, also where every second byte is zero."""
    if b"\0" not in data:
        return data
    wide = (run.group().replace(b"\0", b"") for run in _WIDE.finditer(data))
    return b"\n".join([*(run.group() for run in _PRINTABLE.finditer(data)), *wide]) + b"\n"


def _gitleaks(remote: Remote, folder: Path) -> list[dict[str, str]]:
    config = ["--config", str(ETC / f"{remote.name}.rules.toml")] if remote.rules else []
    argv = ["gitleaks", "dir", str(folder), "--no-banner", "--log-level", "error", "--redact", *config]
    # Nothing in the pushed text may switch a rule off: no inline allow, no ignore file, no config of the repository.
    argv += ["--ignore-gitleaks-allow", "--max-decode-depth", "3", "--max-archive-depth", "2"]
    argv += [
        "--gitleaks-ignore-path",
        "/nonexistent",
        "--exit-code",
        "0",
        "--report-format",
        "json",
        "--report-path",
        "-",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GITLEAKS")}
    done = subprocess.run(argv, capture_output=True, env=environment, cwd="/", check=False)
    if done.returncode != 0:
        raise ScanError(f"gitleaks: {done.stderr.decode(errors='replace').strip()[-300:]}")
    try:
        return list(json.loads(done.stdout))
    except ValueError:
        raise ScanError("gitleaks gave no report") from None


def _commit_of(sha: str, tips: list[str]) -> str:
    """The first new commit that has this object."""
    kind = _git("cat-file", "-t", sha).strip()
    if kind == b"commit":
        return sha
    found = _git("log", "-m", "--format=%H", f"--find-object={sha}", *tips, *KNOWN).split()
    return found[-1].decode() if found else ""
