"""A policy that put.py could not bring into force: what is on disk, in the process, and in the message."""

from __future__ import annotations

import errno
import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from addons.frame.reload import ReloadingFile
from claude_bottle.policy import whole_file
from sidecar_images.proxy import put


def parsed(data: bytes) -> bytes:
    """The running proxy's own check, stricter than that of put.py."""
    if b"bad" in data:
        raise ValueError("not a policy")
    return data


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    target = tmp_path / "routes.json"
    target.write_bytes(b"old")
    monkeypatch.setattr(put, "_validator", lambda _: (target, lambda data: data))
    monkeypatch.setattr(put, "STATUS", tmp_path / "status.json")
    monkeypatch.setattr(put, "WAIT", 0.2)
    return target


@pytest.fixture
def proxy(target: Path) -> ReloadingFile[bytes]:
    """A running proxy's policy file, which the test polls."""
    file: ReloadingFile[bytes] = ReloadingFile(target, parsed, put.STATUS)
    file.poll()
    return file


def while_polling(proxy: ReloadingFile[bytes], work: Callable[[], object]) -> None:
    ended = threading.Event()

    def poll() -> None:
        while not ended.is_set():
            proxy.poll()
            time.sleep(0.01)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        work()
    finally:
        ended.set()
        thread.join()


def test_a_policy_is_in_force_when_put_returns(proxy: ReloadingFile[bytes], target: Path) -> None:
    def work() -> None:
        assert put.put("routes", b"new") == hashlib.sha256(b"new").hexdigest()
        assert (proxy.current, target.read_bytes()) == (b"new", b"new")

    while_polling(proxy, work)


def test_a_policy_that_the_proxy_refuses_leaves_the_old_one(proxy: ReloadingFile[bytes], target: Path) -> None:
    def work() -> None:
        with pytest.raises(ValueError, match="not a policy"):
            put.put("routes", b"bad")

    while_polling(proxy, work)
    proxy.poll()
    assert (proxy.current, target.read_bytes(), proxy.error) == (b"old", b"old", None)


def test_a_policy_that_is_not_taken_up_in_time_does_not_apply_at_the_next_start(
    proxy: ReloadingFile[bytes], target: Path
) -> None:
    words = "the old one was restored and is in force, but the new one may have been in force for a short time before"
    with pytest.raises(ValueError, match=rf"did not take up the new policy within 0 s .*; {words}\Z"):
        put.put("routes", b"new")
    assert target.read_bytes() == b"old"
    started: ReloadingFile[bytes] = ReloadingFile(target, parsed)
    started.poll()
    assert started.current == b"old"


def test_a_proxy_that_takes_up_the_new_policy_too_late_returns_to_the_old_one(
    proxy: ReloadingFile[bytes], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the new file and still compiles it when the old one is restored."""
    write, offers = whole_file.write_whole, []

    def read_by_the_proxy(file: Path, data: bytes, mode: int, still: Callable[[], None] | None = None) -> None:
        write(file, data, mode, still)
        if data == b"new":
            offers.append(proxy.offered())

    monkeypatch.setattr(whole_file, "write_whole", read_by_the_proxy)
    with pytest.raises(ValueError, match="the old one was restored"):
        put.put("routes", b"new")
    (offer,) = offers
    assert offer is not None
    proxy.take(proxy.parsed(offer))
    assert proxy.current == b"new"
    assert proxy.poll()
    assert (proxy.current, target.read_bytes()) == (b"old", b"old")


def test_a_policy_that_is_taken_up_at_the_last_moment_stays(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(b"new").hexdigest()
    put.STATUS.write_text(json.dumps({"live": digest, "offered": digest, "error": None}))
    monkeypatch.setattr(put, "WAIT", 0)
    assert put.put("routes", b"new") == digest
    assert target.read_bytes() == b"new"


def test_a_first_policy_stays_for_a_proxy_that_starts_slowly(target: Path) -> None:
    target.unlink()
    words = "so the new one stays on disk, and the proxy applies it when it can"
    for why in ("there is no other one", "it was on disk already"):
        with pytest.raises(ValueError, match=f"{why}, {words}"):
            put.put("routes", b"new")
        assert target.read_bytes() == b"new"


def test_an_old_policy_that_cannot_be_restored_is_reported(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = whole_file.write_whole

    def full(file: Path, data: bytes, mode: int, still: Callable[[], None] | None = None) -> None:
        if data == b"old":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, data, mode, still)

    monkeypatch.setattr(whole_file, "write_whole", full)
    with pytest.raises(ValueError, match=r"cannot be restored \(No space left on device\), so the new one stays"):
        put.put("routes", b"new")
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("content", [b"new", b"bad"])
def test_a_put_that_goes_on_after_its_owner_has_left_takes_back_no_later_one(
    proxy: ReloadingFile[bytes], target: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """`docker exec` does not end the command in the container when its client is killed (moby/moby#35703)."""
    monkeypatch.setattr(put, "WAIT", 1.0)
    ended: list[str] = []

    def left() -> None:
        try:
            put.put("routes", content)
        except ValueError as error:
            ended.append(str(error))

    thread = threading.Thread(target=left)
    thread.start()
    while target.read_bytes() != content:
        time.sleep(0.01)
    target.write_bytes(b"narrow")
    if content == b"bad":
        digest = hashlib.sha256(content).hexdigest()
        put.STATUS.write_text(json.dumps({"live": "", "offered": digest, "error": "not a policy"}))
    thread.join()
    proxy.poll()
    assert (proxy.current, target.read_bytes()) == (b"narrow", b"narrow")
    assert ended[0].endswith("; another policy was put since, and stays")
