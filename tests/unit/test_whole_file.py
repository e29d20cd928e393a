"""Every writer of the owner's side, at every byte of a disk that is full there: what was, or all of what is new.

The kernel says no at that byte (setrlimit(2), RLIMIT_FSIZE; write(2), EFBIG), in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_bottle.approvals.audit.files import AuditFiles
from claude_bottle.approvals.audit.log import Audit
from claude_bottle.approvals.begun import Begun, Desk
from claude_bottle.approvals.edit.stack_file import StackFile
from claude_bottle.approvals.held import Seen
from claude_bottle.policy.once import Once
from claude_bottle.policy.whole_file import write_whole
from claude_bottle.workspace.agent_files import BaseRecord


def at_byte(most: int, write: Callable[[], object]) -> bool:
    """Run a writer in a process whose files end at a byte; whether it went well."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            write()
            code = 0
        except OSError:
            code = 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1), code
    return code == 0


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def begun(text: str) -> Begun:
    return Begun("p1", {"kind": "routes"}, "yes", "owner", "", text)


def held(folder: Path) -> list[Path]:
    return sorted((folder / "once").glob("*.held"))


def writers(folder: Path) -> dict[str, tuple[Callable[[str], object], Callable[[], object]]]:
    """Name to what writes a text, and what reads the outcome back."""
    stack, desk, seen = StackFile(folder / "Pulumi.s.yaml"), Desk("s"), Seen("s")
    stack.path.write_text("config: {}\n")
    base, once, plain = BaseRecord("s"), Once(folder / "once"), folder / "plain"
    files = AuditFiles(folder, "s")
    return {
        "plain": (lambda t: write_whole(plain, t.encode()), lambda: plain.read_text() if plain.exists() else None),
        "stack file": (lambda t: stack.replace(stack.read(), t), stack.read),
        "begun": (lambda t: desk.begin(begun(t)), desk.begun),
        "seen": (lambda t: seen.add("d" * 64, len(t)), lambda: seen.of("d" * 64)),
        "base": (lambda t: base.write("home", {"a": t}), lambda: base.read("home")),
        "head": (lambda t: files.write_head({"seq": len(t), "hash": t}), files.head),
        "held": (lambda t: once.hold("e" * 64, {"what": t}), lambda: [f.read_text() for f in held(folder)]),
    }


@pytest.mark.parametrize("name", ["plain", "stack file", "begun", "seen", "base", "head", "held"])
def test_there_is_what_was_or_all_that_is_new(tmp_path: Path, name: str) -> None:
    write, read = writers(tmp_path)[name]
    write("first text\n")
    first = read()
    went_well = [False]
    most = 0
    while not went_well[-1]:
        went_well.append(at_byte(most, lambda: write("another text\n")))
        assert went_well[-1] or read() == first, most
        most += 1
        assert most < 4096
    assert most > 1 and read() != first
    assert not [file for file in tmp_path.rglob("*") if file.name.endswith(".new")]


def test_a_line_of_the_audit_log_that_has_no_room_is_not_there_and_breaks_nothing(tmp_path: Path) -> None:
    log = Audit("s")
    log.append({"event": "first"})
    file = next((tmp_path / "state").rglob("s.jsonl"))
    size = file.stat().st_size
    for most in range(size, size + 400, 7):
        if at_byte(most, lambda: log.append({"event": "second"})):
            break
        assert [record["event"] for record in log.records()] == ["first"], most
    assert [record["event"] for record in log.records()] == ["first", "second"]
    log.append({"event": "third"})
    log.verify()
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["first", "second", "third"]
