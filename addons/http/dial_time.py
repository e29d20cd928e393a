"""Limits how long an address may take to accept a connection. The kernel waits two minutes (tcp(7),
tcp_syn_retries)."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

DIAL_SECONDS = 10.0  # for one address


def limit_dials(loop: asyncio.AbstractEventLoop) -> None:
    """Make this loop give up an address that does not answer, like one that refuses."""
    dial = loop.sock_connect

    async def sock_connect(sock: Any, address: Any) -> None:
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                await dial(sock, address)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, f"no answer within {DIAL_SECONDS:g} s") from None

    loop.sock_connect = sock_connect  # type: ignore[method-assign]
