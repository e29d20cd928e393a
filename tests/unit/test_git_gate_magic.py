"""Pushes for review: a ref that is an order to the forge. The forge of the tests is git's own proc-receive.

Sources: Gerrit, Documentation/user-upload.txt ("Push to refs/for/", options behind `%`); githooks(5), proc-receive, which
AGit's forges answer with `option refname`; git-config(1), receive.procReceiveRefs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_daemon import HookedGate, environment
from gate_repository import LEAK

from sidecar_images.git_gate import mirror
from sidecar_images.git_gate.forward import read
from sidecar_images.git_gate.push_policy import Command, refusals
from sidecar_images.git_gate.remotes import Remote

ZERO, A, B = "0" * 40, "a" * 40, "b" * 40

CODE = """
import subprocess, sys
def packets():
    while size := int(sys.stdin.buffer.read(4), 16):
        yield sys.stdin.buffer.read(size - 4).rstrip(b"\\n").decode()
def say(text):
    sys.stdout.buffer.write(b"%04x%b" % (len(text) + 4, text.encode()))
list(packets())
say("version=1\\0push-options"); sys.stdout.buffer.write(b"0000"); sys.stdout.buffer.flush()
commands = list(packets())
answer = {answer!r}
for line in commands:
    old, new, ref = line.split(" ")
    with open({changes!r}, "a") as out:
        out.write(f"{{old}} {{new}} {{ref}}\\n")
    number = len(open({changes!r}).readlines())
    if answer == "no":
        say(f"ng {{ref}} no new changes")
    else:
        subprocess.run(["git", "update-ref", f"refs/changes/34/1234/{{number}}", new], check=True)
        say(f"ok {{ref}}")
        if answer == "refname":
            say(f"option refname refs/changes/34/1234/{{number}}"); say(f"option new-oid {{new}}")
sys.stdout.buffer.write(b"0000"); sys.stdout.buffer.flush()
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., HookedGate]:
    monkeypatch.setattr(mirror, "RUN", tmp_path)
    monkeypatch.setattr(Remote, "mirror", property(lambda self: tmp_path / f"{self.name}.git"))
    monkeypatch.setattr(Remote, "environment", lambda *_: environment(tmp_path))

    def factory(answer: str = "ok", **policy: Any) -> HookedGate:
        gate = HookedGate(tmp_path, **policy)
        (tmp_path / "forge.py").write_text(CODE.format(answer=answer, changes=str(tmp_path / "changes")))
        hook = gate.upstream.folder / ".git/hooks/proc-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/forge.py\n")
        hook.chmod(0o755)
        gate.upstream.git("config", "receive.procReceiveRefs", "refs/for")
        gate.upstream.git("config", "receive.advertisePushOptions", "true")
        return gate

    return factory


def changes(gate: HookedGate) -> list[str]:
    file = gate.folder / "changes"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize("answer", ["ok", "refname"])
def test_a_second_patch_set_is_no_rewrite(make: Callable[..., HookedGate], answer: str) -> None:
    gate = make(answer, branches=("refs/for/*",))
    sent = []
    for message in ("first", "amended", "amended again"):
        if sent:
            gate.work.git("commit", "-q", "--amend", "-m", message)
        else:
            gate.work.commit({"file": b"1"}, message)
        sent.append(gate.work.git("rev-parse", "HEAD"))
        done = gate.push("HEAD:refs/for/main")
        assert done.returncode == 0, done.stderr
        assert gate.refs() == ["refs/heads/main"]
    assert changes(gate) == [f"{ZERO} {name} refs/for/main" for name in sent]
    details = [more for event, verdict, more in gate.record() if verdict == "forwarding"]
    assert [more["after"] for more in details] == [[f"{name} refs/for/main"] for name in sent]
    assert [verdict for _, verdict, _ in gate.record()] == ["forwarding", "accepted"] * 3


def test_all_of_a_patch_set_is_looked_at_each_time(make: Callable[..., HookedGate]) -> None:
    gate = make(branches=("refs/for/*",))
    gate.work.commit({"file": b"1"})
    assert gate.push("HEAD:refs/for/main").returncode == 0
    gate.work.commit({"key": LEAK.encode()})
    for _ in range(2):
        done = gate.push("HEAD:refs/for/main")
        assert done.returncode != 0
        assert "secret: key, line 1" in done.stderr
    gate.work.git("rm", "-q", "key")
    gate.work.commit({"other": b"1"})
    assert "secret: key, line 1" in gate.push("HEAD:refs/for/main").stderr
    assert len(changes(gate)) == 1


def test_a_no_of_the_forge_is_a_no(make: Callable[..., HookedGate]) -> None:
    gate = make("no", branches=("refs/for/*",))
    gate.work.commit({"file": b"1"})
    done = gate.push("HEAD:refs/for/main")
    assert done.returncode != 0
    assert "no new changes" in done.stderr
    assert [verdict for _, verdict, _ in gate.record()] == ["forwarding", "refused"]


def test_a_branch_and_a_change_in_one_push(make: Callable[..., HookedGate]) -> None:
    gate = make("refname", branches=("*", "refs/for/*"), push_options=("topic=*", "wip"))
    tip = gate.work.commit({"file": b"1"})
    done = gate.push("-o", "topic=one", "+HEAD:refs/heads/side")
    assert done.returncode == 0, done.stderr
    tip = gate.work.commit({"file": b"2"})
    done = gate.push("HEAD:refs/for/main%topic=two,wip")
    assert done.returncode == 0, done.stderr
    assert changes(gate) == [f"{ZERO} {tip} refs/for/main%topic=two,wip"]
    assert gate.refs() == ["refs/heads/main", "refs/heads/side"]


def said(command: Command, **policy: Any) -> list[str]:
    return refusals(Remote("p", "x", **policy), [command], lambda *_: True, lambda _: "")


def test_what_an_order_may_say() -> None:
    order = Command(ZERO, A, "refs/for/main")
    assert "the owner allows pushes to * only" in said(order)[0]
    assert said(order, branches=("refs/for/main",)) == []
    for ref in (
        "refs/for/main%submit",
        "refs/for/main%wip,submit",
        "refs/for/main%l=Code-Review+2",
        "refs/drafts/main%,",
    ):
        problems = said(Command(ZERO, A, ref), branches=("refs/for/*", "refs/drafts/*"), push_options=("wip",))
        assert any("push option" in line for line in problems), ref
    assert said(Command(ZERO, A, "refs/for/main%wip"), branches=("refs/for/main",), push_options=("wip",)) == []
    assert (
        "the owner allows"
        in said(Command(ZERO, A, "refs/for/other%wip"), branches=("refs/for/main",), push_options=("wip",))[0]
    )
    gone = Command(ZERO, ZERO, "refs/for/main")
    assert "not a stored ref, so it cannot be deleted" in said(gone, branches=("refs/*",), deletes=True, force=True)[0]


def test_what_a_forge_answers_for_an_order_is_read() -> None:
    """builtin/push, print_ok_ref_status: with `option refname` the line names the forge's own ref."""
    order, branch = Command(ZERO, A, "refs/for/main"), Command(ZERO, B, "refs/heads/n")
    outcome = read(
        f"To x\n*\t{A}:refs/pull/7/head\t[new reference]\n*\t{B}:refs/heads/n\t[new branch]\nDone\n",
        "",
        [order, branch],
    )
    assert sorted(outcome.accepted) == ["refs/for/main", "refs/heads/n"]
    outcome = read(
        f"To x\n*\t{B}:refs/heads/n\t[new branch]\n!\t{A}:refs/for/main\t[remote rejected] (no)\n",
        "",
        [order, branch],
        sent=True,
    )
    assert (outcome.accepted, outcome.unknown) == (["refs/heads/n"], [])
    outcome = read(f"To x\n*\t{B}:refs/pull/7/head\t[new reference]\n", "", [order, branch], sent=True)
    assert (outcome.accepted, outcome.unknown) == ([], ["refs/for/main", "refs/heads/n"])
