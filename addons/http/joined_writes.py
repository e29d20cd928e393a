"""Joins what one event of a connection makes into one write.

mitmproxy writes the head of a message, its body and its end one by one. Each write is a system call here, and the other
side wakes for each. A held request and a short response go out in one piece so.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

_JOINED = 32 << 10  # bytes; longer pieces are written at once, without a copy


class JoinedWriter:
    """An asyncio.StreamWriter whose short writes wait for `flush`. Nothing on this connection is reordered.

    unflushed: gets the writer when its first write waits.
    """

    def __init__(self, writer: asyncio.StreamWriter, unflushed: list[JoinedWriter]) -> None:
        self._writer, self._unflushed = writer, unflushed
        self._pieces: list[bytes] = []
        self._waiting = 0

    def write(self, data: bytes) -> None:
        if self._waiting + len(data) > _JOINED:
            self.flush()
            self._writer.write(data)
            return
        if not self._pieces:
            self._unflushed.append(self)
        self._pieces.append(data)
        self._waiting += len(data)

    def flush(self) -> None:
        """Write what waits."""
        if self._pieces:
            pieces, self._pieces, self._waiting = self._pieces, [], 0
            if not self._writer.is_closing():
                try:
                    self._writer.write(b"".join(pieces))
                except RuntimeError:  # after the end of its half; mitmproxy logs this too, and goes on
                    logging.exception("bytes for a connection whose sending half has ended")

    def unsent(self) -> int:
        """Bytes that the socket has not taken."""
        return self._waiting + self._writer.transport.get_write_buffer_size()

    async def drain(self) -> None:
        self.flush()
        await self._writer.drain()

    def write_eof(self) -> None:
        self.flush()
        self._writer.write_eof()

    def close(self) -> None:
        self.flush()
        self._writer.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)
