"""Runs gitleaks over texts, in batches, and verifies that it has scanned each of them.

"No finding" does not mean "scanned": gitleaks silently skips files that it cannot read or mistakes for another type. So
every file ends with a seal, which an added rule finds. A file whose seal is missing from the report refuses the push.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import claude_bottle.dlp.rules
from claude_bottle.dlp.rules.names import is_credential

from ..remotes import ETC, Remote
from .finding import Finding
from .known import own_rule
from .plain import PREFIX, SEAL, line_of, pieces
from .work import ScanError, TooMuch, Work

# A tmpfs of 64 MB that every container has: nothing of a push reaches the disk, and a full one is an error, so the push
# is refused.
SCRATCH = Path("/dev/shm")  # noqa: S108 - in a container of its own
# Bytes in SCRATCH that are collected while gitleaks scans as many; pushes to several mirrors share it.
_BATCH = 4 << 20
_FILE = 4096  # bytes that a file takes at least
_LARGE = 64 << 10  # bytes of a batch from which RE2's speed outweighs its longer start
# RE2 caches states, up to 270 MB for 6 MB of hostile text. If the container's memory runs out, this program is killed
# first, and not the gate (proc(5), oom_score_adj).
_FIRST_TO_GO = 'echo 1000 2>/dev/null > /proc/self/oom_score_adj; exec "$@"'
_FOUND = 16 << 20  # bytes of findings that are kept, no news included; beyond it the push is refused
_RULE = "git-gate-seen"
_SEALED = f"""
[[rules]]
id = "{_RULE}"
description = "what git-gate puts at the end of every file"
regex = '''%\\[ seen by git-gate \\]%'''
keywords = ["seen by git-gate"]
"""
_WEAK = "generic-api-key"  # counts, as in pipelock, only if the name before a value is a credential's
_DEFAULT = "[extend]\nuseDefault = true\n"
_OWN = Path(claude_bottle.dlp.rules.__file__).parent / "own_rules.toml"  # pipelock's rules beside gitleaks'
# Rules of gitleaks 8.30 that apply only to files of certain names (config/gitleaks.toml, `path =`). Here a file gets
# one of these endings and no other part of its name, so no list of exempt paths matches it.
_NAMED = re.compile(r"(?i)(\.(?:php|tf|hcl|ya?ml|p12|pfx)|nuget\.config)\Z")


@dataclass(frozen=True)
class _File:
    text: int
    before: int
    must: bool  # its seal must be found; not so for the named copy, whose ending the owner's rules may exempt


@dataclass(frozen=True)
class _Batch:
    folder: Path
    files: dict[str, _File]
    done: Future[list[dict[str, Any]]]


def with_own(rules: str) -> str:
    """A configuration with the project's rules added if it extends gitleaks' default, without those that the owner
    disables or redefines, and those that need a checksum, which gitleaks cannot compute."""
    given = tomllib.loads(rules)
    extend = given.get("extend", {})
    if not extend.get("useDefault"):
        return rules
    left_out = {*extend.get("disabledRules", ()), *(rule.get("id") for rule in given.get("rules", ()))}
    blocks = re.split(r"(?m)^(?=\[\[rules\]\]$)", _OWN.read_text(encoding="utf-8"))[1:]
    read = {block: tomllib.loads(block)["rules"][0] for block in blocks}
    chosen = [block for block, rule in read.items() if rule["id"] not in left_out and "check" not in rule]
    return "\n".join([rules, *chosen])


def _named(match: str, secret: str) -> bool:
    """Whether the text before a value names a credential."""
    text, value = match.encode(errors="surrogateescape"), secret.encode(errors="surrogateescape")
    at = text.rfind(value)
    return at < 0 or is_credential(text, 0, at, at + len(value))


class Gitleaks:
    """Collects texts and scans them. A context manager, which deletes its files in any case."""

    def __init__(self, remote: Remote, work: Work, own: Sequence[str] = ()) -> None:
        self._remote, self._work, self._own = remote, work, own
        self._folder = SCRATCH / f"scan-{os.getpid()}"
        self._waiting: dict[str, _File] = {}
        self._scanning: _Batch | None = None
        self._thread, self._files = ThreadPoolExecutor(1), self._folder
        self._size = self._count = self._kept = 0
        self._ready: list[Finding] = []
        self._weak = False

    def __enter__(self) -> Gitleaks:
        clear(dead_only=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)
        rules = (ETC / f"{self._remote.name}.rules.toml").read_text() if self._remote.rules else _DEFAULT
        self._weak = _WEAK not in {rule.get("id") for rule in tomllib.loads(rules).get("rules", ())}
        (self._folder / "rules.toml").write_text(f"{with_own(rules)}\n{own_rule(self._own)}{_SEALED}")
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, text: int, content: bytes, name: str = "", before: int = 0) -> None:
        """Add a text to scan, under its number. name: of its file, for rules that depend on names. before: the number
        of the file's lines before this part."""
        named = _NAMED.search(name)
        for lines, piece in pieces(content) if content else [(0, PREFIX + SEAL + b"\n")] if named else ():
            file = _File(text, before + lines, must=True)
            self._write(piece, file, ".txt")
            if named:
                self._write(piece, replace(file, must=False), f"-{named[1]}" if named[1][0] != "." else named[1])

    def findings(self) -> Iterator[Finding]:
        """All findings in the texts so far. Raises ScanError, TooMuch."""
        self._look()
        self._collect()
        yield from self._ready
        self._ready = []

    def _write(self, piece: bytes, file: _File, ending: str) -> None:
        if self._size and self._size + len(piece) + _FILE > _BATCH:
            self._look()
        name = f"{self._count}{ending}"
        if not self._waiting:
            self._files = self._folder / f"files-{self._count}"
            self._files.mkdir(mode=0o700)
        (self._files / name).write_bytes(piece)
        self._waiting[name] = file
        self._count += 1
        self._size += len(piece) + _FILE

    def _look(self) -> None:
        """Scan what is waiting, while more is collected."""
        self._collect()
        if self._waiting:
            done = self._thread.submit(self._run, self._files, self._size)
            self._scanning = _Batch(self._files, self._waiting, done)
            self._waiting, self._size = {}, 0

    def _collect(self) -> None:
        """The findings of the batch that is being scanned."""
        if self._scanning is None:
            return
        batch, self._scanning = self._scanning, None
        seen = set()
        for entry in batch.done.result():
            name = Path(str(entry["File"])).name
            file = batch.files[name]
            if entry["RuleID"] == _RULE:
                seen.add(name)
            elif not (self._weak and entry["RuleID"] == _WEAK and not _named(entry["Match"], entry["Secret"])):
                first, last = (line_of(int(entry[key]), file.before) for key in ("StartLine", "EndLine"))
                about = (str(entry[key]) for key in ("RuleID", "Secret", "Match"))
                self._ready.append(Finding(file.text, first, last, *about))
                self._kept += _FILE // 8 + len(entry["Secret"]) + len(entry["Match"])
                if self._kept > _FOUND:
                    raise TooMuch("too many values in this push look like secrets; push it in parts")
        unseen = [name for name, file in batch.files.items() if file.must and name not in seen]
        if unseen:
            raise ScanError(f"gitleaks did not scan {len(unseen)} of {len(batch.files)} pieces")
        shutil.rmtree(batch.folder)

    def _run(self, folder: Path, size: int) -> list[dict[str, Any]]:
        argv = ["gitleaks" if size < _LARGE else "gitleaks-re2", "dir", str(folder)]
        argv += ["--no-banner", "--log-level", "error"]
        # Nothing in the pushed text can disable a rule: no inline allow, no ignore file, no configuration of its own.
        argv += ["--config", str(self._folder / "rules.toml"), "--ignore-gitleaks-allow", "--max-decode-depth", "3"]
        argv += ["--gitleaks-ignore-path", "/nonexistent", "--exit-code", "0"]
        argv += ["--report-format", "json", "--report-path", "-"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GITLEAKS")}
        done = self._work.run(["sh", "-c", _FIRST_TO_GO, "sh", *argv], env=environment, cwd="/")
        if done.returncode == -signal.SIGKILL:
            raise TooMuch("scanning this push takes too much memory; push it in parts")
        if done.returncode != 0 or done.stderr.strip():
            raise ScanError(f"gitleaks: {done.stderr.decode(errors='replace').strip()[-300:]}")
        try:
            return list(json.loads(done.stdout))
        except ValueError:
            raise ScanError("gitleaks gave no report") from None


def clear(*, dead_only: bool = False) -> None:
    """Delete the leftovers of killed scans. dead_only: keep those of running ones."""
    for left in SCRATCH.glob("scan-*"):
        if not (dead_only and Path(f"/proc/{left.name.removeprefix('scan-')}").exists()):
            shutil.rmtree(left, ignore_errors=True)
