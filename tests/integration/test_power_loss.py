"""A machine that stops with writes in its page cache: what a writer has said is done is there afterwards, and whole.

The disk is a file system image of the test's own, which is copied the moment its writer is killed: what the kernel had
not brought to it is not in the copy. It is mounted so that the kernel waits as long as it may (ext4(5): commit,
data=writeback, noauto_da_alloc). Sources: fsync(2), rename(2), git-config(1) `core.fsync`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from claude_bottle.approvals.audit.log import Audit
from claude_bottle.approvals.edit.stack_file import StackFile
from claude_bottle.approvals.journal import ApprovalInProgress, ApprovalJournal
from claude_bottle.host import state_files
from claude_bottle.policy.once import Once
from claude_bottle.policy.proposals import Proposals
from claude_bottle.policy.record import Record
from claude_bottle.policy.whole_file import write_whole
from claude_bottle.workspace.agent_files import BaseRecord
from sidecar_images.git_gate import mirror, mirror_state, open_pushes
from sidecar_images.git_gate.push_policy import Command
from sidecar_images.git_gate.remotes import Remote
from sidecar_images.proxy import put

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk of the test's own")

GITCONFIG = Path(__file__).parents[2] / "sidecar_images/git_gate/gitconfig"
_ROUNDS = 12


@dataclass
class Disk:
    folder: Path
    image: Path
    again: Path

    def stop_and_start(self) -> None:
        """Copy what is on the disk now, and show the copy, as it is after its journal was replayed, at `again`."""
        copy = self.image.with_name("copy")
        shutil.copyfile(self.image, copy)
        subprocess.run(["mount", "-o", "loop", copy, self.again], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", tmp_path / "image", tmp_path / "again")
    with disk.image.open("wb") as out:
        out.truncate(48 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^metadata_csum", disk.image], check=True)
    disk.folder.mkdir()
    disk.again.mkdir()
    try:
        options = "loop,commit=300,data=writeback,noauto_da_alloc"
        subprocess.run(["mount", "-o", options, disk.image, disk.folder], check=True)
        yield disk
    finally:
        for mounted in (disk.again, disk.folder):
            subprocess.run(["umount", mounted], check=False, stderr=subprocess.DEVNULL)


def until_killed(write: Callable[[int], object], rounds: int = _ROUNDS) -> int:
    """Run the writer in a process of its own, and kill it while it goes on; how many rounds it has said are done."""
    read_end, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for number in range(1, 10_000):
                write(number)
                os.write(tell, b".")
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(3)
    os.close(tell)
    done = 0
    while done < rounds:
        got = os.read(read_end, 1)
        assert got, "the writer ended by itself"
        done += 1
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while got := os.read(read_end, 4096):
        done += len(got)
    os.close(read_end)
    return done


Writer = tuple[Callable[[Path, int], object], Callable[[Path], int]]


def begun(number: int) -> ApprovalInProgress:
    return ApprovalInProgress(f"p{number}", {"kind": "routes"}, "yes", "owner", "", "x" * number)


def last_text(file: Path) -> int:
    """The number that a text of `number` letters tells; a torn one is none."""
    text = file.read_text()
    assert text and set(text) == {"x"}, text[:80]
    return len(text)


def number_of_policy(folder: Path) -> int:
    return len(json.loads((folder / "routes.json").read_text())["routes"])


def put_policy(folder: Path, number: int) -> None:
    data = json.dumps({"routes": [{"host": f"h{n}.example.com"} for n in range(number)]}).encode()
    status = folder.parent / "status.json"  # of a proxy that takes it up at once
    status.write_text(json.dumps({"live": hashlib.sha256(data).hexdigest(), "error": None}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(put, "_validator", lambda _: (folder / "routes.json", lambda data: data))
        patch.setattr(put, "STATUS", status)
        put.put("routes", data)


def edited(file: StackFile, number: int) -> None:
    if number == 1:
        file.path.write_text("")
    file.replace(file.read(), "x" * number)


def restore(folder: Path, number: int) -> None:
    """A state of its own each round: what damages it is not synced, so the one before would be lost with it."""
    file = folder / f"state-{number}.json"
    file.write_text("{")
    good = folder / f"good-{number}"
    good.write_text(json.dumps({"version": 3, "checkpoint": {"number": number}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_files, "state_file", lambda _: file)
        patch.setattr(state_files, "candidates", lambda _: [good])
        assert state_files.restore("s") == good
    good.unlink()


def restored(folder: Path) -> int:
    number = 0
    while state_files.problem(folder / f"state-{number + 1}.json") is None:
        number += 1
    return number


def of_state(at: Path, work: Callable[[], object]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(at / "state"))
        return int(work() or 0)  # type: ignore[call-overload]


def proposal(number: int) -> str:
    return f"p-{number:010x}"


def spend(folder: Path, number: int) -> None:
    once, digest = Once(folder / "once"), f"sha256:{number:064x}"
    once.hold(digest, {"what": "x"})
    assert once.grant(digest, proposal(number)) and once.take(digest)


def spent(folder: Path) -> int:
    once, number = Once(folder / "once"), 0
    while (folder / "once" / f"{proposal(number + 1)}.used").exists():
        number += 1
        assert not once.is_granted(f"sha256:{number:064x}")
    return number


class _Remote:
    name = "project"

    def __init__(self, mirror: Path) -> None:
        self.mirror = mirror


def open_push(folder: Path, number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_pushes, "RUN", folder)
        remote = _Remote(folder)
        remote.name = f"r{number}"
        open_pushes.begin(remote, [Command("0" * 40, "1" * 40, "refs/heads/main")])  # type: ignore[arg-type]


def git(folder: Path, *argv: str) -> str:
    who = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", **dict.fromkeys(who, "a@example.com")}
    done = subprocess.run(["git", "-C", folder, *argv], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class _Local(Remote):
    """A remote whose upstream is a repository beside the disk."""

    @property
    def mirror(self) -> Path:
        return Path(self.upstream).parent / "disk" / "mirror"

    def environment(self, etc: Path = Path()) -> dict[str, str]:
        return {}


def mirrored(folder: Path, number: int) -> None:
    """The gate's own fetch, with the gate's settings for git; but for the program that packs in its image."""
    source, settings = folder.parent / "source", folder.parent / "gitconfig"
    if number == 1:
        git(folder.parent, "init", "-q", str(source))
        settings.write_text(re.sub(r"(?m)^\s*packObjectsHook.*$", "", GITCONFIG.read_text()))
    (source / "file").write_text("x" * number)
    git(source, "add", "file")
    git(source, "commit", "-q", "-m", f"{number}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_SYSTEM", str(settings))
        patch.setattr(mirror, "RUN", folder.parent)
        remote = _Local("project", str(source))
        if number == 1:
            mirror.prepare(remote)
        assert mirror.refresh(remote) is None


def in_mirror(folder: Path) -> int:
    repository = folder / "mirror"
    git(repository, "fsck", "--strict", "--full")
    assert json.loads((repository / "gate.json").read_text())["fetched"]
    return int(git(repository, "log", "-1", "--format=%s", "HEAD"))


WRITERS: dict[str, Writer] = {
    "plain": (lambda d, n: write_whole(d / "plain", b"x" * n), lambda d: last_text(d / "plain")),
    "stack file": (
        lambda d, n: edited(StackFile(d / "Pulumi.s.yaml"), n),
        lambda d: last_text(d / "Pulumi.s.yaml"),
    ),
    "begun": (
        lambda d, n: of_state(d, lambda: ApprovalJournal("s").begin(begun(n))),
        lambda d: of_state(d, lambda: len(((approval := ApprovalJournal("s").in_progress()) and approval.after) or "")),
    ),
    "base": (
        lambda d, n: of_state(d, lambda: BaseRecord("s").write("home", {"a": "x" * n})),
        lambda d: of_state(d, lambda: len(BaseRecord("s").read("home")["a"])),
    ),
    "audit log": (
        lambda d, n: of_state(d, lambda: Audit("s").append({"event": "approved", "id": f"p{n}"})),
        lambda d: of_state(d, lambda: Audit("s").verify()[0]),
    ),
    "record, of pushes": (
        lambda d, n: Record(d / "record", segment=500).append({"event": "push", "x": n}, sync=True),
        lambda d: int(json.loads(next(Record(d / "record").read("", 1)))["next"]) - 1,
    ),
    "record, read": (
        lambda d, n: (r := Record(d / "record")) and (r.append({"x": n}), list(r.read("", 1))),
        lambda d: int(json.loads(next(Record(d / "record").read("", 1)))["next"]) - 1,
    ),
    "grants": (spend, spent),
    "proposals": (
        lambda d, n: Proposals(d / "db").add("t", {"n": n}, "w", {}),
        lambda d: len(Proposals(d / "db").all()),
    ),
    "policies": (put_policy, number_of_policy),
    "state": (restore, restored),
    "mirror's state": (
        lambda d, n: mirror_state.keep(_Remote(d), {"fetched": "x" * n, "error": None}),  # type: ignore[arg-type]
        lambda d: len(mirror_state.read(_Remote(d))["fetched"]),  # type: ignore[arg-type]
    ),
    "open pushes": (open_push, lambda d: sum(1 for f in (d / "open").glob("*.json") if json.loads(f.read_text()))),
    "mirrors": (mirrored, in_mirror),
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_what_was_done_is_there_after_the_machine_has_stopped(disk: Disk, name: str) -> None:
    write, read = WRITERS[name]
    done = until_killed(lambda number: write(disk.folder, number))
    disk.stop_and_start()
    # The round that was cut may be there or not.
    assert done <= read(disk.again) <= done + 1


def test_the_disk_of_these_tests_forgets_what_was_not_synced(disk: Disk) -> None:
    """Without it the test above would show nothing."""

    def write(number: int) -> None:
        beside = disk.folder / "beside"
        beside.write_text("x" * number)
        beside.replace(disk.folder / "plain")
        time.sleep(0.01)

    until_killed(write)
    disk.stop_and_start()
    file = disk.again / "plain"
    assert not file.exists() or file.read_text() == ""


@pytest.mark.parametrize("broken", ["HEAD", "config"])
def test_a_mirror_that_is_no_repository_any_more_is_made_anew(tmp_path: Path, broken: str) -> None:
    """gitrepository-layout(5): without a valid HEAD, objects and refs a folder is no repository."""
    (tmp_path / "disk").mkdir()
    mirrored(tmp_path / "disk", 1)
    repository = tmp_path / "disk" / "mirror"
    (repository / broken).write_text("[core\n" if broken == "config" else "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_SYSTEM", str(tmp_path / "gitconfig"))
        patch.setattr(mirror, "RUN", tmp_path)
        remote = _Local("project", str(tmp_path / "source"))
        mirror.prepare(remote)
        assert mirror.refresh(remote) is None
    assert in_mirror(tmp_path / "disk") == 1
