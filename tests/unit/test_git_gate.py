"""git-gate's policy, scan and forwarding, on real repositories of git where they need one."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gate_repository import LEAK, Repository, repository

from sidecar_images.git_gate import mirror, receive
from sidecar_images.git_gate.forward import forward, read
from sidecar_images.git_gate.push_policy import Command, allowed_ref, parse, refusals
from sidecar_images.git_gate.remotes import Remote, read_remotes, remote_of
from sidecar_images.git_gate.scanning import scan
from sidecar_images.git_gate.scanning.work import Work

__all__ = ["repository"]

A, B, ZERO = "a" * 40, "b" * 40, "0" * 40
SSH = Remote("p", "ssh://git@git.example.com/a/p.git")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", f"{A} {B}", f"{A} {B} main", f"{A} {B} refs/heads/a b", f"{A[:39]} {B} refs/heads/a",
        f"{A} {B} refs/heads/a..\x01", f"{A} {B} refs/heads/a\n{A} {B} refs/heads/a", f"{A}  {B} refs/heads/a",
    ],
)  # fmt: skip
def test_what_is_no_push_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="push"):
        parse(text)


def test_a_push_is_read() -> None:
    one, two = parse(f"{ZERO} {A} refs/heads/new\n{A} {ZERO} refs/tags/old\n")
    assert (one.creates, one.deletes, two.creates, two.deletes) == (True, False, False, True)
    assert parse(f"{'1' * 64} {'2' * 64} refs/heads/x")[0].ref == "refs/heads/x"


@pytest.mark.parametrize(
    ("ref", "allowed"),
    [
        ("refs/heads/agent/x", True), ("refs/heads/main", False), ("refs/tags/v1", True), ("refs/tags/w1", False),
        ("refs/heads/Agent/x", False), ("refs/notes/x", False), ("refs/heads/x/agent/y", False),
    ],
)  # fmt: skip
def test_branches(ref: str, allowed: bool) -> None:
    assert allowed_ref(["agent/*", "refs/tags/v*"], ref) is allowed


def test_policy() -> None:
    def check(remote: Remote, command: Command, ancestor: bool = True, now: str | None = None) -> list[str]:
        current = command.old.strip("0") and command.old if now is None else now
        return refusals(remote, [command], lambda *_: ancestor, lambda _: current)

    update, delete, create = (
        Command(A, B, "refs/heads/m"),
        Command(A, ZERO, "refs/heads/m"),
        Command(ZERO, B, "refs/heads/m"),
    )
    assert check(SSH, update) == []
    assert check(SSH, create) == []
    assert "force" in check(SSH, update, ancestor=False)[0]
    assert "deletions" in check(SSH, delete)[0]
    assert "moved in the meantime" in check(SSH, update, now=B)[0]
    assert "moved in the meantime" in check(SSH, create, now=A)[0]
    assert "refs/heads/m: the owner allows" in check(Remote("p", "x", branches=("agent/*",)), update)[0]
    loose = Remote("p", "x", force=True, deletes=True)
    assert check(loose, update, ancestor=False) == []
    assert check(loose, delete) == []


def test_the_credential_is_in_no_argument_and_hosts_are_pinned(tmp_path: Path) -> None:
    env = SSH.environment(tmp_path)
    assert "StrictHostKeyChecking=yes" in env["GIT_SSH_COMMAND"]
    assert f"UserKnownHostsFile={tmp_path}/p.known_hosts" in env["GIT_SSH_COMMAND"]
    assert env["GIT_ALLOW_PROTOCOL"] == "ssh"
    (tmp_path / "q.token").write_text("the-token\n")
    env = Remote("q", "https://git.example.com/a").environment(tmp_path)
    assert base64.b64encode(b"x-access-token:the-token").decode() in " ".join(env.values())
    assert (env["GIT_CONFIG_KEY_0"], env["GIT_CONFIG_VALUE_0"]) == ("http.followRedirects", "false")


def test_remotes_are_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "remotes.json").write_text(json.dumps({"remotes": [{"name": "p", "upstream": "u", "branches": ["x"]}]}))
    assert read_remotes(tmp_path) == [Remote("p", "u", branches=("x",))]
    with pytest.raises(LookupError):
        remote_of(Path("/srv/git/q.git"), tmp_path)
    (tmp_path / "remotes.json").write_text(
        json.dumps({"remotes": [{"name": "p", "upstream": "u", "branches": [], "x": 1}]})
    )
    with pytest.raises(TypeError):
        read_remotes(tmp_path)


def test_what_the_upstream_took_is_read() -> None:
    commands = [Command(A, B, "refs/heads/m"), Command(ZERO, B, "refs/heads/n")]
    good = "To x\n \tb:refs/heads/m\ta..b\n*\tb:refs/heads/n\t[new branch]\nDone\n"
    assert read(good, "", commands).accepted == ["refs/heads/m", "refs/heads/n"]
    part = "To x\n \tb:refs/heads/m\ta..b\n!\tb:refs/heads/n\t[remote rejected] (hook declined)\nDone\n"
    outcome = read(part, "remote: no thanks\n", commands)
    assert outcome.accepted == ["refs/heads/m"]
    assert outcome.said == ["remote: no thanks", "refs/heads/n: [remote rejected] (hook declined)"]
    assert "fetch first" in read("!\tb:refs/heads/m\t[rejected] (stale info)\n", "", commands).said[0]
    assert read("", "fatal: could not read", commands).said == ["could not read"]
    assert read(" \tb:refs/heads/other\tx\n", "", commands).accepted == []


def places(tip: str, refs: tuple[str, ...] = ("refs/heads/x",)) -> list[str]:
    return [str(secret) for secret in scan.look(SSH, [tip], refs).secrets]


def test_every_place_of_a_push_is_looked_at(repository: Repository) -> None:
    first = repository.commit({"src/a.py": f"one\nkey = '{LEAK}'\n".encode()})
    second = repository.commit({"src/a.py": b"clean"}, "removed again")
    assert places(second) == [f"src/a.py, line 2, commit {first[:12]}: REDACTED (rule github-pat)"]


@pytest.mark.parametrize(
    ("files", "message", "expected"),
    [
        ({"b": b"\0\1\2" + LEAK.encode() + b"\0"}, "x", "b, line 1"),
        ({"wide.txt": ("\ufeff" + LEAK).encode("utf-16-le")}, "x", "wide.txt, line"),
        ({"package-lock.json": LEAK.encode()}, "x", "package-lock.json, line 1"),
        ({"a": b"x"}, f"message {LEAK}", "the message of commit"),
        ({LEAK: b"x"}, "x", "the name of a file"),
    ],
)
def test_contents_messages_and_names(repository: Repository, files: Any, message: str, expected: str) -> None:
    (place,) = places(repository.commit(files, message))
    assert place.startswith(expected)
    assert LEAK not in place


def test_a_renamed_file_a_merge_a_tag_and_a_ref(repository: Repository) -> None:
    base = repository.git("rev-parse", "HEAD")
    repository.git("mv", "README", LEAK)
    repository.git("commit", "-q", "-m", "renamed")
    assert len(places(repository.git("rev-parse", "HEAD"))) == 1
    repository.git("checkout", "-q", base)
    one = repository.commit({"one": b"1"})
    repository.git("checkout", "-q", base)
    repository.commit({"two": b"2"})
    repository.git("merge", "-q", "--no-commit", one)
    merge = repository.commit({"evil": LEAK.encode()}, "merge")
    assert len(repository.git("rev-list", "--parents", "-n1", merge).split()) == 3
    assert places(merge)[0].startswith(f"evil, line 1, commit {merge[:12]}")
    repository.git("checkout", "-q", base)
    repository.git("tag", "-a", "v1", "-m", f"tag {LEAK}")
    tag = repository.git("rev-parse", "refs/tags/v1")
    repository.git("tag", "-d", "v1")  # in a push it is not there yet
    assert places(tag)[0].startswith("the tag")
    assert places(base, (f"refs/heads/{LEAK}",)) == ["the name of a ref, line 1: REDACTED (rule github-pat)"]


def test_what_the_upstream_has_is_not_looked_at_again(repository: Repository) -> None:
    old = repository.commit({"old": LEAK.encode()})
    repository.git("update-ref", "refs/heads/main", old)
    result = scan.look(SSH, [repository.commit({"new": b"clean"})], ["refs/heads/main"])
    assert (result.secrets, result.commits) == ([], 1)


def test_large_files_and_lfs_pointers_are_told(repository: Repository) -> None:
    small = Remote("p", "x", max_blob_mb=1)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    tip = repository.commit({"big": os.urandom(2 << 20), "film.mp4": pointer})
    result = scan.look(small, [tip], ["refs/heads/x"])
    assert result.too_large == ["big: 2 MB, 1 MB are allowed"]
    assert result.lfs == ["film.mp4"]
    lines = receive._objections(result, [tip], Work())
    assert any("git-gate forwards no LFS objects" in line for line in lines)


def test_sha_256_trees_are_read() -> None:
    entry = b"100644 name\0" + b"\x01" * 32 + b"40000 folder\0" + b"\x02" * 32
    assert list(scan.tree_names(entry, 32)) == ["name", "folder"]


def test_an_object_that_cannot_be_read_stops_the_push(repository: Repository) -> None:
    with pytest.raises(scan.ScanError):
        scan.look(SSH, ["1" * 40], ["refs/heads/x"])


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A gate without a daemon: an upstream folder, and a mirror of it, reached by path."""
    monkeypatch.setattr(mirror, "RUN", tmp_path)
    monkeypatch.setattr(Remote, "mirror", property(lambda self: tmp_path / f"{self.name}.git"))
    monkeypatch.setattr(Remote, "environment", lambda *_: {})
    upstream = Repository(tmp_path / "up")
    upstream.git("branch", "main", "refs/kept")
    upstream.git("checkout", "-q", "main")
    remote = Remote("p", str(tmp_path / "up"))
    mirror.prepare(remote)
    return upstream, remote


def test_a_mirror_follows_its_upstream_and_outlives_it(gate: Any) -> None:
    upstream, remote = gate
    assert mirror.refresh(remote) is None
    head = upstream.commit({"next": b"1"})
    upstream.git("tag", "v1")
    assert mirror.refresh(remote) is None
    assert mirror.git("-C", str(remote.mirror), "rev-parse", "main").strip() == head
    upstream.git("checkout", "-q", "--detach")
    upstream.git("branch", "-D", "main")
    upstream.git("branch", "other")
    upstream.folder.rename(upstream.folder.with_name("gone"))
    message = mirror.refresh(remote)
    assert message is not None
    assert "serving what was fetched" in message
    assert mirror.stale(remote) == message
    upstream.folder.with_name("gone").rename(upstream.folder)
    assert mirror.refresh(remote) is None
    assert "main" not in mirror.git("-C", str(remote.mirror), "branch", "--list")


def test_many_packs_become_few(gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream, remote = gate
    monkeypatch.setattr(mirror, "_MANY_PACKS", 3)
    packs = remote.mirror / "objects/pack"
    mirror.git("-C", str(remote.mirror), "config", "transfer.unpackLimit", "1")
    for number in range(6):
        upstream.commit({"file": str(number).encode()})
        assert mirror.refresh(remote) is None
        assert len(list(packs.glob("*.pack"))) <= 4
    assert mirror.git("-C", str(remote.mirror), "show", "main:file") == "5"


def test_no_first_contact_is_an_error(gate: Any) -> None:
    upstream, remote = gate
    upstream.folder.rename(upstream.folder.with_name("gone"))
    with pytest.raises(mirror.UpstreamError):
        mirror.refresh(remote)


def test_what_a_killed_gate_left_is_cleared(gate: Any) -> None:
    _, remote = gate
    mirror.refresh(remote)
    (remote.mirror / "refs/heads/main.lock").write_text("")
    (remote.mirror / "objects/tmp_objdir-incoming-x").mkdir()
    mirror.prepare(remote)
    assert not list(remote.mirror.rglob("*.lock"))
    assert not list((remote.mirror / "objects").glob("tmp_objdir*"))
    assert mirror.refresh(remote) is None


def test_a_push_goes_to_the_upstream_only_from_where_it_started(gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream, remote = gate
    upstream.git("checkout", "-q", "--detach")
    mirror.refresh(remote)
    old = upstream.git("rev-parse", "main")
    work = Repository.__new__(Repository)
    work.folder = upstream.folder.with_name("work")
    subprocess.run(["git", "clone", "-q", str(remote.mirror), str(work.folder)], check=True)
    new = work.commit({"more": b"1"})
    monkeypatch.chdir(work.folder)
    done = forward(remote, [Command(old, new, "refs/heads/main"), Command(ZERO, new, "refs/heads/side")], [])
    assert sorted(done.accepted) == ["refs/heads/main", "refs/heads/side"]
    assert upstream.git("rev-parse", "main", "side").split() == [new, new]
    again = forward(remote, [Command(old, work.commit({"z": b"2"}), "refs/heads/main")], [])
    assert again.accepted == []
    assert "fetch first" in again.said[-1]
    both = [Command(new, work.git("rev-parse", "HEAD"), "refs/heads/main"), Command(old, old, "refs/heads/side")]
    assert forward(remote, both, []).accepted == []  # atomic: one that cannot be takes the other along
    assert upstream.git("rev-parse", "main") == new


def test_everything_that_goes_wrong_is_a_no(capsys: pytest.CaptureFixture[str]) -> None:
    assert receive.main() == 1
    assert "refused this push because scanning it failed" in capsys.readouterr().err


def test_the_mirror_takes_only_what_the_upstream_took(tmp_path: Path) -> None:
    """The hook's caller stands in for receive-pack."""
    hook = Path(receive.__file__).with_name("hooks") / "update"
    for ref, verdict in (("refs/heads/a", 0), ("refs/heads/b", 1), ("refs/heads/aa", 1), ("refs/heads/.", 1), ("", 1)):
        (tmp_path / f"accepted-{os.getpid()}").write_text("refs/heads/a\nrefs/heads/c\n")
        done = subprocess.run([hook, ref, A, B], env={**os.environ, "GATE_RUN": str(tmp_path)}, check=False)
        assert done.returncode == verdict, ref
    (tmp_path / f"accepted-{os.getpid()}").unlink()
    done = subprocess.run([hook, "refs/heads/a", A, B], env={**os.environ, "GATE_RUN": str(tmp_path)}, check=False)
    assert done.returncode != 0
