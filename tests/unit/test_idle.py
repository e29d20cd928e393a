"""How long a connection may be silent: hours, by the policy's key, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mitmproxy import master, options
from mitmproxy.proxy import mode_specs

from addons.http import transports
from addons.pipelock.addon import Pipelock
from addons.pipelock.core import Policy, PolicyError
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.policy.idle import IDLE_SECONDS, LONGEST, checked_idle

FILE = render(Manifest())


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[transports.Handler]:
    """A handler for a connection as mitmproxy makes one."""
    taken: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    taken = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda *pair: taken.set_result(pair), "127.0.0.1", 0)
    _, client = await asyncio.open_connection(*server.sockets[0].getsockname())
    reader, writer = await taken
    settings = options.Options()
    handler = transports.Handler(
        master.Master(settings, event_loop=asyncio.get_running_loop()),
        reader,
        writer,
        settings,
        mode_specs.ProxyMode.parse("regular"),
    )
    try:
        yield handler
    finally:
        client.close()
        writer.close()
        server.close()


async def ends_after(silence: float) -> bool:
    """Whether mitmproxy's own watchdog ends a connection that has been silent for so long."""
    ended = asyncio.Event()

    async def end() -> None:
        ended.set()

    async with connected() as handler:
        watchdog = handler.timeout_watchdog
        watchdog.callback = end
        watchdog.last_activity = time.time() - silence
        watching = asyncio.create_task(watchdog.watch())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 0.3)
        watching.cancel()
    return ended.is_set()


def test_hours_without_a_byte_pass_and_more_do_not() -> None:
    assert not asyncio.run(ends_after(11 * 60))
    assert not asyncio.run(ends_after(IDLE_SECONDS - 60))
    assert asyncio.run(ends_after(IDLE_SECONDS + 1))


def test_the_kernel_asks_who_is_silent() -> None:
    async def asked() -> int:
        async with connected() as handler:
            transports._keep_alive(handler.transports[handler.client].writer)
            taken: socket.socket = handler.transports[handler.client].writer.get_extra_info("socket")  # type: ignore[union-attr, assignment]
            return taken.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    assert asyncio.run(asked()) == 1


def test_the_policys_key_says_how_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"idle_timeout_seconds: {IDLE_SECONDS}" in FILE
    assert Policy.parse(FILE.encode()).idle_seconds == IDLE_SECONDS
    short = FILE.replace(f"idle_timeout_seconds: {IDLE_SECONDS}", "idle_timeout_seconds: 90")
    (tmp_path / "pipelock.yaml").write_text(short)
    pipelock = Pipelock(tmp_path / "pipelock.yaml", tmp_path)
    pipelock._file.poll()
    monkeypatch.setattr(transports.Handler, "idle_seconds", pipelock._idle_seconds)
    assert asyncio.run(ends_after(91))
    assert not asyncio.run(ends_after(80))


@pytest.mark.parametrize("value", [0, -1, LONGEST + 1, "600", True, None])
def test_beyond_a_second_and_a_day_a_policy_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="idle_timeout_seconds"):
        checked_idle(value)
    with pytest.raises(PolicyError):
        Policy.parse(FILE.replace(f"idle_timeout_seconds: {IDLE_SECONDS}", f"idle_timeout_seconds: {value!r}").encode())
