"""The HTTP/1.1 client of the lab: sends what a case says, reads answers by the letter of RFC 9112.

Steps: ["send", text], ["fill", size] (a body), ["chunks", size, of, trailers] (a chunked body), ["pause", seconds],
["answer", method] (wait for one), ["half"] (end of sending), ["abort"] (a reset); and for WebSockets
["frame", opcode, payload, {fin, rsv1}], ["frames", number that should come] (what comes until nothing does).
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import time
from typing import Any

from lab import wire, wsframes

PATIENCE = 100.0  # seconds that an answer may take on a busy machine
BETWEEN = 5.0  # and a frame of a WebSocket that should come


class Ended(Exception):
    """The connection ended; `clean` tells whether with the end that TLS has for it."""


class Reader:
    def __init__(self, conn: ssl.SSLSocket, patience: float = PATIENCE) -> None:
        self.conn, self.data, self.ended, self.patience = conn, b"", False, patience

    def more(self, patience: float | None = None) -> None:
        if self.ended:
            raise Ended
        self.conn.settimeout(self.patience if patience is None else patience)
        try:
            piece = self.conn.recv(1 << 18)
        except TimeoutError:
            raise
        except OSError:
            piece = b""
        if not piece:
            self.ended = True
            raise Ended
        self.data += piece

    def line(self) -> bytes:
        while b"\r\n" not in self.data:
            self.more()
        line, _, self.data = self.data.partition(b"\r\n")
        return line


def answer(reader: Reader, method: str) -> dict[str, Any]:
    """One answer; `complete` tells whether its framing says so, `malformed` what is wrong with it."""
    response: dict[str, Any] = {"complete": False, "interim": []}
    body = bytearray()
    try:
        while True:
            line = reader.line()
            match = re.fullmatch(rb"HTTP/1\.1 ([1-9][0-9][0-9]) [^\x00-\x08\x0a-\x1f\x7f]*", line)
            if not match:
                return {**response, "malformed": f"status line {line[:80]!r}"}
            response["status"], response["fields"] = int(match[1]), []
            while line := reader.line():
                field = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*", line)
                if not field:
                    return {**response, "malformed": f"header line {line[:80]!r}"}
                response["fields"].append([field[1].decode().lower(), field[2].decode("latin-1")])
            if response["status"] >= 200 or response["status"] == 101:
                break
            response["interim"].append(response["status"])
        read_body(reader, response, method, body)
    except Ended:
        response["complete"] = response["complete"] or response.get("until_close", False)
    except TimeoutError:
        response["timeout"] = True
    except ValueError as error:
        response["malformed"] = str(error)
    plain, readable = wire.understood(response.get("fields", ()), bytes(body))
    return {**response, "complete": response["complete"] and readable, "body": wire.digest(plain)}


def read_body(reader: Reader, response: dict[str, Any], method: str, body: bytearray) -> None:
    lengths = [value for name, value in response["fields"] if name == "content-length"]
    codings = [value.lower() for name, value in response["fields"] if name == "transfer-encoding"]
    if codings and (lengths or codings != ["chunked"]):
        raise ValueError(f"framing: {lengths} {codings}")
    if len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,15}", value) for value in lengths):
        raise ValueError(f"length: {lengths}")
    if codings and response["status"] in (204, 304):
        raise ValueError("a transfer coding where there is no content")
    if method == "HEAD" or response["status"] in (101, 204, 304):
        response["complete"] = True
        return
    if codings:
        while True:
            line = reader.line()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", line):
                raise ValueError(f"chunk {line[:40]!r}")
            size = int(line, 16)
            if size == 0:
                response["trailers"] = []
                while line := reader.line():
                    response["trailers"].append(line.decode("latin-1"))
                response["complete"] = True
                return
            take(reader, body, size)
            if reader.line():
                raise ValueError("a chunk longer than its length")
    elif lengths:
        take(reader, body, int(lengths[0]))
        response["complete"] = True
    else:
        response["until_close"] = True
        take(reader, body, 1 << 40)


def take(reader: Reader, body: bytearray, size: int) -> None:
    while True:
        piece, reader.data = reader.data[:size], reader.data[size:]
        body += piece
        size -= len(piece)
        if not size:
            return
        reader.more()


def abort(conn: ssl.SSLSocket) -> None:
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def run(conn: ssl.SSLSocket, steps: list[list[Any]], quiet: float, patience: float = PATIENCE) -> dict[str, Any]:
    """The answers, and what came besides them."""
    reader, answers, out = Reader(conn, patience), [], {}
    try:
        for kind, *rest in steps:
            if kind in ("send", "fill", "chunks", "frame") and not send(conn, kind, rest, patience):
                out["unsent"] = True
            elif kind == "pause":
                time.sleep(rest[0])
            elif kind == "answer":
                answers.append(answer(reader, rest[0]))
            elif kind == "half":
                socket.socket.shutdown(conn, socket.SHUT_WR)  # that of SSLSocket ends reading too
            elif kind == "abort":
                abort(conn)
                return {"answers": answers, "closed": True, "rest": ""}
            elif kind == "frames":
                out["frames"] = frames(reader, quiet, rest[0] if rest else 0)
    except OSError:
        pass
    until = time.monotonic() + 5
    try:
        while time.monotonic() < until and len(reader.data) < 1 << 20:
            reader.more(quiet)
    except (Ended, TimeoutError):
        pass
    return {"answers": answers, "rest": reader.data[:2000].decode("latin-1"), "closed": reader.ended, **out}


def send(conn: ssl.SSLSocket, kind: str, rest: list[Any], patience: float) -> bool:
    """False if the other side takes no more: then its answer is read all the same."""
    if kind == "send":
        body = rest[0].encode("latin-1")
    elif kind == "fill":
        body = wire.filler(rest[0])
    elif kind == "chunks":
        body = wire.chunked(wire.filler(rest[0]), rest[1], rest[2] if len(rest) > 2 else ())
    else:
        body = wsframes.frame(rest[0], rest[1].encode("latin-1"), masked=True, **(rest[2] if len(rest) > 2 else {}))
    conn.settimeout(patience)
    try:
        conn.sendall(body)
    except OSError:
        return False
    return True


def frames(reader: Reader, quiet: float, wanted: int) -> list[dict[str, Any]]:
    """What comes until nothing does. wanted: how many should; these may take their time."""
    buffer = bytearray(reader.data)
    reader.data = b""
    frames: list[dict[str, Any]] = []
    try:
        while True:
            frames += wsframes.take(buffer)
            reader.more(quiet if len(frames) >= wanted else BETWEEN)
            buffer += reader.data
            reader.data = b""
    except (Ended, TimeoutError):
        return frames
