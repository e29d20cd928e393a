"""What can be seen when a guess at a token passes both proxies: at the server, at the client, in both logs.

Reads what lab.lab's prepare takes, then guesses, a JSON list of {"text", "http", "way", "host"}; writes the trace of each.
The trace has sizes and order of pieces, never their bytes, so that two guesses of one length can be compared. The server
echoes each piece of a body as it comes, in a piece of its own.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from typing import Any

from lab import wire
from lab.lab import prepare, proxy, tunnel

PAUSE = 0.1  # seconds: longer than a piece takes through both proxies, so that pieces stay apart
SEEN: list[list[object]] = []


def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Reads chunked requests; echoes each piece as it comes."""
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=_one, args=(raw, context), daemon=True).start()


def _one(raw: socket.socket, context: ssl.SSLContext) -> None:
    try:
        conn = context.wrap_socket(raw, server_side=True)
        data = b""
        while b"\r\n\r\n" not in data:
            data += conn.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        SEEN.append(["head", len(head.split(b"\r\n"))])
        conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if rest:
            _echo(conn, rest)
        while piece := conn.recv(65536):
            _echo(conn, piece)
        SEEN.append(["closed"])
    except OSError as error:
        SEEN.append(["lost", type(error).__name__])


def _echo(conn: ssl.SSLSocket, piece: bytes) -> None:
    SEEN.append(["piece", len(piece)])
    if piece.endswith(b"0\r\n\r\n"):
        conn.sendall(piece)
        return
    _, _, content = piece.partition(b"\r\n")
    content = content.removesuffix(b"\r\n")
    conn.sendall(b"%x\r\n%b\r\n" % (len(content), content) if content else b"")


def http1(conn: ssl.SSLSocket, guess: dict[str, Any]) -> list[list[object]]:
    conn.sendall(
        f"POST {guess['path']} HTTP/1.1\r\nHost: {guess['host']}\r\nContent-Type: text/plain\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    for piece in guess["pieces"]:
        time.sleep(PAUSE)
        conn.sendall(b"%x\r\n%b\r\n" % (len(piece), piece.encode()))
    if guess["ends"]:
        time.sleep(PAUSE)
        conn.sendall(b"0\r\n\r\n")
    trace: list[list[object]] = []
    conn.settimeout(guess["quiet"])
    try:
        while piece := conn.recv(65536):
            trace.append(["bytes", len(piece)])
        trace.append(["closed"])
    except TimeoutError:
        trace.append(["open"])
    except OSError as error:
        trace.append([type(error).__name__])
    return trace


def http2(conn: ssl.SSLSocket, guess: dict[str, Any]) -> list[list[object]]:
    fields = [(":method", "POST"), (":scheme", "https"), (":authority", guess["host"]), (":path", guess["path"])]
    conn.sendall(wire.PREFACE + wire.frame(wire.SETTINGS, 0, 0, b"") + wire.headers(1, fields))
    for number, piece in enumerate(guess["pieces"]):
        time.sleep(PAUSE)
        last = guess["ends"] and number == len(guess["pieces"]) - 1
        conn.sendall(wire.frame(wire.DATA, wire.END_STREAM if last else 0, 1, piece.encode()))
    trace: list[list[object]] = []
    buffer = bytearray()
    conn.settimeout(guess["quiet"])
    try:
        while piece := conn.recv(65536):
            buffer += piece
            for kind, flags, stream, payload in wire.frames(buffer):
                if kind in (wire.DATA, wire.HEADERS, wire.RST_STREAM, wire.GOAWAY):
                    trace.append([kind, flags, stream, len(payload)])
        trace.append(["closed"])
    except TimeoutError:
        trace.append(["open"])
    except OSError as error:
        trace.append([type(error).__name__])
    return trace


def main() -> None:
    prepare(json.loads(sys.stdin.readline()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/lab/server.pem")
    context.set_alpn_protocols(["http/1.1"])
    listener = socket.create_server(("127.0.0.1", 443), backlog=64)
    threading.Thread(target=serve, args=(listener, context), daemon=True).start()
    parts = [proxy("pipelock"), proxy("egress")]
    until = time.monotonic() + 60
    while time.monotonic() < until and not all("live" in json.dumps(part.lines) for part in parts):
        time.sleep(0.1)
    time.sleep(0.3)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        guess = json.loads(line)
        SEEN.clear()
        begun = [len(part.lines) for part in parts]
        try:
            with tunnel({"host": guess["host"], "alpn": ["h2" if guess["http"] == 2 else "http/1.1"]}) as conn:
                client = (http2 if guess["http"] == 2 else http1)(conn, guess)
        except OSError as error:
            client = [[type(error).__name__]]
        time.sleep(PAUSE)
        logs = [
            [(entry.get("decision"), entry.get("reason"), entry.get("host")) for entry in part.lines[at:]]
            for part, at in zip(parts, begun, strict=True)
        ]
        print(json.dumps({"client": client, "server": list(SEEN), "logs": logs}), flush=True)


if __name__ == "__main__":
    main()
