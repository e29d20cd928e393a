"""Yes, no, and "the answer was lost": what is said, recorded and granted of a push, on real git over a real ssh command.

Sources: gitprotocol-pack(5), "Report Status": the verdict of each ref comes last, after the refs have moved;
git-push(1), --porcelain, "[remote failure]"; githooks(5), pre-push: runs before anything was sent.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gate_repository import Repository, repository

from claude_bottle.policy.once import Once
from claude_bottle.policy.record import Record
from sidecar_images.git_gate import journal, mirror, open_pushes, receive
from sidecar_images.git_gate.forward import forward, read
from sidecar_images.git_gate.push_policy import Command
from sidecar_images.git_gate.remotes import Remote
from sidecar_images.git_gate.scanning import scan

__all__ = ["repository"]

ZERO = "0" * 40
REF = "refs/heads/topic"
# In ssh's place: the program on "the other side" is a child of it. What comes back may be cut, or held for ever.
SSH = """#!/usr/bin/env python3
import os, subprocess, sys
mode, command = open({mode!r}).read().strip(), sys.argv[-1].replace("'", "").split()
if mode == "down" or (mode == "then down" and "upload-pack" in command[0]):
    sys.exit("ssh: connect to host git.example.com port 22: Connection refused")
child = subprocess.Popen(["git", command[0].removeprefix("git-"), command[1]], stdout=subprocess.PIPE)
if "upload-pack" in command[0] or mode == "whole":
    for piece in iter(lambda: os.read(child.stdout.fileno(), 65536), b""):
        os.write(1, piece)
    sys.exit(child.wait())
size = b""
while size != b"0000":  # the advertisement of the refs, and nothing after it
    size = child.stdout.read(4)
    os.write(1, size + (child.stdout.read(int(size, 16) - 4) if size != b"0000" else b""))
if mode == "cut before":
    child.kill()
else:
    child.stdout.read()  # the refs have moved; the report is lost
child.wait()
"""


class Upstream:
    """A bare repository behind that ssh. mode: whole, down, lost, then down, cut before."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._mode, program = folder / "up.git", folder / "mode", folder / "ssh"
        program.write_text(SSH.format(mode=str(self._mode)))
        program.chmod(0o755)
        subprocess.run(["git", "init", "-q", "--bare", self.folder], check=True)
        self.be("whole")
        env = {"GIT_SSH_COMMAND": str(program), "GIT_SSH_VARIANT": "ssh"}
        monkeypatch.setattr(Remote, "environment", lambda *_: env)
        self.remote = Remote("p", f"ssh://git@git.example.com{self.folder}", review=True)

    def be(self, mode: str) -> None:
        self._mode.write_text(mode)

    def refs(self) -> dict[str, str]:
        result = subprocess.run(["git", "-C", self.folder, "show-ref"], capture_output=True, text=True, check=False)
        return {ref: name for name, ref in (line.split() for line in result.stdout.splitlines())}


@pytest.fixture
def upstream(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    for module in (mirror, receive, open_pushes):
        monkeypatch.setattr(module, "RUN", tmp_path)
    monkeypatch.setattr(journal, "RECORD", tmp_path / "record")
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setattr(receive, "_hold_lock", lambda _: None)
    monkeypatch.setattr(scan, "look", lambda *_: pytest.fail("receive has its own"))
    return Upstream(tmp_path, monkeypatch)


def recorded(folder: Path) -> list[tuple[str, list[str]]]:
    lines = [json.loads(line) for line in Record(folder / "record").read("", 1)][1:]
    return [(line["verdict"], line["refs"]) for line in lines]


@pytest.mark.parametrize(
    ("mode", "accepted", "unknown", "words"),
    [
        ("whole", [REF], [], ""),
        ("lost", [REF], [], "a later query shows that it has the push"),
        ("then down", [], [REF], "cannot be queried now"),
        ("cut before", [], [REF], "does not have it now"),
        ("down", [], [], "Connection refused"),
    ],
)
def test_what_is_told_is_what_is_so(
    upstream: Upstream, repository: Repository, mode: str, accepted: list[str], unknown: list[str], words: str
) -> None:
    tip = repository.commit({"a": b"1"})
    upstream.be(mode)
    done = forward(upstream.remote, [Command(ZERO, tip, REF)], [])
    assert (done.accepted, done.unknown) == (accepted, unknown)
    assert words in "\n".join(done.said)
    assert (REF in upstream.refs()) == (mode in ("whole", "lost", "then down"))


def test_a_deletion_whose_answer_was_lost(upstream: Upstream, repository: Repository) -> None:
    tip = repository.commit({"a": b"1"})
    assert forward(upstream.remote, [Command(ZERO, tip, REF)], []).accepted == [REF]
    subprocess.run(["git", "-C", upstream.folder, "config", "receive.denyDeletes", "false"], check=True)
    upstream.be("lost")
    assert forward(upstream.remote, [Command(tip, ZERO, REF)], []).accepted == [REF]
    assert upstream.refs() == {}


@pytest.mark.parametrize(
    ("summary", "refused"),
    [
        ("[rejected] (stale info)", True),
        ("[remote rejected] (pre-receive hook declined)", True),
        ("[remote failure] (remote failed to report status)", False),
        ("[no match]", False),
    ],
)
def test_a_word_that_is_no_clear_no_is_none(summary: str, refused: bool) -> None:
    done = read(f"To x\n!\tx:{REF}\t{summary}\nDone\n", "", [Command(ZERO, "a" * 40, REF)], sent=True)
    assert done.accepted == []
    assert (done.unknown == []) == refused


@pytest.mark.parametrize(
    ("mode", "verdicts", "granted"),
    [
        ("whole", ["forwarding", "accepted"], False),
        ("lost", ["forwarding", "accepted"], False),
        ("then down", ["forwarding", "unknown"], False),
        ("cut before", ["forwarding", "unknown"], False),
        ("down", ["forwarding", "refused"], True),  # a clear no: it can be tried again
    ],
)
def test_a_grant_is_bound_and_given_back_only_on_a_clear_no(
    upstream: Upstream,
    repository: Repository,
    tmp_path: Path,
    mode: str,
    verdicts: list[str],
    granted: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tip = repository.commit({"a": b"1"})
    line = f"{ZERO} {tip} {REF}\n"
    digest = ""
    with pytest.raises(receive.Refused, match="review") as held:
        receive.pre_receive(upstream.remote, line, os.getppid())
    digest = held.value.lines[1].rpartition("value=")[2]
    once = Once(tmp_path / "once")
    assert once.grant(digest, "p-0123456789")
    upstream.be(mode)
    outcome: Any = None
    try:
        outcome = receive.pre_receive(upstream.remote, line, os.getppid())
    except receive.Refused as refused:
        outcome = refused
    assert [verdict for verdict, _ in recorded(tmp_path)] == verdicts
    assert once.is_granted(digest) is granted
    assert isinstance(outcome, receive.Unknown) == (verdicts[-1] == "unknown")
    assert not list(open_pushes.folder().glob("*.json"))
    if not granted:  # it passes once
        upstream.be("whole")
        with pytest.raises(receive.Refused):
            receive.pre_receive(upstream.remote, line, os.getppid())
        assert once.grant(digest, "p-0123456789")  # the same proposal again changes nothing
        assert not once.is_granted(digest)


@pytest.mark.parametrize(("mode", "verdict"), [("whole", "accepted"), ("cut before", "unknown")])
def test_a_gate_that_was_killed_while_it_forwarded_says_so_at_its_start(
    upstream: Upstream, repository: Repository, tmp_path: Path, mode: str, verdict: str
) -> None:
    tip = repository.commit({"a": b"1"})
    commands = [Command(ZERO, tip, REF)]
    file = open_pushes.begin(upstream.remote, commands)
    upstream.be(mode)
    forward(upstream.remote, commands, [])  # and then it was killed
    file.rename(file.with_name("999999999-p.json"))
    (open_pushes.folder() / "1-cut.json").write_text('{"remote": ')
    open_pushes.close_all({"p": upstream.remote})
    assert recorded(tmp_path) == [(verdict, [REF])]
    assert not list(open_pushes.folder().glob("*.json"))


def test_an_open_push_that_cannot_be_asked_about_is_closed_as_unknown(
    upstream: Upstream, repository: Repository, tmp_path: Path
) -> None:
    file = open_pushes.begin(upstream.remote, [Command(ZERO, repository.commit({"a": b"1"}), REF)])
    file.rename(file.with_name("999999999-p.json"))
    upstream.be("down")
    open_pushes.close_all({"p": upstream.remote})
    assert recorded(tmp_path) == [("unknown", [REF])]


@pytest.mark.parametrize("step", ["begin", "keep"])
def test_a_push_that_cannot_be_noted_or_recorded_leaves_neither(
    upstream: Upstream, repository: Repository, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record without a note would stay open after a kill: only the notes are looked at then."""

    def full(*_: Any, **__: Any) -> None:
        raise journal.NotWritten("the record is full") if step == "keep" else OSError("No space left on device")

    monkeypatch.setattr(*((journal, "keep") if step == "keep" else (open_pushes, "begin")), full)
    upstream.remote = replace(upstream.remote, review=False)
    with pytest.raises(receive.Refused, match="journal"):
        receive.pre_receive(upstream.remote, f"{ZERO} {repository.commit({'a': b'1'})} {REF}\n", os.getppid())
    assert not list(open_pushes.folder().glob("*.json"))
    assert not (tmp_path / "record").exists() or recorded(tmp_path) == []
    assert upstream.refs() == {}
