"""A repository whose commits git-gate's parts look at, and a gitleaks that leaves out what the real one leaves out."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sidecar_images.git_gate.remotes import Remote
from sidecar_images.git_gate.scanning import known, leaks, scan
from sidecar_images.git_gate.scanning.plain import SEAL

LEAK = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
SSH = Remote("p", "ssh://git@git.example.com/a/p.git")


class Repository:
    """A mirror, and a clone that commits into the mirror's objects as a push in quarantine would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main", ".")
        self.commit({"README": b"hello"}, "first")
        self.git("update-ref", "refs/kept", "HEAD")
        self.git("checkout", "-q", "--detach")
        self.git("branch", "-D", "main")

    def git(self, *argv: str, stdin: bytes | None = None) -> str:
        config = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *config, *argv], cwd=self.folder, input=stdin, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, bytes], message: str = "x") -> str:
        for name, data in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(data)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repo = Repository(tmp_path / "r")
    monkeypatch.chdir(repo.folder)
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(leaks, "SCRATCH", tmp_path / "shm")
    (tmp_path / "etc").mkdir()
    monkeypatch.setattr(scan, "own_credentials", lambda: known.own_credentials(tmp_path / "etc"))
    monkeypatch.setattr(leaks.Gitleaks, "_run", lambda self, folder, size: fake_gitleaks(folder))
    return repo


# What h2non/filetype 1.1.3 takes for "application/…", from matchers/{archive,application,document,font}.go: a chunk with
# these bytes at these offsets (and as long as the last number) is skipped by gitleaks 8.30, sources/file.go.
MAGIC: dict[str, tuple[dict[int, bytes], int]] = {
    "zip": ({0: b"PK\3\4"}, 4), "empty zip": ({0: b"PK\5\6"}, 4), "spanned zip": ({0: b"PK\7\x08"}, 4),
    "tar": ({257: b"ustar"}, 262), "rar": ({0: b"Rar!\x1a\7\0"}, 7), "rar 5": ({0: b"Rar!\x1a\7\1"}, 7),
    "gz": ({0: b"\x1f\x8b\x08"}, 3), "bz2": ({0: b"BZh"}, 3), "7z": ({0: b"7z\xbc\xaf\x27\x1c"}, 6),
    "xz": ({0: b"\xfd7zXZ\0"}, 6), "zstd": ({0: b"\x28\xb5\x2f\xfd"}, 4),
    "zstd, skippable": ({0: b"\x50\x2a\x4d\x18\0\0\0\0\x28\xb5\x2f\xfd"}, 12), "pdf": ({0: b"%PDF"}, 4),
    "exe": ({0: b"MZ"}, 2), "swf": ({0: b"CWS"}, 3), "swf, plain": ({0: b"FWS"}, 3), "rtf": ({0: b"{\\rtf"}, 5),
    "eot": ({8: b"\2\0\1", 34: b"LP"}, 36), "eot, older": ({8: b"\1\0\0", 34: b"LP"}, 36), "ps": ({0: b"%!"}, 2),
    "sqlite": ({0: b"SQLi"}, 4), "nes": ({0: b"NES\x1a"}, 4), "crx": ({0: b"Cr24"}, 4), "cab": ({0: b"MSCF"}, 4),
    "cab of InstallShield": ({0: b"ISc("}, 4), "deb": ({0: b"!<arch>\ndebian-binary"}, 21), "ar": ({0: b"!<arch>"}, 7),
    "Z": ({0: b"\x1f\x9d"}, 2), "Z, lzh": ({0: b"\x1f\xa0"}, 2), "lz": ({0: b"LZIP"}, 4),
    "rpm": ({0: b"\xed\xab\xee\xdb"}, 97), "elf": ({0: b"\x7fELF"}, 53), "dicom": ({128: b"DICM"}, 132),
    "iso": ({32769: b"CD001"}, 32774), "macho": ({0: b"\xfe\xed\xfa\xcf"}, 4), "macho 32": ({0: b"\xfe\xed\xfa\xce"}, 4),
    "macho fat": ({0: b"\xbe\xba\xfe\xca"}, 4), "macho le": ({0: b"\xcf\xfa\xed\xfe"}, 4),
    "macho 32 le": ({0: b"\xce\xfa\xed\xfe"}, 4), "java": ({0: b"\xca\xfe\xba\xbe"}, 4),
    "wasm": ({0: b"\0asm\1\0\0\0"}, 8), "dex": ({0: b"dex\n", 36: b"p"}, 37),
    "dey": ({0: b"dey\n", 40: b"dex\n", 76: b"p"}, 101), "doc": ({0: b"\xd0\xcf\x11\xe0", 512: b"\xec\xa5"}, 514),
    "xls": ({0: b"\xd0\xcf\x11\xe0", 512: b"\x09\x08"}, 514), "ppt": ({0: b"\xd0\xcf\x11\xe0", 512: b"\xa0\x46"}, 514),
    "woff": ({0: b"wOFF\0\1\0\0"}, 8), "woff2": ({0: b"wOF2\0\1\0\0"}, 8), "ttf": ({0: b"\0\1\0\0\0"}, 5),
    "otf": ({0: b"OTTO\0"}, 5),
}  # fmt: skip


def is_skipped(chunk: bytes) -> bool:
    return any(
        len(chunk) >= length and all(chunk[at : at + len(magic)] == magic for at, magic in parts.items())
        for parts, length in MAGIC.values()
    )


# What the fake knows: (rule, pattern, group of the secret), after the rules of gitleaks 8.30 with these names.
RULES = (
    ("github-pat", rb"ghp_[0-9a-zA-Z]{36}", 0),
    ("generic-api-key", rb"api_key[\s'\"]{0,3}=[\s'\"]{0,5}([\w.=-]{10,150})", 1),
    ("connection-string", rb"postgres://[^\s:/@]+:([^\s/@]{4,200})@[\w.-]+", 1),
    ("private-key", rb"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----[\s\S-]{64,}?KEY(?: BLOCK)?-----", 0),
    ("git-gate-seen", re.escape(SEAL), 0),
)


def fake_gitleaks(folder: Path) -> list[dict[str, Any]]:
    """What gitleaks does with files: skips what looks like an application's, reads the rest in chunks of 100,000 bytes.

    The real one is in the integration tests.
    """
    findings = []
    rules = tomllib.loads((folder.parent / "rules.toml").read_text())["rules"]
    own = [("git-gate-own-credential", r["regex"].encode(), 0) for r in rules if r["id"] == "git-gate-own-credential"]
    for file in sorted(folder.iterdir(), reverse=True):  # it has no order
        data, before = file.read_bytes(), 0
        for at in range(0, len(data), 100_000):
            chunk = data[at : at + 100_000]
            if before == 0 and is_skipped(chunk):
                break
            for rule, pattern, group in (*RULES, *own):
                for match in re.finditer(pattern, chunk):
                    first, last = (before + chunk.count(b"\n", 0, place) + 1 for place in match.span())
                    about = {"RuleID": rule, "Secret": match[group].decode(), "Match": match[0].decode()}
                    findings.append({"File": str(file), "StartLine": first, "EndLine": last, **about})
            before += chunk.count(b"\n")
    return findings
