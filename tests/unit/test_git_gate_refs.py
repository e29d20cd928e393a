"""Read-only refs through the gate, by real git against the real upload-pack with the gate's reader before it.

Sources: gitprotocol-v2(5); "Checking out pull requests locally" of GitHub's documentation (`git fetch origin pull/ID/head`);
GitLab's "merge-requests/ID/head"; Gerrit's "refs/changes/NN/N/P" (Documentation/concept-refs-for-namespace.txt).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gate_repository import LEAK, Repository, repository

from sidecar_images.git_gate import extra_refs, journal, mirror, wishes
from sidecar_images.git_gate.push_policy import Command, refusals
from sidecar_images.git_gate.remotes import Remote
from sidecar_images.git_gate.scanning import scan
from sidecar_images.git_gate.wishes import Wish

__all__ = ["repository"]
ROOT = Path(__file__).parents[2]
ZERO = "0" * 40

READER = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from sidecar_images.git_gate import extra_refs, mirror, remotes, upload
mirror.RUN = Path({folder!r})
remotes.MIRRORS = Path({folder!r})
remotes.Remote.environment = lambda *_: {{"GIT_TRACE_PACKET": {trace!r}}}
remote = remotes.Remote("p", {upstream!r})
remotes.remote_of = lambda _: remote
extra_refs.PER_MINUTE, extra_refs.MANY, extra_refs.KEPT = {limits}
os.chdir(sys.argv[1])
sys.argv = ["upload", "upload-pack", "--strict", "."]
upload.main()
"""


class Gate:
    """A mirror behind the reader, a clone of it, and what was sent to the upstream."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.trace, self.work = folder, folder / "trace", folder / "work"
        self.upstream = Repository(folder / "up")
        self.upstream.git("branch", "main", "refs/kept")
        self.remote = Remote("p", str(folder / "up"))
        mirror.prepare(self.remote)
        assert mirror.refresh(self.remote) is None
        self.limit()
        subprocess.run(["git", "clone", "-q", str(self.remote.mirror), str(self.work)], check=True)

    def limit(self, per_minute: int = 99, many: int = 100, kept: int = 1000) -> None:
        values = {
            "root": str(ROOT),
            "folder": str(self.folder),
            "trace": str(self.trace),
            "upstream": self.remote.upstream,
        }
        (self.folder / "reader.py").write_text(READER.format(**values, limits=(per_minute, many, kept)))

    def offer(self, ref: str, files: dict[str, bytes] | None = None) -> str:
        """A commit that only this ref of the upstream reaches."""
        self.upstream.git("checkout", "-q", "--detach", "main")
        tip = self.upstream.commit(files or {"offer": ref.encode()}, ref)
        self.upstream.git("update-ref", ref, tip)
        return tip

    def fetch(self, *what: str, version: int = 2) -> subprocess.CompletedProcess[str]:
        reader = f"{sys.executable} {self.folder}/reader.py"
        argv = [
            "git",
            "-c",
            f"protocol.version={version}",
            "-C",
            str(self.work),
            "fetch",
            "-q",
            "--upload-pack",
            reader,
        ]
        return subprocess.run([*argv, f"file://{self.remote.mirror}", *what], capture_output=True, text=True)

    def head(self) -> str:
        return (self.work / ".git/FETCH_HEAD").read_text().split()[0]

    def here(self) -> list[str]:
        return sorted(extra_refs._here(self.remote))

    def asked(self) -> str:
        """What went to the upstream since it was asked last."""
        text = self.trace.read_text() if self.trace.exists() else ""
        self.trace.unlink(missing_ok=True)
        return "\n".join(line for line in text.splitlines() if "> " in line and "upload-pack>" not in line)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setattr(mirror, "RUN", tmp_path)
    monkeypatch.setattr(Remote, "mirror", property(lambda self: tmp_path / f"{self.name}.git"))
    monkeypatch.setattr(Remote, "environment", lambda *_: {})
    monkeypatch.setattr(journal, "write", lambda *_, **__: None)
    return Gate(tmp_path)


@pytest.mark.parametrize(
    ("asked", "ref"),
    [
        ("pull/12/head", "refs/pull/12/head"), ("refs/pull/12/merge", "refs/pull/12/merge"),
        ("+refs/pull/12/head:refs/heads/pr12", "refs/pull/12/head"),  # gh pr checkout
        ("merge-requests/7/head", "refs/merge-requests/7/head"), ("refs/changes/34/1234/5", "refs/changes/34/1234/5"),
        ("refs/notes/commits:refs/notes/commits", "refs/notes/commits"),
        ("+refs/notes/*:refs/notes/*", "refs/notes/review"), ("+refs/pull/*/head:refs/remotes/pr/*", "refs/pull/3/head"),
    ],
)  # fmt: skip
def test_a_read_only_ref_is_fetched_when_it_is_asked_for(gate: Gate, asked: str, ref: str) -> None:
    tip = gate.offer(ref)
    other = gate.offer("refs/pull/99/head") if "*" not in asked else gate.offer("refs/other/99")
    done = gate.fetch(asked)
    assert done.returncode == 0, done.stderr
    assert gate.head() == tip
    assert gate.here() == [ref]
    assert other not in subprocess.run(["git", "-C", gate.remote.mirror, "cat-file", "--batch-check", "--batch-all-objects"],
                                       capture_output=True, text=True).stdout  # fmt: skip
    again = gate.offer(ref, {"offer": b"amended"})
    assert gate.fetch(asked.partition(":")[0].lstrip("+") if "*" not in asked else asked).returncode == 0
    assert gate.head() == again
    mirror.refresh(gate.remote)
    assert gate.here() == [ref]  # a refresh prunes branches and tags alone


def test_the_head_of_a_request_is_fetched_by_its_id(gate: Gate) -> None:
    tip = gate.offer("refs/pull/5/head")
    done = gate.fetch(tip)
    assert done.returncode == 0, done.stderr
    assert gate.head() == tip
    inner = gate.upstream.git("rev-parse", "main")
    assert gate.fetch(inner).returncode == 0


def test_nothing_that_the_client_writes_goes_to_the_upstream(gate: Gate) -> None:
    """160 bits of an id, or digits of a number, would be a letter to whoever reads the upstream's log."""
    for ref in ("refs/pull/12/head", "refs/notes/commits", "refs/secret/x"):
        gate.offer(ref)
    hidden = gate.upstream.git("rev-parse", "refs/secret/x")
    letter = "deadbeef" * 5
    for asked, words in (
        (letter, f"or note at {letter}"), (hidden, f"or note at {hidden}"),
        ("refs/pull/1234567/head", "couldn't find remote ref"), ("refs/notes/my-words", "couldn't find remote ref"),
        ("refs/secret/x", "couldn't find remote ref"), ("refs/pull/12/head/x", "couldn't find remote ref"),
    ):  # fmt: skip
        done = gate.fetch(asked)
        assert done.returncode != 0
        assert words in done.stderr
        request = gate.asked()
        assert "ref-prefix" not in request
        assert "want" not in request
        assert not any(word in request for word in (letter, hidden, "1234567", "my-words", "secret"))
    assert gate.here() == []
    assert gate.fetch("pull/12/head").returncode == 0
    assert {line.partition("ref-prefix ")[2] for line in gate.asked().splitlines() if "ref-prefix" in line} <= {
        *(f"{lead}refs/pull/12/head" for lead in ("", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/")),
        "refs/remotes/refs/pull/12/head/HEAD",
    }  # fmt: skip


def test_limits_of_time_and_number(gate: Gate) -> None:
    for number in range(1, 8):
        gate.offer(f"refs/pull/{number}/head")
    gate.limit(many=3)
    done = gate.fetch("+refs/pull/*/head:refs/x/*")
    assert "7 refs in one fetch, 3 are allowed; fetch one by its name (pull/12/head)" in done.stderr
    gate.limit(per_minute=3, kept=2)
    (gate.folder / "p.asked").unlink()
    for number in (1, 2, 3):
        assert gate.fetch(f"pull/{number}/head").returncode == 0
    assert gate.here() == ["refs/pull/3/head"]
    done = gate.fetch("pull/4/head")
    assert "3 fetches of such refs a minute are allowed; try again in" in done.stderr
    assert gate.fetch("main").returncode == 0  # what else a client wants is not limited


def test_clones_and_other_protocols_are_as_ever(gate: Gate) -> None:
    gate.offer("refs/pull/1/head")
    for version in (0, 1, 2):
        assert gate.fetch("+refs/*:refs/mirror/*", version=version).returncode == 0
        assert gate.here() == []
    assert "couldn't find remote ref" in gate.fetch("pull/1/head", version=0).stderr
    assert not gate.asked()


def test_an_upstream_that_is_down_is_served_from_the_mirror(gate: Gate) -> None:
    tip = gate.offer("refs/pull/1/head")
    assert gate.fetch("pull/1/head").returncode == 0
    gate.upstream.folder.rename(gate.upstream.folder.with_name("gone"))
    assert mirror.refresh(gate.remote)
    assert gate.fetch("pull/1/head").returncode == 0
    assert gate.head() == tip
    assert "couldn't find" in gate.fetch("pull/2/head").stderr


def test_an_object_that_attacks_its_readers_does_not_come_in(gate: Gate) -> None:
    """git-fsck(1), gitmodulesUrl (CVE-2018-17456): anybody may open a pull request, and a push of it would skip fsck."""
    gate.offer("refs/pull/1/head", {".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n'})
    done = gate.fetch("pull/1/head")
    assert "gitmodulesUrl" in done.stderr
    assert gate.here() == []


@pytest.mark.parametrize(
    "ref", ["refs/pull/1/head", "refs/merge-requests/1/head", "refs/changes/34/1234/5", "refs/pull/x"]
)
def test_they_are_no_push_targets(ref: str) -> None:
    remote = Remote("p", "x", branches=("refs/*", "*"), force=True, deletes=True)
    for command in (Command(ZERO, "a" * 40, ref), Command(ZERO, ZERO, ref)):
        (refusal,) = refusals(remote, [command], lambda *_: True, lambda _: "")
        assert "is read-only" in refusal


def test_what_an_outsider_offers_is_not_the_upstreams_history(repository: Repository) -> None:
    tip = repository.commit({"config": LEAK.encode()})
    repository.git("update-ref", "refs/pull/1/head", tip)
    (secret,) = scan.look(Remote("p", "x"), [tip], ["refs/heads/main"]).secrets
    assert str(secret).startswith("config, line 1")
    repository.git("update-ref", "refs/heads/main", tip)
    assert scan.look(Remote("p", "x"), [tip], ["refs/heads/main"]).objects == 0


@pytest.mark.parametrize(
    "data", [b"", b"zzzz", b"0003", b"0010command", b"00", b"0014command=ls-refs\n0000", b"ffff" + b"x" * 10]
)
def test_what_is_no_request_asks_for_nothing(data: bytes) -> None:
    import io

    for request, wish in wishes.requests(io.BytesIO(data).read):
        assert wish == Wish()
        assert request in data


def test_a_long_request_is_handed_on_in_parts() -> None:
    import io

    line = b"want " + b"a" * 40 + b"\n"
    body = b"0011command=fetch" + b"".join(b"%04x%b" % (len(line) + 4, line) for _ in range(60_000)) + b"0000"
    second = b"0014command=ls-refs\n0001" + b"001bref-prefix refs/notes/x0000"
    parts = list(wishes.requests(io.BytesIO(body + second).read))
    assert b"".join(request for request, _ in parts) == body + second
    assert len(parts) == 4
    assert [bool(wish.ids) for _, wish in parts] == [True, False, False, False]
    assert max(len(request) for request, _ in parts) < wishes.HELD + 65_536


def test_the_daemon_runs_the_reader(gate: Gate, tmp_path: Path) -> None:
    """A real git daemon starts what is first in its PATH as git (run-command.c, prepare_cmd: locate_in_PATH)."""
    script = (ROOT / "sidecar_images/git_gate/served/git").read_text()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(
        script.replace("python3 -m git_gate.upload", f"echo $2 >> {tmp_path}/seen; exit 1;")
    )
    (tmp_path / "bin/git").chmod(0o755)
    from sidecar_images.git_gate import serve

    argv = [serve._DAEMON, "--inetd", "--export-all", f"--base-path={tmp_path}"]
    line = b"git-upload-pack /p.git\0host=x\0\0version=2\0"
    env = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    subprocess.run(argv, input=b"%04x%b" % (len(line) + 4, line), env=env, capture_output=True)
    assert (tmp_path / "seen").read_text() == "--strict\n"
    plain = b"git-upload-pack /p.git\0host=x\0"
    done = subprocess.run(argv, input=b"%04x%b" % (len(plain) + 4, plain), env=env, capture_output=True)
    assert b"refs/heads/main" in done.stdout
    assert json.dumps(serve.daemon("192.0.2.1", [])[0]) == json.dumps(serve._DAEMON)


def test_very_many_pull_requests_cost_a_fetch_little(gate: Gate) -> None:
    tip = gate.offer("refs/pull/70000/head")
    kept = gate.upstream.folder / ".git/packed-refs"
    gate.upstream.git("pack-refs", "--all")
    lines = [line for line in kept.read_text().splitlines() if not line.startswith("#")]
    lines += [f"{tip} refs/pull/{number}/head" for number in range(1, 100_001) if number != 70_000]
    kept.write_text("# pack-refs with: peeled fully-peeled \n" + "\n".join(lines) + "\n")
    start = time.monotonic()
    assert mirror.refresh(gate.remote) is None
    assert gate.fetch("pull/70000/head").returncode == 0
    assert gate.head() == tip
    assert gate.here() == ["refs/pull/70000/head"]
    assert "too many of these refs" in gate.fetch("+refs/pull/*:refs/x/*").stderr
    assert time.monotonic() - start < 60
