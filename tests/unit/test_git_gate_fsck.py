"""Objects that git's fsck does not like: old ones pass, new ones need the owner's word, attacks never pass.

Sources: git-fsck(1), FSCK MESSAGES; git-config(1), receive.fsck.<msg-id>; git's own index-pack --strict is the judge.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_daemon import HookedGate, environment
from gate_repository import Repository

from claude_bottle.policy.names.fsck_checks import ALLOWABLE, NEVER, checked_fsck
from sidecar_images.git_gate import mirror
from sidecar_images.git_gate.remotes import Remote


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., HookedGate]:
    monkeypatch.setattr(mirror, "RUN", tmp_path)
    monkeypatch.setattr(Remote, "mirror", property(lambda self: tmp_path / f"{self.name}.git"))
    monkeypatch.setattr(Remote, "environment", lambda *_: environment(tmp_path))
    return lambda **policy: HookedGate(tmp_path, **policy)


def padded(work: Repository) -> str:
    """A commit on HEAD whose tree has the mode 040000, as old programs wrote it."""
    inner = work.git(
        "mktree", stdin=f"100644 blob {work.git('hash-object', '-w', '--stdin', stdin=b'x')}\tf\n".encode()
    )
    tree = b"040000 d\0" + bytes.fromhex(inner)
    name = work.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=tree)
    commit = work.git("commit-tree", name, "-p", "HEAD", "-m", "padded")
    work.git("reset", "-q", "--hard", commit)
    return commit


def nobody(work: Repository) -> str:
    """A commit without e-mail addresses."""
    text = work.git("cat-file", "commit", "HEAD").replace(" <a@example.com>", "")
    text = re.sub(r"(?m)^parent .*\n", "", text) + "\n"
    commit = work.git("hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=text.encode())
    work.git("reset", "-q", "--hard", commit)
    return commit


@pytest.mark.parametrize(("write", "check"), [(padded, "zeroPaddedFilemode"), (nobody, "missingEmail")])
def test_a_new_object_needs_the_owners_word(make: Callable[..., HookedGate], write: Any, check: str) -> None:
    gate = make()
    commit = write(gate.work)
    done = gate.push("HEAD:refs/heads/side")
    assert done.returncode != 0
    assert re.search(f"error: object [0-9a-f]{{40}}: {check}: ", done.stderr), done.stderr
    allowed = Remote("p", gate.remote.upstream, allow_fsck=(check,))
    mirror.prepare(allowed)
    done = gate.push("HEAD:refs/heads/side")
    assert done.returncode == 0, done.stderr
    assert gate.upstream.git("rev-parse", "side") == commit
    mirror.prepare(gate.remote)
    assert "fsck" not in mirror.git("-C", str(gate.remote.mirror), "config", "--local", "--list")


def test_what_the_upstream_has_already_passes(make: Callable[..., HookedGate]) -> None:
    gate = make()
    gate.upstream.git("checkout", "-q", "main")
    padded(gate.upstream)
    assert mirror.refresh(gate.remote) is None
    subprocess.run(["git", "-C", str(gate.work.folder), "pull", "-q"], check=True)
    gate.work.commit({"d/f": b"changed", "new": b"1"})
    done = gate.push("HEAD:refs/heads/side")
    assert done.returncode == 0, done.stderr


def test_an_attack_is_not_let_through_with_what_is_allowed(make: Callable[..., HookedGate]) -> None:
    gate = make(allow_fsck=ALLOWABLE)
    gate.work.commit({".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n'})
    padded_with = gate.push("HEAD:refs/heads/side")
    assert padded_with.returncode != 0
    assert "gitmodulesUrl" in padded_with.stderr


def test_only_harmless_checks_can_be_allowed() -> None:
    assert [checked_fsck(name) for name in ALLOWABLE] == list(ALLOWABLE)
    assert checked_fsck("ZEROPADDEDFILEMODE") == "zeroPaddedFilemode"
    for name in (*NEVER, "gitmodulesurl", "HASDOTGIT"):
        with pytest.raises(ValueError, match="cannot be allowed"):
            checked_fsck(name)
    for name in ("", "x", "badEmail=ignore", "skipList", "badEmail\n"):
        with pytest.raises(ValueError, match="not a check"):
            checked_fsck(name)


def test_the_names_are_gits(tmp_path: Path) -> None:
    """Of an unknown name git says so; a fatal check it does not demote (fsck.c, fsck_set_msg_type)."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in ALLOWABLE:
        argv = ["git", "-C", str(tmp_path), "-c", f"fsck.{name}=ignore", "fsck"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, "unknown" in done.stderr.lower()) == (0, False), (name, done.stderr)
    done = subprocess.run([*argv[:4], "fsck.noSuchCheck=ignore", "fsck"], capture_output=True, text=True, check=False)
    assert "noSuchCheck" in done.stderr or "nosuchcheck" in done.stderr
