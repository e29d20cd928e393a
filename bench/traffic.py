"""The two ends of the benchmark: a TLS server and a client that measures. Runs inside the run's own containers.

Needs only what the proxies' image has: asyncio and h2. Every measure is in seconds unless its name says otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import h2.config
import h2.connection
import h2.events

HOST, PORT, PEM, CA = "bench.example.com", 443, "/bench/server.pem", "/bench/ca.pem"
SMALL, CHUNK = b"x" * 300, b"\x00\x01\x02\x03" * (16 << 10)
EVENT = 400  # bytes, as in the stream of an answer of the model


# ---- the server


async def serve() -> None:
    """HTTP/1.1 and HTTP/2 on 443: /small, /size/N, /events/COUNT/MILLISECONDS; a POST is read and counted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = await asyncio.start_server(_connection, "0.0.0.0", PORT, ssl=context, backlog=512)  # noqa: S104
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    try:
        await (_http2(reader, writer) if tls.selected_alpn_protocol() == "h2" else _http1(reader, writer))
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        path, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        length = await _body(reader, headers)
        kind, _, rest = path.split("?")[0].lstrip("/").partition("/")
        if kind == "events":
            count, pause = map(int, rest.split("/"))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(count):
                data = f"data: {time.monotonic():.6f} ".encode().ljust(EVENT - 2, b".") + b"\n\n"
                writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                await writer.drain()
                if pause:
                    await asyncio.sleep(pause / 1000)
            writer.write(b"0\r\n\r\n")
        else:
            size = int(rest) if kind == "size" else len(SMALL)
            writer.write(f"HTTP/1.1 200 OK\r\nx-read: {length}\r\ncontent-length: {size}\r\n\r\n".encode())
            if kind != "size":
                writer.write(SMALL)
            while kind == "size" and size:
                writer.write(CHUNK[:size])
                size -= min(size, len(CHUNK))
                await writer.drain()
        await writer.drain()


async def _http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    conn.initiate_connection()
    while True:
        writer.write(conn.data_to_send())
        await writer.drain()
        data = await reader.read(65536)
        if not data:
            return
        for event in conn.receive_data(data):
            if isinstance(event, h2.events.StreamEnded) and event.stream_id:
                conn.send_headers(event.stream_id, [(":status", "200"), ("content-length", str(len(SMALL)))])
                conn.send_data(event.stream_id, SMALL, end_stream=True)


# ---- both


def _head(data: bytes) -> tuple[str, dict[str, str]]:
    """Second word of the first line, and the headers."""
    first, *lines = data.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if line)
    return first.split(" ")[1], {name.lower(): value.strip() for name, value in pairs}


async def _body(
    reader: asyncio.StreamReader, headers: dict[str, str], take: Callable[[bytes], None] | None = None
) -> int:
    """Read a body; its length. take: gets every piece as it comes."""
    total = 0
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            data = await reader.readexactly(size + 2)
            total += size
            if take:
                take(data[:-2])
        await reader.readline()
        return total
    left = int(headers.get("content-length", 0))
    while left:
        data = await reader.read(min(left, 1 << 18))
        if not data:
            raise OSError("the body ended early")
        left -= len(data)
        total += len(data)
        if take:
            take(data)
    return total


# ---- the client


class Path:
    """A way to the server: direct, or through the proxy at `proxy` (host:port)."""

    def __init__(self, proxy: str) -> None:
        self.proxy = proxy
        # One for each: connections of both kinds are made at the same time.
        self._contexts = {spoken: ssl.create_default_context(cafile=CA) for spoken in ("http/1.1", "h2")}
        for spoken, context in self._contexts.items():
            context.set_alpn_protocols([spoken])

    async def connect(self, protocol: str = "http/1.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self._contexts[protocol]
        if not self.proxy:
            return await asyncio.open_connection(HOST, PORT, ssl=context, limit=1 << 20)
        host, _, port = self.proxy.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
        writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        status, _ = _head(await reader.readuntil(b"\r\n\r\n"))
        if status != "200":
            raise OSError(f"CONNECT was answered {status}")
        await writer.start_tls(context, server_hostname=HOST)
        return reader, writer


async def exchange(
    ends: Any, line: str, body: bytes = b"", take: Callable[[bytes], None] | None = None, kind: str = "text/plain"
) -> int:
    """One request on a kept connection; the length of the answer's body."""
    reader, writer = ends
    about = f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n" if body else ""
    writer.write(f"{line} HTTP/1.1\r\nhost: {HOST}\r\n{about}\r\n".encode())
    writer.write(body)
    status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
    size = await _body(reader, headers, take)
    if status != "200":
        raise OSError(f"the answer is {status}")
    if body and int(headers.get("x-read", len(body))) != len(body):
        raise OSError("the body did not arrive whole")
    return size


async def timed(work: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def small(path: Path, clients: int, count: int, fresh: bool) -> dict[str, float]:
    """Requests of 300 bytes by `clients` at the same time, on kept or on fresh connections."""
    times: list[float] = []

    async def one() -> None:
        ends = None
        for _ in range(count // clients):
            started = time.perf_counter()
            if ends is None or fresh:
                ends = await path.connect()
            await exchange(ends, "GET /small")
            times.append(time.perf_counter() - started)
            if fresh:
                ends[1].close()
        if not fresh and ends:
            ends[1].close()

    whole = await timed(asyncio.gather(*(one() for _ in range(clients))))
    times.sort()
    kept = times if fresh else times[: -clients or None]  # the slowest of a kept connection is its first
    return {"p50": kept[len(kept) // 2], "p99": kept[int(len(kept) * 0.99)], "rps": len(times) / whole}


async def small2(path: Path, clients: int, count: int) -> dict[str, float]:
    """The same by HTTP/2, on one connection with as many streams."""
    reader, writer = await path.connect("h2")
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    conn.initiate_connection()
    begun: dict[int, float] = {}
    times: list[float] = []

    def ask() -> None:
        stream = conn.get_next_available_stream_id()
        begun[stream] = time.perf_counter()
        pseudo = [(":method", "GET"), (":path", "/small"), (":authority", HOST), (":scheme", "https")]
        conn.send_headers(stream, pseudo, end_stream=True)

    started, asked = time.perf_counter(), clients
    for _ in range(clients):
        ask()
    while len(times) < count:
        writer.write(conn.data_to_send())
        data = await reader.read(65536)
        if not data:
            raise OSError("the connection ended")
        for event in conn.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                times.append(time.perf_counter() - begun[event.stream_id])
                if asked < count:
                    asked += 1
                    ask()
    whole = time.perf_counter() - started
    writer.close()
    times.sort()
    return {"p50": times[len(times) // 2], "p99": times[int(len(times) * 0.99)], "rps": count / whole}


def text(size: int) -> bytes:
    """Words of random letters: nothing in it that a rule of the DLP engine knows."""
    if size > 1_000_000:
        return (text(1_000_000) * -(-size // 1_000_000))[:size]
    numbers = random.Random(size)  # noqa: S311 - the same text in every run
    words = ["".join(numbers.choices("abcdefghijklmnopqrstuvwxyz", k=numbers.randint(2, 11))) for _ in range(4000)]
    return " ".join(numbers.choices(words, k=size // 4)).encode()[:size]


async def post(path: Path, size: int, count: int) -> dict[str, float]:
    """Uploads of random text on a kept connection."""
    ends, body = await path.connect(), text(size)
    await exchange(ends, "POST /small", body[:1000])
    times = sorted([await timed(exchange(ends, "POST /small", body)) for _ in range(count)])
    ends[1].close()
    return {"p50": times[len(times) // 2], "mb_s": size / times[len(times) // 2] / 1e6}


async def download(path: Path, size: int, count: int) -> dict[str, float]:
    ends = await path.connect()
    await exchange(ends, "GET /small")
    times = sorted([await timed(exchange(ends, f"GET /size/{size}")) for _ in range(count)])
    ends[1].close()
    return {"p50": times[len(times) // 2], "mb_s": size / times[len(times) // 2] / 1e6}


async def events(path: Path, count: int, pause: int) -> dict[str, float]:
    """Milliseconds from the server's writing of an event to its reading here; both ends have one clock."""
    ends = await path.connect()
    await exchange(ends, "GET /small")
    delays: list[float] = []
    first: list[float] = []
    left = bytearray()

    def take(data: bytes) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
        left.extend(data)
        while len(left) >= EVENT:
            delays.append(now - float(left[6:EVENT].split(b" ")[0]))
            del left[:EVENT]

    started = time.monotonic()
    await exchange(ends, f"GET /events/{count}/{pause}", take=take)
    ends[1].close()
    delays.sort()
    if len(delays) != count:
        raise OSError("events are missing")
    return {
        "ms_p50": 1e3 * delays[count // 2],
        "ms_p99": 1e3 * delays[int(count * 0.99)],
        "first_ms": 1e3 * (first[0] - started),
    }


async def turn(path: Path, count: int) -> dict[str, float]:
    """A turn of Claude Code: a prompt of 200 kB up, 2,000 events down."""
    blocks = [{"type": "text", "text": text(3900).decode() + '\n\t"quoted"\n'} for _ in range(50)]
    prompt = json.dumps({"model": "claude", "stream": True, "messages": [{"role": "user", "content": blocks}]}).encode()
    ends = await path.connect()
    await exchange(ends, "GET /small")
    ask = lambda: exchange(ends, "POST /events/2000/0", prompt, kind="application/json")  # noqa: E731
    times = sorted([await timed(ask()) for _ in range(count)])
    ends[1].close()
    return {"p50": times[len(times) // 2]}


async def burst(path: Path, count: int) -> dict[str, float]:
    """As npm does: `count` files of 5 kB by 16 clients that begin with no connection."""
    left = list(range(count))

    async def one() -> None:
        ends = await path.connect()
        while left:
            await exchange(ends, f"GET /size/5000?file={left.pop()}")
        ends[1].close()

    return {"whole": await timed(asyncio.gather(*(one() for _ in range(16))))}


async def hosts(path: Path, count: int) -> dict[str, float]:
    """A TLS connection each to `count` names that were never seen: the first proxy makes a certificate for each."""
    host, _, port = path.proxy.partition(":")
    context = ssl.create_default_context(cafile=CA)
    offset = random.randrange(1 << 40)  # noqa: S311 - a name, no secret

    async def one(number: int) -> None:
        name = f"h{offset + number}.bench.example.com"
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(context, server_hostname=name)
        writer.write(f"GET / HTTP/1.1\r\nhost: {name}\r\n\r\n".encode())
        status, _ = _head(await reader.readuntil(b"\r\n\r\n"))
        writer.close()
        if status != "403":
            raise OSError(f"an undeclared host is answered {status}")

    started = time.perf_counter()
    for number in range(0, count, 8):
        await asyncio.gather(*(one(n) for n in range(number, number + 8)))
    return {"rps": count / (time.perf_counter() - started)}


# Part of no comparison: bare mitmdump would dial the names.
HOSTS = "1000 new hosts"
WORK: dict[str, Callable[[Path], Awaitable[dict[str, float]]]] = {
    "small, 1 client, kept": lambda p: small(p, 1, 300, False),
    "small, 16 clients, kept": lambda p: small(p, 16, 1600, False),
    "small, 1 client, fresh": lambda p: small(p, 1, 60, True),
    "small, 16 clients, fresh": lambda p: small(p, 16, 160, True),
    "small, HTTP/2, 1 stream": lambda p: small2(p, 1, 300),
    "small, HTTP/2, 16 streams": lambda p: small2(p, 16, 1600),
    "POST 10 kB": lambda p: post(p, 10_000, 100),
    "POST 1 MB": lambda p: post(p, 1_000_000, 12),
    "POST 20 MB": lambda p: post(p, 20_000_000, 1),
    "download 4 MB": lambda p: download(p, 4_000_000, 6),
    "download 500 MB": lambda p: download(p, 500_000_000, 1),
    "server-sent events": lambda p: events(p, 400, 4),
    "a turn of Claude Code": lambda p: turn(p, 4),
    "500 small files": lambda p: burst(p, 500),
    "upload 500 MB": lambda p: post(p, 500_000_000, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=["serve", HOSTS, *WORK])
    parser.add_argument("--proxy", default="")
    args = parser.parse_args()
    if args.work == "serve":
        asyncio.run(serve())
    else:
        work = WORK.get(args.work, lambda path: hosts(path, 1000))
        json.dump(asyncio.run(work(Path(args.proxy))), sys.stdout)


if __name__ == "__main__":
    main()
