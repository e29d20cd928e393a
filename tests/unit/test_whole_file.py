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
from claude_bottle.approvals.edit.stack_file import StackFile
from claude_bottle.approvals.held import Seen
from claude_bottle.approvals.journal import ApprovalInProgress, ApprovalJournal
from claude_bottle.host import state_files
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.once import Once
from claude_bottle.policy.proposals import FullError, Proposals
from claude_bottle.policy.record import Record, RecordFullError
from claude_bottle.policy.whole_file import write_whole
from claude_bottle.workspace.agent_files import BaseRecord
from sidecar_images.git_gate import mirror_state, open_pushes
from sidecar_images.git_gate.push_policy import Command
from sidecar_images.git_gate.remotes import Remote
from sidecar_images.proxy import put


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
        except (OSError, BottleError, RecordFullError, FullError):
            code = 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1), code
    return code == 0


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(put, "_validator", lambda _: (tmp_path / "policy", bytes))
    monkeypatch.setattr(put, "_wait", lambda _: None)
    monkeypatch.setattr(open_pushes, "RUN", tmp_path)


def put_policy(text: str) -> None:
    try:
        put.put("routes", text.encode())
    except ValueError as error:
        raise OSError(str(error)) from error


def begun(text: str) -> ApprovalInProgress:
    return ApprovalInProgress("p1", {"kind": "routes"}, "yes", "owner", "", text)


def held(folder: Path) -> list[Path]:
    return sorted((folder / "once").glob("*.held"))


def writers(folder: Path) -> dict[str, tuple[Callable[[str], object], Callable[[], object]]]:
    """Name to what writes a text, and what reads the outcome back."""
    stack, journal, seen = StackFile(folder / "Pulumi.s.yaml"), ApprovalJournal("s"), Seen("s")
    stack.path.write_text("config: {}\n")
    base, once, plain = BaseRecord("s"), Once(folder / "once"), folder / "plain"
    files = AuditFiles(folder, "s")
    return {
        "plain": (lambda t: write_whole(plain, t.encode()), lambda: plain.read_text() if plain.exists() else None),
        "stack file": (lambda t: stack.replace(stack.read(), t), stack.read),
        "begun": (lambda t: journal.begin(begun(t)), journal.in_progress),
        "seen": (lambda t: seen.add("d" * 64, len(t)), lambda: seen.of("d" * 64)),
        "base": (lambda t: base.write("home", {"a": t}), lambda: base.read("home")),
        "head": (lambda t: files.write_head({"seq": len(t), "hash": t}), files.head),
        "policy": (put_policy, lambda: (folder / "policy").read_text()),
        "push note": (
            lambda t: open_pushes.begin(Remote("r", "https://a.example.com/r"), [Command("0" * 40, "1" * 40, t)]),
            lambda: sorted(file.read_text() for file in open_pushes.folder().glob("*.json")),
        ),
        "held": (lambda t: once.hold("e" * 64, {"what": t}), lambda: [f.read_text() for f in held(folder)]),
    }


@pytest.mark.parametrize(
    "name", ["plain", "stack file", "begun", "seen", "base", "head", "policy", "push note", "held"]
)
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
    for most in range(size, size + 400):
        if at_byte(most, lambda: log.append({"event": "second"})):
            break
        assert [record["event"] for record in log.records()] == ["first"], most
    assert [record["event"] for record in log.records()] == ["first", "second"]
    log.append({"event": "third"})
    log.verify()
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["first", "second", "third"]


def test_a_line_of_a_record_that_has_no_room_is_not_there_and_breaks_nothing(tmp_path: Path) -> None:
    record = Record(tmp_path / "record")
    for number in (1, 2):
        file = tmp_path / "record" / f"{1:015d}.jsonl"
        size = file.stat().st_size if file.exists() else 0
        for most in range(size, size + 200):
            went_well = at_byte(most, lambda: record.append({"what": "a line"}))
            whole = file.read_bytes() if file.exists() else b""
            assert whole.count(b"\n") == number - 1 + went_well, most
            assert went_well or len(whole) == size, most
            if went_well:
                break
        assert most > size
    assert record.append({"what": "more"}) == 3
    assert [json.loads(line)["n"] for line in list(record.read("", 1))[1:]] == [1, 2, 3]


# SQLite writes pages, and parts of a journal that begin at sectors: https://sqlite.org/atomiccommit.html, 3.5.
EDGES = sorted(edge + near for edge in range(0, 1 << 16, 512) for near in (-1, 0, 1, 12) if edge + near >= 0)


def test_a_proposal_that_has_no_room_is_not_filed_and_says_so(tmp_path: Path) -> None:
    store = Proposals(tmp_path / "p.db")
    kept = store.add("t", {"n": 1}, "w", {})
    for most in EDGES:
        if at_byte(most, lambda: store.add("t", {"n": 2}, "w" * 3000, {})):
            break
        assert [proposal.id for proposal in store.all()] == [kept.id], most
    assert 8192 < most < 1 << 15
    assert len(store.all()) == 2


def test_a_verdict_or_a_note_that_has_no_room_is_not_given_and_says_so(tmp_path: Path) -> None:
    store = Proposals(tmp_path / "p.db")
    kept = store.add("t", {"n": 1}, "w", {})
    for write in (
        lambda: store.note(kept.id, "n" * 3000),
        lambda: store.decide(kept.id, "approved", "r" * 3000),
    ):
        before = store.get(kept.id)
        for most in EDGES:
            if at_byte(most, write):
                break
            assert store.get(kept.id) == before, most
        assert 8192 < most < 1 << 15
        assert store.get(kept.id) != before


def test_a_state_that_has_no_room_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = tmp_path / "s.json", tmp_path / "s.json.bak"
    bad.write_text("{")
    good.write_text(json.dumps({"version": 3, "checkpoint": {"x": "x" * 100}}))
    monkeypatch.setattr(state_files, "state_file", lambda _: bad)
    monkeypatch.setattr(state_files, "candidates", lambda _: [good])
    for most in range(1000):
        if at_byte(most, lambda: state_files.restore("s")):
            break
        assert bad.read_text() == "{", most
    assert most == good.stat().st_size
    assert bad.read_text() == good.read_text()


def test_a_mirrors_state_is_the_last_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, first, new = Remote("r", "https://a.example.com/r"), {"started": 1}, {"started": 2, "error": "x" * 60}
    monkeypatch.setattr(mirror_state, "_files", lambda _: (tmp_path / "kept", tmp_path / "beside"))
    mirror_state.keep(remote, first)
    for most in range(200):
        assert at_byte(most, lambda: mirror_state.keep(remote, new))  # it raises nothing
        if mirror_state.read(remote) == new:
            break
        assert mirror_state.read(remote) == first, most
    assert most > 60
