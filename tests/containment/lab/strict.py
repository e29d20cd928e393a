"""A strict HTTP/1.1 server over TLS that writes down each request as it understood it, and each byte it did not.

It is the judge of the framing tests: it reads RFC 9112 by the letter, shares no code with the proxies, and takes what
stands behind a request's announced end for the next request, as real servers do. Usage: strict.py ADDRESS PEM.
Every byte of a connection is kept in /lab/bytes/NUMBER. For the answers see answers.py, for WebSockets wsframes.py.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from lab import answers, wire, wsframes

LOCK, KEPT = threading.Lock(), Path("/lab/bytes")


def write(kind: str, **fields: object) -> None:
    with LOCK:
        sys.stdout.write(json.dumps({"kind": kind, **fields}) + "\n")
        sys.stdout.flush()


class Broken(Exception):
    """What is no HTTP/1.1."""


class Reader:
    def __init__(self, conn: ssl.SSLSocket, number: int) -> None:
        self.conn, self.data, self.ids = conn, b"", set[str]()
        self.kept = (KEPT / str(number)).open("wb", buffering=0)

    def more(self) -> bool:
        piece = self.conn.recv(65536)
        self.data += piece
        self.kept.write(piece)
        self.ids |= set(wire.ID.findall(self.data.decode("latin-1")))
        return bool(piece)

    def line(self) -> bytes:
        while b"\n" not in self.data:
            if not self.more():
                raise Broken("the connection ends within a line")
        line, _, self.data = self.data.partition(b"\n")
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise Broken("a line that does not end in CR LF")
        return line[:-1]

    def exactly(self, size: int) -> bytes:
        pieces, missing = [self.data[:size]], size - len(self.data)
        self.data = self.data[size:]
        while missing > 0:
            if not self.more():
                raise Broken("the connection ends within a body")
            pieces.append(self.data[:missing])
            self.data = self.data[missing:]
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def chunks(self) -> tuple[bytes, list[str]]:
        whole = []
        while True:
            line = self.line()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", line):
                raise Broken(f"not a chunk's length: {line[:60]!r}")
            size = int(line, 16)
            if size == 0:
                trailers = []
                while line := self.line():
                    trailers.append(line.decode("latin-1"))
                return b"".join(whole), trailers
            whole.append(self.exactly(size))
            if self.line():
                raise Broken("a chunk that is longer than its length")


def read_head(reader: Reader) -> tuple[str, str, list[tuple[str, str]]]:
    """Method, path and fields of the next request; raises Broken for what RFC 9112 does not know."""
    head = reader.line()
    words = head.split(b" ")
    if len(words) != 3 or words[2] != b"HTTP/1.1" or not re.fullmatch(rb"/[!-~\x80-\xff]*|\*", words[1]):
        raise Broken(f"not a request line: {head[:80]!r}")
    if not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", words[0]):
        raise Broken(f"not a method: {words[0]!r}")
    fields = []
    while line := reader.line():
        match = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*", line)
        if not match:
            raise Broken(f"not a header line: {line[:80]!r}")
        fields.append((match[1].decode().lower(), match[2].decode("latin-1")))
    names = [name for name, _ in fields]
    lengths = [value for name, value in fields if name == "content-length"]
    codings = [value for name, value in fields if name == "transfer-encoding"]
    if names.count("host") != 1 or len(lengths) > 1 or (codings and (lengths or codings != ["chunked"])):
        raise Broken(f"framing or host: {fields}")
    if lengths and not re.fullmatch("[0-9]{1,15}", lengths[0]):
        raise Broken("a length that is no number")
    return words[0].decode(), words[1].decode("latin-1"), fields


def serve(conn: ssl.SSLSocket, number: int) -> None:
    reader = Reader(conn, number)
    try:
        while reader.data or reader.more():
            if not serve_one(reader, number):
                return
    except Broken as error:
        write("broken", why=str(error), rest=reader.data[:300].decode("latin-1"), connection=number, ids=[*reader.ids])
    except OSError as error:
        write("lost", why=type(error).__name__, connection=number, ids=[*reader.ids])
    finally:
        conn.close()


def serve_one(reader: Reader, number: int) -> bool:
    """Read a request, write it down, answer it; False if the connection is at its end."""
    conn = reader.conn
    method, path, fields = read_head(reader)
    headers, kind = dict(fields), answers.mode(path)
    if kind in answers.BEFORE:
        answers.send(conn.sendall, answers.early(method, path))
        if kind == "earlyclose":
            return False
    if headers.get("expect") == "100-continue":
        conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body, trailers = b"", []
    if "transfer-encoding" in headers:
        body, trailers = reader.chunks()
    elif "content-length" in headers:
        body = reader.exactly(int(headers["content-length"]))
    write(
        "request", http=1, method=method, path=path, fields=fields, body=wire.digest(body), trailers=trailers,
        connection=number, ids=wire.ID.findall(path),
    )  # fmt: skip
    if kind in answers.BEFORE:
        return kind != "earlystop"
    if headers.get("upgrade") == "websocket" and kind == "ws":
        wsframes.serve(
            conn, reader.data, path, headers, lambda **more: write("frame", ids=wire.ID.findall(path), **more)
        )
        return False
    pieces, goes_on = answers.answer(method, path, body)
    answers.send(conn.sendall, pieces)
    return goes_on


def listen(address: str, pem: str, alpn: str, one: Callable[[ssl.SSLSocket, int], None]) -> None:
    """Serve each connection in a thread of its own."""
    KEPT.mkdir(exist_ok=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(pem))
    context.set_alpn_protocols([alpn])
    listener = socket.create_server((address, 443), backlog=1024)
    write("ready")
    number = 0 if alpn == "http/1.1" else 1_000_000

    def wrapped(conn: socket.socket, number: int) -> None:
        conn.settimeout(30)
        try:
            secured = context.wrap_socket(conn, server_side=True)
        except OSError:
            return
        one(secured, number)

    while True:
        conn, _ = listener.accept()
        number += 1
        threading.Thread(target=wrapped, args=(conn, number), daemon=True).start()


if __name__ == "__main__":
    listen(sys.argv[1], sys.argv[2], "http/1.1", serve)
