"""What a push may do, what its owner is shown of it, what is on record of it, and the advice when it is refused."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from gate_repository import LEAK, Repository, repository

from claude_bottle.policy.once import Once
from claude_bottle.policy.record import Record
from sidecar_images.git_gate import journal, mirror, receive
from sidecar_images.git_gate.advice import how_to_remove
from sidecar_images.git_gate.push_policy import Command, option_refusals, refusals
from sidecar_images.git_gate.remotes import Remote
from sidecar_images.git_gate.scanning import scan, view
from sidecar_images.git_gate.scanning.work import TooMuch, Work

__all__ = ["repository"]

ZERO = "0" * 40
A, B = "a" * 40, "b" * 40


@pytest.mark.parametrize("ref", ["refs/tags/v1.0", "refs/notes/commits", "refs/other/1"])
def test_what_is_below_no_branch_does_not_move_without_force(ref: str) -> None:
    """`git tag -f v1.0; git push --force origin v1.0` onto a descendant is no fast-forward of anything."""

    def check(force: bool, command: Command) -> list[str]:
        old = "" if command.creates else command.old
        return refusals(
            Remote("p", "x", branches=("*", "refs/*"), force=force), [command], lambda *_: True, lambda _: old
        )

    assert "does not allow force" in check(False, Command(A, B, ref))[0]
    assert check(True, Command(A, B, ref)) == []
    assert check(False, Command(ZERO, B, ref)) == []
    assert check(False, Command(A, B, "refs/heads/v1.0")) == []


def test_tags_are_not_pushed_unless_the_owner_names_them() -> None:
    command = [Command(ZERO, B, "refs/tags/v1")]
    assert "the owner allows pushes to * only" in refusals(Remote("p", "x"), command, lambda *_: True, lambda _: "")[0]
    assert refusals(Remote("p", "x", branches=("*", "refs/tags/v*")), command, lambda *_: True, lambda _: "") == []


def test_no_push_brings_refs_without_number() -> None:
    commands = [Command(ZERO, B, f"refs/heads/b{number}") for number in range(1_001)]
    assert refusals(Remote("p", "x"), commands, lambda *_: True, lambda _: "") == [
        "1001 refs in one push, 1000 are allowed"
    ]


@pytest.mark.parametrize(
    ("option", "allowed"),
    [
        ("ci.skip", True), ("ci.skip=1", False), ("ci.skipped", False), ("CI.skip", False), ("", False),
        ("merge_request.title=any words", True), ("merge_request.title=", True), ("merge_request.title", False),
        ("merge_request.titles=x", False), ("merge_request.title=a\nci.other", False), ("x ci.skip", False),
        ("merge_request.title=" + "x" * 500, False), ("merge_request.title=\x1b[2J", False),
    ],
)  # fmt: skip
def test_push_options_are_let_through_by_name(option: str, allowed: bool) -> None:
    problems = option_refusals(("ci.skip", "merge_request.title=*"), [option])
    assert (problems == []) is allowed


def test_no_push_option_is_let_through_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [Command(ZERO, B, "refs/heads/x")]
    problems = refusals(Remote("p", "x"), command, lambda *_: True, lambda _: "", ["ci.skip"])
    assert problems == ["push option 'ci.skip': the owner allows none"]
    assert option_refusals(("a=*",), ["a=1"] * 21) == ["21 push options, 20 are allowed"]
    monkeypatch.setenv("GIT_PUSH_OPTION_COUNT", "2")
    monkeypatch.setenv("GIT_PUSH_OPTION_0", "one")
    monkeypatch.setenv("GIT_PUSH_OPTION_1", "two")
    assert receive.push_options() == ["one", "two"]


@pytest.mark.parametrize("options", [(), ("ci.skip",)])
def test_a_mirror_offers_push_options_only_where_some_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setattr(mirror, "RUN", tmp_path)
    monkeypatch.setattr(Remote, "mirror", property(lambda self: tmp_path / f"{self.name}.git"))
    remote = Remote("p", "x", push_options=options)
    mirror.prepare(remote)
    said = mirror.git("-C", str(remote.mirror), "config", "receive.advertisePushOptions").strip()
    assert said == ("true" if options else "false")


def test_a_client_that_sends_options_unasked_is_refused(repository: Repository, tmp_path: Path) -> None:
    """gitprotocol-pack(5), push: the capability among those of the first command, the options behind a flush."""
    tip = repository.git("rev-parse", "refs/kept")
    subprocess.run(["git", "clone", "-q", "--bare", str(repository.folder), str(tmp_path / "bare")], check=True)
    subprocess.run(["git", "fetch", "-q", str(repository.folder), "refs/kept"], cwd=tmp_path / "bare", check=True)
    pack = subprocess.run(["git", "pack-objects", "--stdout", "-q"], input=b"", capture_output=True, check=True).stdout

    def line(text: bytes) -> bytes:
        return b"%04x" % (len(text) + 4) + text

    for offered in ("true", "false"):
        ref = f"refs/heads/{offered}"
        config = ["-c", f"receive.advertisePushOptions={offered}"]
        command = f"{ZERO} {tip} {ref}\0report-status push-options".encode()
        said = line(command) + b"0000" + line(b"an option") + b"0000" + pack
        subprocess.run(
            ["git", *config, "receive-pack", str(tmp_path / "bare")], input=said, capture_output=True, check=False
        )
        refs = subprocess.run(["git", "show-ref"], cwd=tmp_path / "bare", capture_output=True, text=True, check=False)
        assert (ref in refs.stdout) is (offered == "true"), refs


def shown(*commands: Command, options: tuple[str, ...] = ()) -> str:
    return "".join(view.pages(Work(), list(commands), list(options)))


def new(tip: str, ref: str = "refs/heads/x") -> Command:
    return Command(ZERO, tip, ref)


def test_a_review_shows_what_a_merge_adds_of_its_own(repository: Repository) -> None:
    base = repository.git("rev-parse", "HEAD")
    one = repository.commit({"one": b"1"})
    repository.git("checkout", "-q", base)
    repository.commit({"two": b"2"})
    repository.git("merge", "-q", "--no-commit", one)
    merge = repository.commit({"evil": b"added by the merge"}, "merge")
    text = shown(new(merge))
    assert text.count("+added by the merge") == 2  # from either parent
    assert f"changes of {merge} from its parent {one}" in text


def test_a_review_shows_tags_with_their_words_and_what_they_tag(repository: Repository) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"the words of a blob\n")
    repository.git("tag", "-a", "inner", "-m", "words of the inner tag", blob)
    repository.git("tag", "-a", "outer", "-m", "words of the outer tag", "inner")
    tag = repository.git("rev-parse", "refs/tags/outer")
    repository.git("tag", "-d", "inner", "outer")
    text = shown(new(tag, "refs/tags/v1"))
    for words in ("words of the outer tag", "words of the inner tag", "the words of a blob"):
        assert words in text
    (repository.folder / "in a tree").write_text("content in a tagged tree\n")
    repository.git("add", "-A")
    assert "+content in a tagged tree" in shown(new(repository.git("write-tree"), "refs/tags/tree"))


def test_a_review_shows_binary_hidden_and_long_contents(repository: Repository) -> None:
    files = {
        ".gitattributes": b"* -diff -text\nsecret.txt binary\n", "nul": b"before\0after\n", "secret.txt": b"not hidden\n",
        "long": b"".join(b"line %d\n" % number for number in range(20_000)), "esc": b"a\x1b[2Jb\n",
        "latin": b"caf\xe9\n", "bidi": "a\u202eb\n".encode(),
    }  # fmt: skip
    tip = repository.commit(files, "message\n\nwith a body")
    (repository.folder / "link").symlink_to("/etc/passwd")
    (repository.folder / "nul").chmod(0o755)
    tip = repository.commit({}, "modes")
    text = shown(new(tip))
    for words in (
        "+before\\x00after", "+not hidden", "+line 19999", "a\\x1b[2Jb", "caf\\xe9", "a\\u202eb", "with a body",
        "new mode 100755", "new file mode 120000", "+/etc/passwd", "author a <a@example.com>",
    ):  # fmt: skip
        assert words in text, words
    pages = view.pages(Work(), [new(tip)], [])
    assert len(pages) > 3
    assert all(len(page) <= 60_000 for page in pages)


def test_a_review_shows_what_a_rewind_drops(repository: Repository) -> None:
    base = repository.git("rev-parse", "HEAD")
    dropped = repository.commit({"kept": b"gone with it\n"}, "words that are lost")
    repository.git("update-ref", "refs/heads/main", dropped)
    repository.git("checkout", "-q", base)
    tip = repository.commit({"other": b"other\n"}, "instead")
    text = shown(Command(dropped, tip, "refs/heads/main"))
    assert "1 commits are dropped" in text
    assert "words that are lost" in text
    assert "-gone with it" in text
    assert "+other" in text
    text = shown(Command(dropped, ZERO, "refs/heads/main"))
    assert "it is deleted" in text
    assert "words that are lost" in text


def test_a_review_shows_a_push_of_what_the_upstream_has_elsewhere(repository: Repository) -> None:
    base = repository.git("rev-parse", "HEAD")
    side = repository.commit({"side": b"from another branch\n"}, "side")
    repository.git("update-ref", "refs/heads/side", side)
    repository.git("update-ref", "refs/heads/main", base)
    text = shown(Command(base, side, "refs/heads/main"))
    assert "+from another branch" in text
    assert f"commit {side}, which the upstream has already" in text
    assert "side" in shown(new(side, "refs/heads/again"))


def test_a_review_shows_push_options_and_has_bounds(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    tip = repository.commit({"a": b"1\n"})
    assert shown(new(tip), options=("ci.variable=A=1",)).startswith("push option: ci.variable=A=1\n")
    many = [new(tip, f"refs/heads/b{number}") for number in range(300)]
    with pytest.raises(TooMuch, match="300 refs in a push under review, 50 are allowed"):
        view.pages(Work(), many, [])
    fifty = "".join(view.pages(Work(), many[:50], []))
    assert fifty.count("\n+1\n") == 1  # each commit once
    monkeypatch.setattr(view, "_MOST", 100)
    with pytest.raises(TooMuch, match="to be reviewed in one push"):
        view.pages(Work(), [new(tip)], [])


def test_the_digest_is_of_options_and_of_what_is_shown() -> None:
    remote, commands = Remote("p", "x"), [Command(A, B, "refs/heads/x")]
    digests = [
        receive.push_digest(remote, commands), receive.push_digest(remote, commands, ["a"]),
        receive.push_digest(remote, commands, ["a", "b"]), receive.push_digest(remote, commands, [], ["a"]),
        receive.push_digest(remote, [*commands, Command(ZERO, B, "refs/heads/y")]),
    ]  # fmt: skip
    assert len(set(digests)) == len(digests)
    assert receive.push_digest(remote, commands, ["a"]) == digests[1]


def test_a_push_under_review_is_held_in_pages(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "RUN", tmp_path)
    tip = repository.commit({"long": b"a line\n" * 30_000})
    remote = Remote("p", "x", review=True)
    with pytest.raises(receive.Refused, match="review") as refused:
        receive._reviewed(remote, [new(tip)], [], Work())
    digest = refused.value.lines[1].rpartition("=")[2]
    once = Once(tmp_path / "once")
    held = once.held(digest)
    assert held is not None
    assert held["pages"] == 5  # 30,000 lines of 8 characters, and the rest of it
    texts = [str((once.page(digest, number) or {})["text"]) for number in range(1, 6)]
    assert once.page(digest, 6) is None
    assert texts[0] == held["excerpt"]
    assert "".join(texts).count("+a line\n") == 30_000
    assert once.grant(digest, "p-0123456789")
    assert receive._reviewed(remote, [new(tip)], [], Work()) == digest
    with pytest.raises(receive.Refused, match="review"):
        receive._reviewed(remote, [new(tip)], ["ci.skip"], Work())


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
def test_a_record_is_whole_however_long_it_is(letter: str) -> None:
    refs = [f"refs/heads/{letter * 300}{number}" for number in range(300)]
    records = journal.records("push", "p", "accepted", refs=refs, commits=7, objects=9)
    assert [ref for record in records for ref in record["refs"]] == refs
    assert len(records) > 1
    assert [record["piece"] for record in records] == [f"{n} of {len(records)}" for n in range(1, len(records) + 1)]
    for record in records:
        assert len(json.dumps(record)) < 16_000
        assert (record["remote"], record["verdict"], record["commits"]) == ("p", "accepted", 7)
    (one,) = journal.records("push", "p", "refused", reason="policy", details=["a", "b"])
    assert one == {
        "part": "git-gate", "event": "push", "remote": "p", "verdict": "refused", "reason": "policy", "details": ["a", "b"]
    }  # fmt: skip
    long = journal.records("push", "p", "refused", reason="r" * 50_000)
    assert "".join(part for record in long for part in record["reason"]) == "r" * 50_000


def test_a_verdict_is_kept_though_nobody_reads_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "j"))
    monkeypatch.setattr(journal, "RECORD", tmp_path / "record")
    monkeypatch.setattr(journal, "_PATIENCE", 0.01)
    journal.keep("push", "p", "forwarding", refs=["a"])  # nobody is there
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(journal.SOCKET)
        for _ in range(50):  # nobody reads
            journal.keep("push", "p", "forwarding", refs=["x" * 4_000] * 8)
    head, *lines = (json.loads(line) for line in Record(journal.RECORD).read("", 1))
    assert head["next"] == 1 + len(lines)
    assert sum(len(line["refs"]) for line in lines) == 401
    assert [line["n"] for line in lines] == list(range(1, 1 + len(lines)))


def test_a_push_without_a_record_does_not_go(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "RUN", tmp_path)
    (tmp_path / "file").write_text("in the record's place")
    monkeypatch.setattr(journal, "RECORD", tmp_path / "file")
    monkeypatch.setattr(receive, "forward", lambda *_: pytest.fail("it was forwarded"))
    tip = repository.commit({"a": b"1"})
    with pytest.raises(receive.Refused, match="journal"):
        receive.pre_receive(Remote("p", "x"), f"{ZERO} {tip} refs/heads/x\n", os.getppid())


@pytest.mark.parametrize("still_there", [True, False])
def test_the_advice_is_followed(repository: Repository, still_there: bool) -> None:
    """A secret on a new branch: what the lines say, and nothing else, is done; then the push is clean."""
    clean = repository.commit({"a": b"1"}, "clean")
    bad = repository.commit({"src/config.py": f"key = '{LEAK}'\n".encode(), "b": b"2"}, "with a secret")
    repository.commit({"c": b"3"}, "later")
    if not still_there:
        repository.commit({"src/config.py": b"key = None\n"}, "taken out again")
    tip = repository.git("rev-parse", "HEAD")
    result = scan.look(Remote("p", "x"), [tip], ["refs/heads/topic"])
    lines = how_to_remove(Work(), result.secrets, [tip])
    text = "\n".join(lines)
    assert f"git reset --soft {clean[:12]}" in text
    assert bad[:12] in text
    assert "--root" not in text
    assert " -i " not in text
    for line in lines:
        if line.startswith("  (remove the secret"):
            (repository.folder / "src/config.py").write_text("key = None\n")
        elif line.startswith("  "):
            repository.git("-c", f"alias.run=!export GIT_EDITOR=false; {line}", "run")
    tip = repository.git("rev-parse", "HEAD")
    again = scan.look(Remote("p", "x"), [tip], ["refs/heads/topic"])
    assert again.secrets == []
    assert repository.git("rev-parse", "HEAD^") == clean
    names = repository.git("ls-tree", "-r", "--name-only", "HEAD").split()
    assert names == ["README", "a", "b", "c", "src/config.py"]


def test_the_advice_for_a_first_commit_a_tag_and_a_message(repository: Repository) -> None:
    tree = repository.git("rev-parse", f"{repository.commit({'a': LEAK.encode()})}^{{tree}}")
    tip = repository.git("commit-tree", tree, "-m", "first of all")
    result = scan.look(Remote("p", "x"), [tip], ["refs/heads/x"])
    assert "  git update-ref -d HEAD" in how_to_remove(Work(), result.secrets, [tip])
    repository.git("checkout", "-q", "refs/kept")
    said = repository.commit({"b": b"1"}, f"use {LEAK}")
    result = scan.look(Remote("p", "x"), [said], ["refs/heads/x"])
    kept = repository.git("rev-parse", "refs/kept")
    assert f"  git reset --soft {kept[:12]}" in how_to_remove(Work(), result.secrets, [said])
