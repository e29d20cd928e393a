"""The HTTP/2 client of the lab: sends frames as a case says, whatever they are, and reads the answers frame by frame.

Steps: ["headers", stream, [[name, value], …], end], ["data", stream, text, end], ["fill", stream, size, end],
["reset", stream], ["raw", hex], ["pause", seconds], ["wait", stream, …] (until these are over), ["close"].
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import Any

import hpack
from lab import wire

PATIENCE = 100.0
_INITIAL_WINDOW_SIZE = b"\0\x04"  # RFC 9113, 6.5.2
_WINDOW = (1 << 31) - 1 - 65535


class Client:
    def __init__(self, conn: ssl.SSLSocket, patience: float = PATIENCE) -> None:
        self.conn, self.buffer, self.decoder, self.patience = conn, bytearray(), hpack.Decoder(), patience
        self.streams: dict[int, dict[str, Any]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.block: tuple[int, int, bytes] | None = None
        self.goaway: int | None = None
        self.closed = self.settled = False
        self.error = ""
        # What the other side takes (RFC 9113, 6.9): of each stream, and of all (0).
        self.initial, self.windows = 65_535, {0: 65_535}

    def start(self) -> None:
        settings = b"\0\x04\x7f\xff\xff\xff"  # INITIAL_WINDOW_SIZE: this client takes all
        self.put(
            wire.PREFACE
            + wire.frame(wire.SETTINGS, 0, 0, settings)
            + wire.frame(wire.WINDOW_UPDATE, 0, 0, _WINDOW.to_bytes(4, "big"))
        )
        while not self.settled and not self.closed:
            self.read(self.patience)

    def put(self, data: bytes) -> None:
        self.conn.settimeout(self.patience)
        try:
            self.conn.sendall(data)
        except OSError:
            self.error = self.error or "not sent"

    def read(self, patience: float) -> bool:
        """Take in what comes; False if nothing came in time."""
        self.conn.settimeout(patience)
        try:
            piece = self.conn.recv(1 << 18)
        except TimeoutError:
            return False
        except OSError:
            piece = b""
        if not piece:
            self.closed = True
            return False
        self.buffer += piece
        for frame in wire.frames(self.buffer):
            self.take(*frame)
        return True

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == wire.SETTINGS and not flags & wire.ACK:
            self.settled = True
            for at in range(0, len(payload), 6):
                if payload[at : at + 2] == _INITIAL_WINDOW_SIZE:
                    self.initial = int.from_bytes(payload[at + 2 : at + 6], "big")
            self.put(wire.frame(wire.SETTINGS, wire.ACK, 0))
        elif kind == wire.PING and not flags & wire.ACK:
            self.put(wire.frame(wire.PING, wire.ACK, 0, payload))
        elif kind == wire.WINDOW_UPDATE:
            self.windows[stream] = self.window(stream) + int.from_bytes(payload, "big")
        elif kind == wire.GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == wire.RST_STREAM:
            self.of(stream)["reset"] = int.from_bytes(payload, "big")
        elif kind in (wire.HEADERS, wire.CONTINUATION):
            before = self.block[2] if self.block else b""
            started = self.block[1] if self.block else flags
            self.block = (stream, started, before + payload)
            if flags & wire.END_HEADERS:
                self.block = None
                self.head(stream, started, before + payload)
        elif kind == wire.DATA:
            response = self.of(stream)
            if "status" not in response or response["complete"]:
                response["malformed"] = "DATA out of place"
            self.bodies.setdefault(stream, bytearray()).extend(payload)
            if flags & wire.END_STREAM:
                self.end(stream)

    def window(self, stream: int) -> int:
        return self.windows.get(stream, self.initial)

    def fill(self, stream: int, body: bytes, end: bool = False) -> None:
        """Send a body as its receiver takes it; no more of it once the stream is over. What is not taken in time ends the
        connection, for the steps behind it would end a shorter body."""
        until = time.monotonic() + self.patience
        if not body:
            self.put(wire.data(stream, b"", end))
        while body and not self.over(stream) and time.monotonic() < until:
            room = min(self.window(stream), self.window(0), len(body))
            if room <= 0:
                self.read(max(0.05, until - time.monotonic()))
                continue
            part, body = body[:room], body[room:]
            self.windows[stream], self.windows[0] = self.window(stream) - room, self.window(0) - room
            self.put(wire.data(stream, part, end and not body))
        if body and not self.over(stream):
            self.closed = True
            with contextlib.suppress(OSError):
                self.conn.shutdown(socket.SHUT_RDWR)

    def of(self, stream: int) -> dict[str, Any]:
        return self.streams.setdefault(stream, {"complete": False, "interim": []})

    def head(self, stream: int, flags: int, block: bytes) -> None:
        response = self.of(stream)
        fields = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in self.decoder.decode(block, raw=True)]
        if any(set(n + v) & set("\r\n\0") or n != n.lower() for n, v in fields):
            response["malformed"] = f"fields {fields}"
        status = int(dict(fields).get(":status", "0"))
        if response["complete"]:
            response["malformed"] = "HEADERS after the end"
        elif 100 <= status < 200:
            response["interim"].append(status)
        elif "status" in response:
            response["trailers"] = [f"{n}: {v}" for n, v in fields]
        else:
            response["status"], response["fields"] = status, [pair for pair in fields if pair[0] != ":status"]
        if flags & wire.END_STREAM:
            self.end(stream)

    def end(self, stream: int) -> None:
        response = self.of(stream)
        response["complete"] = True
        lengths = [v for n, v in response.get("fields", []) if n == "content-length"]
        size = len(self.bodies.get(stream, b""))
        if response.get("bodiless") or response.get("status") in (204, 304):
            return
        if lengths and lengths != [str(size)]:
            response["complete"] = False  # as every client's library does (RFC 9113, 8.1.1)
            response["wrong_length"] = True

    def over(self, stream: int) -> bool:
        response = self.streams.get(stream, {})
        return bool(response.get("complete") or "reset" in response or response.get("wrong_length")) or self.closed

    def wait(self, streams: list[int]) -> None:
        until = time.monotonic() + self.patience
        while not all(map(self.over, streams)) and time.monotonic() < until:
            self.read(max(0.05, until - time.monotonic()))


def run(conn: ssl.SSLSocket, steps: list[list[Any]], quiet: float, patience: float = PATIENCE) -> dict[str, Any]:
    client = Client(conn, patience)
    client.start()
    for kind, *rest in steps:
        if kind == "headers":
            if any(pair == [":method", "HEAD"] for pair in rest[1]):
                client.of(rest[0])["bodiless"] = True
            client.put(wire.headers(*rest))
        elif kind == "data":
            body = rest[1].encode("latin-1")
            if len(body) > 1 << 14:
                client.fill(rest[0], body, *rest[2:])
            else:
                client.put(wire.data(rest[0], body, *rest[2:]))
        elif kind == "fill":
            client.fill(rest[0], wire.filler(rest[1]), *rest[2:])
        elif kind == "reset":
            client.put(wire.frame(wire.RST_STREAM, 0, rest[0], (rest[1] if len(rest) > 1 else 8).to_bytes(4, "big")))
        elif kind == "raw":
            client.put(bytes.fromhex(rest[0]))
        elif kind == "pause":
            time.sleep(rest[0])
        elif kind == "wait":
            client.wait(rest)
        elif kind == "close":
            conn.close()
            return {"answers": {}, "closed": True}
    until = time.monotonic() + 5
    while time.monotonic() < until and not client.closed and client.read(quiet):
        pass
    for stream, response in client.streams.items():
        plain, readable = wire.understood(response.get("fields", ()), bytes(client.bodies.get(stream, b"")))
        response["body"], response["complete"] = wire.digest(plain), bool(response.get("complete")) and readable
    answers = {
        str(stream): response
        for stream, response in client.streams.items()
        if response.get("status") or "reset" in response
    }
    return {"answers": answers, "closed": client.closed, "goaway": client.goaway, "error": client.error}
