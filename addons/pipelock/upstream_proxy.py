"""Dials through the forward proxy of the owner's network (claude_bottle/policy/forward_proxy.py), over HTTP/1.1."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from claude_bottle.policy.forward_proxy import HEAD_LIMIT, SECONDS, check_answer, connect_head
from claude_bottle.policy.names.files import PIPELOCK_ETC

LOGIN = Path(PIPELOCK_ETC) / "upstream-proxy.login"  # user:password, if the proxy requires one


class Dialer:
    """Replaces the event loop's create_connection. vet: raises OSError for a name that may not be dialled.

    proxy: the forward proxy in force; None for a direct connection.
    """

    def __init__(self, proxy: Callable[[], tuple[str, int] | None], vet: Callable[[str, int], Awaitable[None]]) -> None:
        self._proxy, self._vet = proxy, vet

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Replace create_connection of this loop."""
        self._loop, self._direct = loop, loop.create_connection
        loop.create_connection = self.create_connection  # type: ignore[assignment, method-assign]

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        """Like the loop's method. Raises OSError if the proxy opens no tunnel."""
        proxy = self._proxy()
        if proxy is None or host is None:
            return await self._direct(factory, host, port, **options)
        await self._vet(str(host), int(port))
        connected = await self._tunnel(proxy, str(host), int(port))
        try:
            return await self._direct(factory, sock=connected)
        except BaseException:
            connected.close()
            raise

    async def _tunnel(self, proxy: tuple[str, int], host: str, port: int) -> socket.socket:
        name = f"{proxy[0]}:{proxy[1]}"
        try:
            async with asyncio.timeout(SECONDS):
                connected = await self._dial(proxy)
                try:
                    await self._loop.sock_sendall(connected, connect_head(host, port, _login()))
                    check_answer(await self._head(connected), name, host)
                    return connected
                except BaseException:
                    connected.close()
                    raise
        except TimeoutError:
            raise OSError(f"the forward proxy {name} did not answer within {SECONDS:g} seconds") from None

    async def _dial(self, proxy: tuple[str, int]) -> socket.socket:
        # The owner's own address may be an internal one. It is not the agent's choice, so it is not vetted.
        addresses = await self._loop.run_in_executor(None, lambda: socket.getaddrinfo(*proxy, type=socket.SOCK_STREAM))
        last = OSError(f"the forward proxy {proxy[0]} has no address")
        for family, kind, protocol, _, address in addresses:
            connection = socket.socket(family, kind, protocol)
            connection.setblocking(False)
            try:
                await self._loop.sock_connect(connection, address)
            except OSError as error:
                connection.close()
                last = error
            except BaseException:
                connection.close()
                raise
            else:
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
        raise last

    async def _head(self, connected: socket.socket) -> bytes:
        """The response's head, and no byte more, because the next one belongs to the tunnel."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = await self._loop.sock_recv(connected, 1)
            head += data
            if not data or len(head) > HEAD_LIMIT:
                raise OSError("the forward proxy's answer is not HTTP")
        return head


def _login() -> str:
    try:
        return LOGIN.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
