"""Contents that are held for the owner: pages, digests, grants that are used once and end."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from claude_bottle.policy import once as module
from claude_bottle.policy.once import GRANT_SECONDS, HELD_SECONDS, MAX_HELD, Once, digest_of

DIGEST, PROPOSAL = digest_of(b"a content"), "p-0123456789"


@pytest.fixture
def once(tmp_path: Path) -> Once:
    store = Once(tmp_path / "once")
    store.hold(DIGEST, {"what": "a push"}, ["first page", "second\npage é\0", "third"])
    return store


def age(folder: Path, pattern: str, seconds: float) -> None:
    for file in (folder / "once").glob(pattern):
        os.utime(file, (time.time() - seconds,) * 2)


def test_pages_are_read_one_by_one(once: Once) -> None:
    held = once.held(DIGEST)
    assert held is not None
    assert (held["what"], held["excerpt"], held["pages"]) == ("a push", "first page", 3)
    assert [(once.page(DIGEST, number) or {}).get("text") for number in range(5)] == [
        None, "first page", "second\npage é\0", "third", None
    ]  # fmt: skip
    assert (once.page(DIGEST, 2) or {})["view"] == held["view"]


def test_what_is_held_without_pages_is_as_it_was(once: Once) -> None:
    other = digest_of(b"another")
    once.hold(other, {"what": "POST", "excerpt": "body", "size": 4})
    held = once.held(other)
    assert held is not None
    assert (held["excerpt"], "pages" in held) == ("body", False)
    assert once.page(other, 1) is None


def test_a_grant_is_used_once(once: Once) -> None:
    assert not once.take(DIGEST)
    assert once.grant(DIGEST, PROPOSAL)
    assert once.grant(DIGEST, PROPOSAL)
    assert once.is_granted(DIGEST)
    taken: list[bool] = []
    threads = [threading.Thread(target=lambda: taken.append(once.take(DIGEST))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(True) == 1
    assert once.grant(DIGEST, PROPOSAL)  # again after a crash: nothing is let through by it
    assert not once.is_granted(DIGEST)


@pytest.mark.parametrize("seconds", [GRANT_SECONDS + 5, -3600])
def test_a_grant_ends(once: Once, tmp_path: Path, seconds: float) -> None:
    once.grant(DIGEST, PROPOSAL)
    age(tmp_path, "*.granted", seconds)
    assert not once.is_granted(DIGEST)
    assert once.grant(DIGEST, PROPOSAL)  # the same proposal does not begin its hour again
    assert not once.take(DIGEST)
    assert once.held(DIGEST) is not None  # and may be asked for again
    assert once.grant(DIGEST, "p-abcdefabcd")
    assert once.take(DIGEST)


def test_a_grant_is_good_within_its_hour(once: Once, tmp_path: Path) -> None:
    once.grant(DIGEST, PROPOSAL)
    age(tmp_path, "*.granted", GRANT_SECONDS - 30)
    assert once.take(DIGEST)


def test_what_is_held_ends_after_a_day(once: Once, tmp_path: Path) -> None:
    age(tmp_path, "*.held", HELD_SECONDS - 60)
    assert once.held(DIGEST) is not None
    age(tmp_path, "*.held", HELD_SECONDS + 5)
    assert once.held(DIGEST) is None
    assert once.page(DIGEST, 1) is None
    assert not once.grant(DIGEST, PROPOSAL)
    once.hold(digest_of(b"another"), {})
    assert len(list((tmp_path / "once").glob("*.held"))) == 1


def test_what_is_held_is_bounded(once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MAX_HELD + 5):
        once.hold(digest_of(b"%d" % number), {})
    assert len(list((tmp_path / "once").glob("*.held"))) == MAX_HELD
    monkeypatch.setattr(module, "MAX_BYTES", 10_000)
    for number in range(5):
        once.hold(digest_of(b"large %d" % number), {}, ["x" * 4_000])
        age(tmp_path, f"{digest_of(b'large %d' % number)}.held", 10 - number)
    assert sum(file.stat().st_size for file in (tmp_path / "once").glob("*.held")) <= 10_000
    assert once.held(digest_of(b"large 4")) is not None


@pytest.mark.parametrize("wrong", ["", "x", "sha256:" + "a" * 63, "sha256:*", "../x", DIGEST + "\n"])
def test_only_digests_name_what_is_held(once: Once, wrong: str) -> None:
    assert once.held(wrong) is None
    assert once.page(wrong, 1) is None
    assert not once.is_granted(wrong)
    assert not once.take(wrong)
    with pytest.raises(ValueError, match="digest"):
        once.grant(wrong, PROPOSAL)


def test_the_command_line(once: Once, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*argv: str) -> tuple[int, object]:
        code = module.main([str(tmp_path / "once"), *argv])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    code, output = run("held", DIGEST)
    assert isinstance(output, dict)
    assert (code, output["pages"]) == (0, 3)
    code, output = run("page", DIGEST, "3")
    assert isinstance(output, dict)
    assert (code, output["page"], output["text"]) == (0, 3, "third")
    assert run("page", DIGEST, "4") == (0, None)
    assert run("held", digest_of(b"unknown")) == (0, None)
    assert run("grant", DIGEST, PROPOSAL) == (0, None)
    assert run("grant", digest_of(b"unknown"), PROPOSAL)[0] == 1
