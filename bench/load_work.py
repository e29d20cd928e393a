"""Load on a proxy, and small requests of somebody else beside it. Runs inside the run's own client container.

Writes one JSON object: of the load how much was done and how many errors there were, of the small requests their times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
from traffic import HOST, Path, exchange, small2

MB = 1 << 20
Load = Callable[[Path, float, Counter[str]], Awaitable[None]]


async def clients(path: Path, end: float, count: Counter[str], *, many: int, fresh: bool) -> None:
    async def one() -> None:
        ends = None
        while time.monotonic() < end:
            if ends is None or fresh:
                ends = await path.connect()
            await exchange(ends, "GET /small")
            count["done"] += 1
            if fresh:
                ends[1].close()

    await guarded([one() for _ in range(many)], count)


async def streams(path: Path, end: float, count: Counter[str]) -> None:
    while time.monotonic() < end:
        await small2(path, 100, 500)
        count["done"] += 500


async def events(path: Path, end: float, count: Counter[str]) -> None:
    async def one() -> None:
        reader, writer = await ask(path, "GET /events")
        while time.monotonic() < end:
            data = await asyncio.wait_for(reader.readuntil(b"\n\n"), 5)
            count["done"] += data.count(b"data: ")
        writer.close()

    await guarded([one() for _ in range(100)], count)


async def uploads(path: Path, _: float, count: Counter[str]) -> None:
    body = os.urandom(50 * MB)

    async def one() -> None:
        await exchange(await path.connect(), "PUT /slow/0", body, kind="application/octet-stream")
        count["done"] += 1

    await guarded([one() for _ in range(20)], count)


async def unanswered(path: Path, end: float, count: Counter[str]) -> None:
    open_ = [await ask(path, "GET /never") for _ in range(100)]
    await asyncio.sleep(end - time.monotonic())
    count["done"] = len(open_)
    for _, writer in open_:
        writer.close()


async def slow_reader(path: Path, end: float, count: Counter[str]) -> None:
    """Takes an answer of 1 GB at a kilobyte a second, by HTTP/1.1 and by HTTP/2."""
    reader, writer = await ask(path, "GET /big/1000")
    other = asyncio.create_task(h2_download(path, end, count))
    while time.monotonic() < end:
        count["done"] += len(await reader.read(1000))
        await asyncio.sleep(1)
    writer.close()
    await other


async def h2_download(path: Path, end: float, count: Counter[str]) -> None:
    reader, writer = await path.connect("h2")
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    conn.initiate_connection()
    pseudo = [(":method", "GET"), (":path", "/big/1000"), (":authority", HOST), (":scheme", "https")]
    conn.send_headers(1, pseudo, end_stream=True)
    while time.monotonic() < end:
        writer.write(conn.data_to_send())
        for event in conn.receive_data(await asyncio.wait_for(reader.read(16384), 20)):
            if isinstance(event, h2.events.DataReceived):
                await asyncio.sleep(0.5)
                count["done"] += len(event.data)
                conn.acknowledge_received_data(event.flow_controlled_length, 1)
    writer.close()


async def slow_upstream(path: Path, end: float, count: Counter[str]) -> None:
    """Sends 1 GB to a server that takes 100 kB a second."""
    _, writer = await path.connect()
    writer.write(f"PUT /slow/100000 HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {1000 * MB}\r\n\r\n".encode())
    while time.monotonic() < end:
        writer.write(bytes(MB))
        try:
            await asyncio.wait_for(writer.drain(), 1)
            count["done"] += MB
        except TimeoutError:
            pass
    writer.transport.abort()


async def ask(path: Path, line: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await path.connect()
    writer.write(f"{line} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
    return reader, writer


async def guarded(all_of: list[Awaitable[None]], count: Counter[str]) -> None:
    for outcome in await asyncio.gather(*all_of, return_exceptions=True):
        if isinstance(outcome, BaseException):
            count["errors"] += 1
            print(repr(outcome), file=sys.stderr)


async def nothing(_: Path, end: float, __: Counter[str]) -> None:
    await asyncio.sleep(end - time.monotonic())


LOADS: dict[str, Load] = {
    "alone": nothing,
    "1 client, kept": lambda *a: clients(*a, many=1, fresh=False),
    "500 clients, kept": lambda *a: clients(*a, many=500, fresh=False),
    "50 clients, fresh": lambda *a: clients(*a, many=50, fresh=True),
    "500 clients, fresh": lambda *a: clients(*a, many=500, fresh=True),
    "HTTP/2, 100 streams": streams,
    "100 event streams": events,
    "20 uploads of 50 MB": uploads,
    "1 GB to a slow reader": slow_reader,
    "1 GB to a slow upstream": slow_upstream,
    "100 requests without an answer": unanswered,
}


async def measured(load: Load, path: Path, seconds: float) -> dict[str, Any]:
    """The load, and small requests beside it from its second second on."""
    count: Counter[str] = Counter(done=0, errors=0)
    started = time.monotonic()
    work = asyncio.create_task(load(path, started + seconds, count))
    await asyncio.sleep(1)
    times: dict[str, list[float]] = {"kept": [], "fresh": []}
    ends = await path.connect()
    await exchange(ends, "GET /small")
    while not work.done():
        for kind, spent in times.items():
            begun = time.perf_counter()
            used = ends if kind == "kept" else await path.connect()
            await exchange(used, "GET /small")
            spent.append(time.perf_counter() - begun)
            if kind == "fresh":
                used[1].close()
        await asyncio.sleep(0.02)
    await work
    figures: dict[str, Any] = {**count, "seconds": time.monotonic() - started}
    for kind, spent in times.items():
        spent.sort()
        figures[kind] = {"p50": spent[len(spent) // 2], "p99": spent[int(len(spent) * 0.99)], "count": len(spent)}
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("load", choices=list(LOADS))
    parser.add_argument("--proxy", required=True)
    parser.add_argument("--seconds", type=float, default=12)
    args = parser.parse_args()
    json.dump(asyncio.run(measured(LOADS[args.load], Path(args.proxy), args.seconds)), sys.stdout)
