"""A server of the tests that is as slow or as quick as its path says, on TLS, by HTTP/2 and HTTP/1.1 (asyncio and h2).

GET /big/MB: so many bytes, as fast as they are taken. PUT /slow/RATE: takes RATE bytes a second, and says in the end how
many there were and their SHA-256. GET /events: a line five times a second, without an end. GET /ok.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import sys
from collections.abc import AsyncIterator

import h2.config
import h2.connection
import h2.events

PIECE = 1 << 16


async def answer(path: str) -> AsyncIterator[bytes]:
    _, what, *rest = path.split("/")
    if what == "big":
        for _ in range((int(rest[0]) << 20) // PIECE):
            yield bytes(PIECE)
    elif what == "events":
        number = 0
        while True:
            yield f"data: {number}\n\n".encode()
            number += 1
            await asyncio.sleep(0.2)
    elif what == "never":
        await asyncio.Event().wait()
    else:
        yield b"ok\n"


class Body:
    def __init__(self, path: str) -> None:
        _, what, *rest = path.split("/")
        self._rate = int(rest[0]) if what == "slow" else 0
        self._length, self._digest = 0, hashlib.sha256()

    async def take(self, data: bytes) -> None:
        self._length += len(data)
        self._digest.update(data)
        if self._rate:
            await asyncio.sleep(len(data) / self._rate)

    def summary(self) -> bytes:
        return json.dumps({"length": self._length, "sha256": self._digest.hexdigest()}).encode()


class Two:
    """HTTP/2: window is given as a body is taken."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._bodies: dict[int, asyncio.Queue[h2.events.DataReceived | None]] = {}
        self._moved = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self._h2.initiate_connection()
        await self._flush()
        while data := await self._reader.read(PIECE):
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self._bodies[event.stream_id] = asyncio.Queue()
                    task = asyncio.create_task(self._serve(event.stream_id, dict(event.headers)))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                elif isinstance(event, h2.events.DataReceived):
                    self._bodies[event.stream_id].put_nowait(event)
                elif isinstance(event, h2.events.StreamEnded):
                    self._bodies[event.stream_id].put_nowait(None)
            await self._flush()
            async with self._moved:
                self._moved.notify_all()

    async def _serve(self, number: int, headers: dict[str, str]) -> None:
        body = Body(headers[":path"])
        while (event := await self._bodies[number].get()) is not None:
            await body.take(event.data)
            self._h2.acknowledge_received_data(event.flow_controlled_length, number)
            await self._flush()
        self._h2.send_headers(number, [(":status", "200"), ("content-type", "text/plain")])
        if headers[":method"] == "PUT":
            await self._send(number, body.summary())
        else:
            async for piece in answer(headers[":path"]):
                await self._send(number, piece)
        self._h2.end_stream(number)
        await self._flush()

    async def _send(self, number: int, data: bytes) -> None:
        while data:
            async with self._moved:
                await self._moved.wait_for(lambda: self._h2.local_flow_control_window(number) > 0)
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            self._h2.send_data(number, data[:room])
            data = data[room:]
            await self._flush()

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()


async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP/1.1, a request after the other."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body, left = Body(path), int(headers.get("content-length", 0))
        if "100-continue" in headers.get("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while headers.get("transfer-encoding") == "chunked" and (size := int(await reader.readline(), 16)):
            await body.take(await reader.readexactly(size))
            await reader.readline()
        if headers.get("transfer-encoding") == "chunked":
            await reader.readline()
        while left:
            data = await reader.read(min(left, PIECE))
            left -= len(data)
            await body.take(data)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if method == "PUT":
            writer.write(b"%x\r\n%b\r\n" % (len(body.summary()), body.summary()))
        else:
            async for piece in answer(path):
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    spoken = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    try:
        await (Two(reader, writer).run() if spoken == "h2" else one(reader, writer))
    except (OSError, EOFError, ValueError):
        pass
    finally:
        writer.close()


async def main() -> None:
    for port, spoken in ((443, ["h2", "http/1.1"]), (8443, ["http/1.1"])):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
        context.set_alpn_protocols(spoken)
        await asyncio.start_server(connected, "0.0.0.0", port, ssl=context)
    await asyncio.Event().wait()


asyncio.run(main())
