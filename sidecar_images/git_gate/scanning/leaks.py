"""Runs gitleaks over texts, a batch at a time, and knows of every one that it has really looked at it.

"Nothing found" is not "looked at": gitleaks leaves out what it cannot read, or takes for something else, and says
nothing. So every file that it gets ends with a seal, which a rule added to the configuration finds. A file whose seal
is not in the report refuses the push.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import claude_bottle.dlp.rules
from claude_bottle.dlp.rules.names import is_credential

from ..remotes import ETC, Remote
from .known import own_rule
from .plain import PREFIX, SEAL, line_of, pieces
from .work import ScanError, TooMuch, Work

# A tmpfs of 64 MB that every container has: nothing of a push reaches the disk, and a full one is an error, so a no.
SCRATCH = Path("/dev/shm")  # noqa: S108 - in a container of its own
_BATCH = 6 << 20  # bytes in SCRATCH at a time; pushes to several mirrors share it
_FILE = 4096  # bytes that a file takes at least
_LARGE = 64 << 10  # bytes of a batch from which on RE2 gains more than it takes longer to start
# RE2 keeps what it has seen of a text, of 6 MB that were made for it 270 MB. Where the container has no more, this
# program ends and not the gate (proc(5), oom_score_adj).
_FIRST_TO_GO = 'echo 1000 2>/dev/null > /proc/self/oom_score_adj; exec "$@"'
_FOUND = 16 << 20  # bytes of findings that are kept: of those that are no news too, so beyond it nobody knows
_RULE = "git-gate-seen"
_SEALED = f"""
[[rules]]
id = "{_RULE}"
description = "what git-gate puts at the end of every file"
regex = '''%\\[ seen by git-gate \\]%'''
keywords = ["seen by git-gate"]
"""
_WEAK = "generic-api-key"  # goes by a name and by letters that look random: here too only where it names a credential
_DEFAULT = "[extend]\nuseDefault = true\n"
_OWN = (
    Path(claude_bottle.dlp.rules.__file__).parent / "own_rules.toml"
)  # what pipelock looks for beside gitleaks' rules
# Rules of gitleaks 8.30 that look only at files of certain names (config/gitleaks.toml, `path =`). A file has one of
# these endings here and nothing else of its own name, so no list of exempt paths knows it.
_NAMED = re.compile(r"(?i)(\.(?:php|tf|hcl|ya?ml|p12|pfx)|nuget\.config)\Z")


@dataclass(frozen=True)
class Finding:
    """In which text, by its number, at which of its lines, by which rule. What was found is for comparing it, and is
    never shown: secret, and match, all that the rule matched."""

    text: int
    line: int
    last_line: int
    rule: str
    secret: str = field(repr=False)
    match: str = field(repr=False)


@dataclass(frozen=True)
class _File:
    text: int
    before: int
    must: bool  # be seen; the copy under a name of its own need not, for the owner's rules may exempt its ending


def with_own(rules: str) -> str:
    """A configuration with the project's rules too, where it extends gitleaks' default; but for those that the owner
    disables or has written anew, and those that need a checksum, which gitleaks cannot compute."""
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
    """Whether what stands before a value names a credential."""
    text, value = match.encode(errors="surrogateescape"), secret.encode(errors="surrogateescape")
    at = text.rfind(value)
    return at < 0 or is_credential(text, 0, at, at + len(value))


class Gitleaks:
    """Collects texts and looks at them. A context: its files are gone at the end, however that comes."""

    def __init__(self, remote: Remote, work: Work, own: Sequence[str] = ()) -> None:
        self._remote, self._work, self._own = remote, work, own
        self._folder = SCRATCH / f"scan-{os.getpid()}"
        self._waiting: dict[str, _File] = {}
        self._size = self._count = self._kept = 0
        self._ready: list[Finding] = []
        self._weak = False

    def __enter__(self) -> Gitleaks:
        clear(dead_only=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / "files").mkdir(parents=True, mode=0o700)
        rules = (ETC / f"{self._remote.name}.rules.toml").read_text() if self._remote.rules else _DEFAULT
        self._weak = _WEAK not in {rule.get("id") for rule in tomllib.loads(rules).get("rules", ())}
        (self._folder / "rules.toml").write_text(f"{with_own(rules)}\n{own_rule(self._own)}{_SEALED}")
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, text: int, content: bytes, name: str = "", before: int = 0) -> None:
        """One more text to look at, under its number. name: of the file that it is, for rules that go by names. before:
        lines of the file that stand before this part of it."""
        named = _NAMED.search(name)
        for lines, piece in pieces(content) if content else [(0, PREFIX + SEAL + b"\n")] if named else ():
            file = _File(text, before + lines, must=True)
            self._write(piece, file, ".txt")
            if named:
                self._write(piece, replace(file, must=False), f"-{named[1]}" if named[1][0] != "." else named[1])

    def findings(self) -> Iterator[Finding]:
        """Everything that was found in the texts so far. Raises ScanError, TooMuch."""
        self._look()
        yield from self._ready
        self._ready = []

    def _write(self, piece: bytes, file: _File, ending: str) -> None:
        if self._size and self._size + len(piece) + _FILE > _BATCH:
            self._look()
        name = f"{self._count}{ending}"
        (self._folder / "files" / name).write_bytes(piece)
        self._waiting[name] = file
        self._count += 1
        self._size += len(piece) + _FILE

    def _look(self) -> None:
        if not self._waiting:
            return
        seen = set()
        for entry in self._run():
            name = Path(str(entry["File"])).name
            file = self._waiting[name]
            if entry["RuleID"] == _RULE:
                seen.add(name)
            elif not (self._weak and entry["RuleID"] == _WEAK and not _named(entry["Match"], entry["Secret"])):
                first, last = (line_of(int(entry[key]), file.before) for key in ("StartLine", "EndLine"))
                about = (str(entry[key]) for key in ("RuleID", "Secret", "Match"))
                self._ready.append(Finding(file.text, first, last, *about))
                self._kept += _FILE // 8 + len(entry["Secret"]) + len(entry["Match"])
                if self._kept > _FOUND:
                    raise TooMuch("too much in this push looks like a secret to be compared; push it in parts")
        unseen = [name for name, file in self._waiting.items() if file.must and name not in seen]
        if unseen:
            raise ScanError(f"gitleaks did not look at {len(unseen)} of {len(self._waiting)} pieces")
        for name in self._waiting:
            (self._folder / "files" / name).unlink()
        self._waiting, self._size = {}, 0

    def _run(self) -> list[dict[str, Any]]:
        argv = ["gitleaks" if self._size < _LARGE else "gitleaks-re2", "dir", str(self._folder / "files")]
        argv += ["--no-banner", "--log-level", "error"]
        # Nothing in the pushed text may switch a rule off: no inline allow, no ignore file, no config of its own.
        argv += ["--config", str(self._folder / "rules.toml"), "--ignore-gitleaks-allow", "--max-decode-depth", "3"]
        argv += ["--gitleaks-ignore-path", "/nonexistent", "--exit-code", "0"]
        argv += ["--report-format", "json", "--report-path", "-"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GITLEAKS")}
        done = self._work.run(["sh", "-c", _FIRST_TO_GO, "sh", *argv], env=environment, cwd="/")
        if done.returncode == -signal.SIGKILL:
            raise TooMuch("looking at this push takes too much memory; push it in parts")
        if done.returncode != 0 or done.stderr.strip():
            raise ScanError(f"gitleaks: {done.stderr.decode(errors='replace').strip()[-300:]}")
        try:
            return list(json.loads(done.stdout))
        except ValueError:
            raise ScanError("gitleaks gave no report") from None


def clear(*, dead_only: bool = False) -> None:
    """Take away what scans have left that were killed; dead_only: not what one still at work has."""
    for left in SCRATCH.glob("scan-*"):
        if not (dead_only and Path(f"/proc/{left.name.removeprefix('scan-')}").exists()):
            shutil.rmtree(left, ignore_errors=True)
