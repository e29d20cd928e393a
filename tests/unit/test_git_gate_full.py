"""git-gate on a full disk: what is there is served, a push is refused with words, nothing is left behind.

The disk is a real one, of memory, that is filled. Source: write(2), ENOSPC; statvfs(3); git itself serves the clone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gate_repository import Repository

from sidecar_images.git_gate import access, journal, mirror, mirror_state, receive, serve
from sidecar_images.git_gate.remotes import Remote

ROOM = 16 << 20


class Gate:
    """A mirror on a disk of its own, its upstream elsewhere."""

    def __init__(self, folder: Path, disk: Path) -> None:
        self.upstream, self.disk = Repository(folder / "up"), disk
        self.upstream.git("branch", "main", "refs/kept")
        self.upstream.git("checkout", "-q", "main")
        self.remote, self._clone = Remote("p", str(folder / "up")), folder / "clone"

    def fill(self) -> None:
        with (self.disk / "filler").open("ab", buffering=0) as out, contextlib.suppress(OSError):
            while True:
                out.write(bytes(4096))

    def empty(self) -> None:
        (self.disk / "filler").unlink()

    def push_big(self) -> str:
        return self.upstream.commit({"big": os.urandom(ROOM)}, "big")

    def cloned(self) -> str:
        """The head that a client gets."""
        subprocess.run(["rm", "-rf", self._clone], check=True)
        subprocess.run(["git", "clone", "-q", "--bare", f"file://{self.remote.mirror}", self._clone], check=True)
        return mirror.git("-C", str(self._clone), "rev-parse", "main").strip()


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "x", disk], capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    try:
        monkeypatch.setattr(mirror, "RUN", tmp_path)
        monkeypatch.setattr(mirror_state, "SCRATCH", tmp_path)
        monkeypatch.setattr(mirror_state, "ROOM", 1 << 20)
        monkeypatch.setattr(Remote, "mirror", property(lambda self: disk / f"{self.name}.git"))
        monkeypatch.setattr(Remote, "environment", lambda *_: {})
        full_gate = Gate(tmp_path, disk)
        mirror.prepare(full_gate.remote)
        assert mirror.refresh(full_gate.remote) is None
        yield full_gate
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def contact(gate: Gate, service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What the access hook does: its exit code, its one line, what it logs."""
    logged: list[tuple[Any, ...]] = []
    monkeypatch.setattr(access, "remote_of", lambda _: gate.remote)
    monkeypatch.setattr(journal, "write", lambda *fields, **more: logged.append((*fields, more)))
    monkeypatch.setattr("sys.argv", ["access", service, str(gate.remote.mirror)])
    return access.main(), capsys.readouterr().out, logged


def test_what_is_there_is_served_though_the_disk_is_full(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = gate.cloned()
    gate.fill()
    # Nothing new: nothing is said. That it was asked is kept all the same, for those who come meanwhile.
    assert contact(gate, "upload-pack", monkeypatch, capsys) == (0, "", [("upload-pack", "p", "allowed", {})])
    assert gate.cloned() == before
    # Something new, for which there is no room: the old is served, and a client is told why.
    gate.empty()
    after = gate.push_big()
    gate.fill()
    for _ in range(3):
        code, said, logged = contact(gate, "upload-pack", monkeypatch, capsys)
        assert (code, said, logged[0][2]) == (0, "", "stale")
        assert "the engine's disk is full" in logged[0][3]["reason"]
        assert "the engine's disk is full" in str(mirror.stale(gate.remote))
    assert gate.cloned() == before
    assert not list(gate.remote.mirror.rglob("tmp_*"))
    # A push is refused before anything of it is sent.
    code, said, logged = contact(gate, "receive-pack", monkeypatch, capsys)
    assert (code, logged[0][2]) == (1, "refused")
    assert "accepts no push now: the engine's disk has 0 MB left" in said
    assert len(said.splitlines()) == 1
    # A gate that is started on it serves as well.
    mirror.prepare(gate.remote)
    assert gate.cloned() == before
    # There is room again: all is as the upstream has it, of its own accord.
    gate.empty()
    subprocess.run(["mount", "-o", f"remount,size={4 * ROOM}", gate.disk], check=True)
    assert contact(gate, "receive-pack", monkeypatch, capsys)[0] == 0
    assert gate.cloned() == after
    assert mirror.stale(gate.remote) is None
    assert not list(mirror_state.SCRATCH.glob("*.gate.json"))


def test_a_first_contact_on_a_full_disk_leaves_nothing_behind(gate: Gate) -> None:
    other = Remote("q", gate.remote.upstream)
    mirror.prepare(other)
    gate.push_big()
    for _ in range(2):
        with pytest.raises(mirror.UpstreamError):
            mirror.refresh(other)
        assert not list(gate.disk.glob(".new-*"))


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_push_that_the_upstream_took_is_never_called_untaken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(receive, "remote_of", lambda _: Remote("p", "x"))
    monkeypatch.setattr(receive, "pre_receive", lambda *_: ["refs/heads/main"])
    monkeypatch.setattr(receive, "RUN", tmp_path)
    monkeypatch.setattr("sys.stdin", (tmp_path / "in").open("w+"))
    monkeypatch.setattr(Path, "write_text", full)
    assert receive.main() == 1
    said = capsys.readouterr().err
    assert "the upstream has taken this push: refs/heads/main" in said
    assert "nothing has reached the upstream" not in said


def test_what_is_written_at_a_start_is_left_where_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve.put(tmp_path / "listening", "10.0.0.2")
    monkeypatch.setattr(Path, "write_text", full)
    serve.put(tmp_path / "listening", "10.0.0.2")
    with pytest.raises(OSError, match="No space"):
        serve.put(tmp_path / "listening", "10.0.0.3")
