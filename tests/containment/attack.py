"""Runs inside the agent, as `node` or as root: tries each way out that it is given and tells what it got back.

Standard input: a JSON list of {id, how: {verb: arguments}, patient}; a patient one, which should arrive, is given a minute
for each answer. Standard output: a JSON line {id, got} for each. It judges nothing:
whether something got out is seen outside, and whether a token was read is looked for in `got`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PROXY = ("egress", 8080)
WAIT, PATIENT = 4.0, 60.0
LOCAL = threading.local()
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "SVCB": 64,
         "HTTPS": 65, "ANY": 255, "NULL": 10}  # fmt: skip


def wait() -> float:
    """Seconds that the other side is given for an answer."""
    return float(getattr(LOCAL, "wait", WAIT))


def drain(sock: socket.socket, limit: int = 200_000) -> bytes:
    got = b""
    with contextlib.suppress(OSError, ssl.SSLError):
        while len(got) < limit:
            data = sock.recv(65536)
            if not data:
                break
            got += data
            if complete(got):
                sock.settimeout(0.4)  # perhaps there is a second answer
    return got


def complete(got: bytes) -> bool:
    head, _, body = got.partition(b"\r\n\r\n")
    if got.startswith(b"HTTP/1.1 101 ") and b"\r\n\r\n" in got:  # frames follow, once this side has said something
        return True
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return got.endswith(b"0\r\n\r\n")


def tcp(host: str, port: int, data: str = "", family: str = "4") -> bytes:
    kind = socket.AF_INET6 if family == "6" else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        sock.connect((host, port))
        sock.sendall(raw(data))
        return b"CONNECTED " + drain(sock)


def udp(host: str, port: int, data: str = "", family: str = "4") -> bytes:
    kind = socket.AF_INET6 if family == "6" else socket.AF_INET
    with socket.socket(kind, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.7)
        sock.sendto(raw(data), (host, port))
        return b"ANSWERED " + sock.recv(65536)


def icmp(host: str, data: str) -> bytes:
    for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
        try:
            with socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP) as sock:
                sock.settimeout(0.7)
                head = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
                packet = head + raw(data)
                total = sum(struct.unpack(f"!{len(packet) // 2}H", packet[: len(packet) // 2 * 2]))
                total = (total >> 16) + (total & 0xFFFF)
                packet = struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xFFFF, 1, 1) + packet[8:]
                sock.sendto(packet, (host, 0))
                return b"ANSWERED " + sock.recv(2048)
        except OSError:
            continue
    return b""


def dns(server: str, name: str, type: str = "A", over: str = "udp", port: int = 53) -> bytes:
    labels = b"".join(bytes([len(part)]) + part for part in name.encode().split(b"."))
    query = struct.pack("!HHHHHH", random.randrange(1 << 16), 0x0100, 1, 0, 0, 0) + labels + b"\0"
    query += struct.pack("!HH", TYPES[type], 1)
    kind = socket.SOCK_STREAM if over == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(1.0)
        sock.connect((server, port))
        sock.sendall(struct.pack("!H", len(query)) + query if over == "tcp" else query)
        return b"ANSWERED " + sock.recv(4096)


def raw(text: str) -> bytes:
    return text.encode("latin-1")


def proxy_address() -> tuple[str, int]:
    """Of the proxy, looked up once and first: a row as root may give the container another name server."""
    for _ in range(10):
        try:
            return socket.gethostbyname(PROXY[0]), PROXY[1]
        except socket.gaierror:
            time.sleep(0.5)
    return PROXY


def open_proxy(connect: str = "", sni: str | None = None, tls: bool = True, alpn: str = "", head: str = "") -> Any:
    """A connection to the proxy, after CONNECT and TLS where asked for; the answer of a refused CONNECT in its place."""
    sock = socket.create_connection(PROXY, timeout=wait())
    if not connect:
        return sock
    sock.sendall(raw(head or f"CONNECT {connect} HTTP/1.1\r\nHost: {connect}\r\n\r\n"))
    got = b""
    while b"\r\n\r\n" not in got:
        data = sock.recv(4096)
        if not data:
            return got
        got += data
    if b" 200" not in got.split(b"\r\n")[0]:
        return got + drain(sock)
    if not tls:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([alpn])
    return context.wrap_socket(sock, server_hostname=sni or None)


def proxy(send: str, second: str = "", **where: Any) -> bytes:
    conn = open_proxy(**where)
    if isinstance(conn, bytes):
        return conn
    with conn:
        conn.sendall(raw(send))
        got = drain(conn)
        if second:
            conn.settimeout(wait())
            conn.sendall(raw(second))
            got += b"\n--second--\n" + drain(conn)
        return got


def h2(headers: list[list[str]], data: str = "", extra: list[list[str]] | None = None, **where: Any) -> bytes:
    """One HTTP/2 stream with exactly these header fields, literally coded; `extra` are trailers."""

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    def block(fields: list[list[str]]) -> bytes:
        coded = b""
        for name, value in fields:
            for word in ((b"\0", raw(name)), (b"", raw(value))):
                coded += (
                    word[0]
                    + (bytes([len(word[1])]) if len(word[1]) < 127 else b"\x7f" + varint(len(word[1]) - 127))
                    + word[1]
                )
        return coded

    def varint(rest: int) -> bytes:
        out = b""
        while rest >= 128:
            out += bytes([rest % 128 + 128])
            rest //= 128
        return out + bytes([rest])

    conn = open_proxy(alpn="h2", **where)
    if isinstance(conn, bytes):
        return conn
    with conn:
        last = not data and not extra
        out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4 | last, 1, block(headers))
        if data:
            out += frame(0, 0 if extra else 1, 1, raw(data))
        if extra:
            out += frame(1, 5, 1, block(extra))
        conn.sendall(out)
        conn.settimeout(1.5)
        got = drain(conn)
        for _ in range(int(wait())):
            if answered(got):  # on a busy machine it takes longer
                break
            got += drain(conn)
        return got


def answered(got: bytes) -> bool:
    """Whether there is a frame of the stream, or one that ends the connection (RFC 9113, 4.1 and 6)."""
    at = 0
    while at + 9 <= len(got):
        if int.from_bytes(got[at + 5 : at + 9], "big") == 1 or got[at + 3] == 7:
            return True
        at += 9 + int.from_bytes(got[at : at + 3], "big")
    return False


def websocket(message: str, path: str = "/", **where: Any) -> bytes:
    host = where["sni"]
    key = base64.b64encode(b"0123456789abcdef").decode()
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    text = raw(message)
    frame = bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text
    return proxy(head, frame.decode("latin-1"), **where)


def sh(command: str) -> bytes:
    # By the proxy's address, for a program of a row as root finds it by name as little as this one.
    by_address = f"http://{PROXY[0]}:{PROXY[1]}"
    env = {
        key: by_address if key.lower() in ("http_proxy", "https_proxy") else value for key, value in os.environ.items()
    }
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=45, check=False, env=env)
    return done.stdout + done.stderr


def many(tries: list[dict[str, Any]]) -> bytes:
    """Several in turn, for what only works in two steps."""
    return b"\n--next--\n".join(run(how) for how in tries)


VERBS = {
    "tcp": tcp,
    "udp": udp,
    "icmp": icmp,
    "dns": dns,
    "proxy": proxy,
    "h2": h2,
    "websocket": websocket,
    "sh": sh,
    "many": many,
}


def run(how: dict[str, Any]) -> bytes:
    ((verb, arguments),) = how.items()
    try:
        return VERBS[verb](
            *([arguments] if not isinstance(arguments, dict) else []),
            **(arguments if isinstance(arguments, dict) else {}),
        )
    except (OSError, ssl.SSLError, subprocess.TimeoutExpired, UnicodeError, ValueError) as error:
        # Without the command, which names the words that are looked for.
        return type(error).__name__.encode() if verb == "sh" else f"{type(error).__name__}: {error}".encode()


def tried(attack: dict[str, Any]) -> bytes:
    LOCAL.wait = PATIENT if attack["patient"] else WAIT
    return run(attack["how"])


def main() -> None:
    global PROXY
    PROXY = proxy_address()
    attacks = json.load(sys.stdin)
    with ThreadPoolExecutor(8) as pool:
        for attack, got in zip(attacks, pool.map(tried, attacks), strict=True):
            print(json.dumps({"id": attack["id"], "got": got.decode("latin-1")[:60_000]}), flush=True)


if __name__ == "__main__":
    main()
