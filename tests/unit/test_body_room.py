"""Room for bodies is given back however a request ends, nobody waits for himself, and what waits is judged all along."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.layers.http._events import RequestProtocolError, ResponseProtocolError
from mitmproxy.test import taddons
from streams import DrivenStream

from addons.pipelock.addon import Pipelock
from addons.pipelock.bodies import beside
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.policy.held_budget import LARGE_POOL, SMALL_POOL, STEP

MB = 1 << 20
WORDS = b"some words of a long text, and more of them. "


def policy(*allow: str, max_body_mb: int = 1) -> str:
    section = {"allow": list(allow), "dlp": {"max_body_mb": max_body_mb}}
    return render(Manifest.model_validate({"pipelock": section}))


@pytest.fixture
def drive(tmp_path: Path) -> Callable[..., None]:
    def run(test: Callable[[Pipelock, Any], Coroutine[Any, Any, None]], max_body_mb: int = 1) -> None:
        async def lookup(host: str, port: int, **_: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.5", port))]

        async def with_context() -> None:
            (tmp_path / "pipelock.yaml").write_text(policy("open.example.org", max_body_mb=max_body_mb))
            addon = Pipelock(tmp_path / "pipelock.yaml", tmp_path)
            addon._file.poll()
            addon._names.lookup = lookup
            with taddons.context(addon, Proxyserver()) as context:
                await test(addon, context.options)

        asyncio.run(with_context())

    return run


async def streaming(addon: Pipelock, options: Any, *, size: int = 2 * MB + 1) -> DrivenStream:
    """A request whose body has no length, and of which more has come than is held."""
    driven = DrivenStream(addon, options)
    await driven.begin(transfer_encoding="chunked")
    text = WORDS * (size // len(WORDS) + 1)
    for start in range(0, size, STEP):
        await driven.data(text[start : start + STEP])
    assert driven.body
    assert addon._room._budget.held
    return driven


@pytest.mark.parametrize("how", ["ends", "is cut off", "is not waited for"])
def test_an_answer_before_the_end_of_the_request_keeps_no_room(drive: Callable[..., None], how: str) -> None:
    async def test(addon: Pipelock, options: Any) -> None:
        driven = await streaming(addon, options)
        await driven.answer()
        if how == "ends":
            await driven.end()
        elif how == "is cut off":
            await driven.feed(RequestProtocolError(1, "the client has gone"))
            assert isinstance(driven.upstream[-1], RequestProtocolError)
        else:
            await driven.feed(ResponseProtocolError(1, "the upstream has gone"))
        assert addon._room._budget.held == 0

    drive(test)


def test_a_body_that_has_grown_beyond_what_is_held_does_not_wait_for_itself(
    drive: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the large pool alone, and is asked for the room of a stream."""
    monkeypatch.setattr("addons.http.body_room._PATIENCE_OF_STREAMS", 0.1)

    async def test(addon: Pipelock, options: Any) -> None:
        driven = await streaming(addon, options, size=(LARGE_POOL // MB + 1) * MB)
        run = b"A" * STEP  # a run of base64, which is waited for
        for _ in range(4):
            await driven.data(run)
        await driven.data(b" ")
        await driven.end()
        assert len(driven.body) > LARGE_POOL + len(run)
        assert addon._room._budget.held > 0  # until it is answered
        await driven.answer()
        assert addon._room._budget.held == 0

    drive(test, LARGE_POOL // MB)


def test_others_have_their_turn_while_a_grown_body_is_looked_at(drive: Callable[..., None]) -> None:
    async def test(addon: Pipelock, options: Any) -> None:
        driven = DrivenStream(addon, options)
        await driven.begin(transfer_encoding="chunked")
        body = WORDS * (4 * MB // len(WORDS))
        await driven.data(body)
        await driven.data(body)
        assert driven.hooks.count("room") >= 2 * len(body) // STEP - 1  # at which the event loop goes on with others
        await driven.end()
        assert driven.body == 2 * body

    drive(test)


async def waiting_for_room(addon: Pipelock, options: Any, length: int) -> tuple[DrivenStream, asyncio.Task[None]]:
    """A request that waits because others hold all of the small pool."""
    for number in range(SMALL_POOL // MB):
        assert await addon._room._budget.hold(str(number), MB)
    driven = DrivenStream(addon, options)
    waiting = asyncio.create_task(driven.begin(content_length=str(length)))
    while not addon._room._budget._small._waiting:
        assert not waiting.done()
        await asyncio.sleep(0)
    return driven, waiting


def test_a_policy_that_narrows_ends_what_waits_for_room(drive: Callable[..., None], tmp_path: Path) -> None:
    async def test(addon: Pipelock, options: Any) -> None:
        driven, waiting = await waiting_for_room(addon, options, length=5)
        (tmp_path / "pipelock.yaml").write_text(policy("other.example.org"))
        await addon._watcher.look()
        addon._room._budget.release("0")
        await waiting
        await driven.data(b"hello")
        await driven.end()
        assert driven.upstream == []

    drive(test)


def test_a_change_of_policy_waits_for_no_body(drive: Callable[..., None], tmp_path: Path) -> None:
    """All threads of the loop look at bodies of the agent."""
    done = threading.Event()

    async def test(addon: Pipelock, _: Any) -> None:
        bodies = [asyncio.create_task(beside(0, done.wait, 20)) for _ in range(64)]
        await asyncio.sleep(0)
        (tmp_path / "pipelock.yaml").write_text(policy("other.example.org"))
        async with asyncio.timeout(10):
            await addon._watcher.look()
        assert not done.is_set()
        done.set()
        await asyncio.gather(*bodies)

    drive(test)


def test_small_pieces_that_wait_are_put_together(drive: Callable[..., None]) -> None:
    """Each would take some 200 bytes more: an HTTP/2 stream's first window of them is 13 MB."""

    async def test(addon: Pipelock, options: Any) -> None:
        driven, waiting = await waiting_for_room(addon, options, length=50000)
        body = (WORDS * 2000)[:50_000]
        for byte in body:
            await driven.data(bytes([byte]))
        assert len(driven.stream._paused_event_queue) < 20
        addon._room._budget.release("0")
        await waiting
        await driven.end()
        assert driven.body == body

    drive(test)
