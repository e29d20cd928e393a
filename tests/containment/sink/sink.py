"""Listens to everything and writes down what arrives, decrypted: one JSON line for each piece. Runs in the sink's container.

Every TCP port but 443 is redirected to one plain listener, 443 to a TLS one, every UDP port to one socket; ICMP is read raw.
An HTTP request is answered with all of it as the body, as an upstream does that shows its caller's headers.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
from pathlib import Path

PLAIN, TLS, UDP = 9999, 9443, 9998
EXTRA = ("169.254.169.254", "10.99.99.99")  # the metadata address and a private one, on the sink as well
LOCK = threading.Lock()
ORIGINAL_DST = 80
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def log(kind: str, port: int, data: bytes) -> None:
    with LOCK:
        sys.stdout.write(json.dumps({"kind": kind, "port": port, "data": data.decode("latin-1")}) + "\n")
        sys.stdout.flush()


def original_port(sock: socket.socket) -> int:
    raw = sock.getsockopt(socket.SOL_IP, ORIGINAL_DST, 16)
    return int(struct.unpack("!2xH12x", raw)[0])


def body_length(head: bytes) -> tuple[int, bool]:
    lines = head.lower().split(b"\r\n")
    chunked = any(line.startswith(b"transfer-encoding:") and b"chunked" in line for line in lines)
    sizes = [line.partition(b":")[2].strip() for line in lines if line.startswith(b"content-length:")]
    return (int(sizes[0]) if sizes and sizes[0].isdigit() else 0), chunked


def converse(conn: socket.socket, kind: str, port: int) -> None:
    """Log all bytes; answer what looks like HTTP requests, one after the other."""
    conn.settimeout(8)
    pending = b""
    with contextlib.suppress(OSError):
        while True:
            data = conn.recv(65536)
            if not data:
                break
            log(kind, port, data)
            pending += data
            while b"\r\n\r\n" in pending:
                head, _, rest = pending.partition(b"\r\n\r\n")
                size, chunked = body_length(head)
                if chunked:
                    end = rest.find(b"0\r\n\r\n")
                    if end < 0:
                        break
                    whole, pending = head + b"\r\n\r\n" + rest[: end + 5], rest[end + 5 :]
                elif len(rest) < size:
                    break
                else:
                    whole, pending = head + b"\r\n\r\n" + rest[:size], rest[size:]
                if b"\r\nupgrade: websocket" in head.lower():
                    conn.sendall(upgrade(head))
                    log_frames(conn, kind, port, pending)
                    pending = b""
                    break
                path = head.split(b" ")[1] if head.count(b" ") else b"/"
                conn.sendall(answer(path, whole, head.startswith(b"HEAD")))
    with contextlib.suppress(OSError):
        conn.close()


def upgrade(head: bytes) -> bytes:
    keys = [
        line.partition(b":")[2].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    ]
    accept = base64.b64encode(hashlib.sha1((keys or [b""])[0] + WEBSOCKET).digest())
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return answer + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


def log_frames(conn: socket.socket, kind: str, port: int, data: bytes) -> None:
    """Log what frames say, for they come masked (RFC 6455, 5.3). Those of the table are shorter than 126 bytes."""
    while True:
        while len(data) >= 6 and len(data) >= (end := 6 + (data[1] & 127)):
            log(kind, port, bytes(byte ^ data[2 + at % 4] for at, byte in enumerate(data[6:end])))
            data = data[end:]
        piece = conn.recv(65536)
        if not piece:
            return
        data += piece


def said(path: bytes) -> bytes:
    """Says what it was told in a way that nobody reads on the way: each letter is the one before it."""
    kind, _, coded_word = path.partition(b"?")[0].removeprefix(b"/said-").partition(b"/")
    before = bytes.maketrans(b"BCDEFGHIJKLMNOPQRSTUVWXYZAbcdefghijklmnopqrstuvwxyza1234567890",
                             b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")  # fmt: skip
    word = coded_word.translate(before)
    if kind == b"point":
        return (
            b"HTTP/1.1 302 Found\r\nLocation: https://b.wild.example.com/?x=" + word + b"\r\nContent-Length: 0\r\n\r\n"
        )
    if kind in (b"link", b"inside"):
        page = b'<a href="https://' + (b"files" if kind == b"link" else kind) + b".example.com/" + word + b'">x</a>'
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page) + page
    if kind == b"inward":
        to = b"https://inside.example.com/" + word
        return b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\nContent-Length: 0\r\n\r\n"
    body, cookie = (
        b'{"token": "' + word + b'"}',
        b"Set-Cookie: s=" + word + b"; Path=/\r\n" if kind == b"cookie" else b"",
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + cookie
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def answer(path: bytes, whole: bytes, head_only: bool) -> bytes:
    if path.startswith(b"/said-"):
        return said(path)
    if b"/redirect" in path:
        return (
            b"HTTP/1.1 302 Found\r\nLocation: https://undeclared.example.com/" + path + b"\r\nContent-Length: 0\r\n\r\n"
        )
    status = b"500 Internal Server Error" if b"/error" in path else b"200 OK"
    echoed = [
        line for line in whole.split(b"\r\n")[1:] if line.lower().startswith((b"x-", b"authorization", b"cookie"))
    ]
    shown = b"".join(b"Seen-" + line + b"\r\n" for line in echoed if b": " in line)
    head = b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain\r\n" + shown
    return head + b"Content-Length: %d\r\n\r\n" % len(whole) + (b"" if head_only else whole)


def serve_plain(listener: socket.socket) -> None:
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=converse, args=(conn, "tcp", original_port(conn)), daemon=True).start()


def serve_tls(listener: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/sink.pem")

    def other_certificate(conn: ssl.SSLObject, name: str | None, _: object) -> None:
        """A host with a certificate of its own, where there is a file of its name."""
        if name and Path(f"/certificates/{name}.pem").exists():
            own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            own.load_cert_chain(f"/certificates/{name}.pem")
            conn.context = own

    context.sni_callback = other_certificate  # type: ignore[assignment]

    def one(conn: socket.socket) -> None:
        conn.settimeout(8)
        try:
            wrapped = context.wrap_socket(conn, server_side=True)
        except OSError:
            return
        converse(wrapped, "tls", 443)

    while True:
        conn, _ = listener.accept()
        threading.Thread(target=one, args=(conn,), daemon=True).start()


def serve_udp(sock: socket.socket) -> None:
    while True:
        data, peer = sock.recvfrom(65536)
        log("udp", 0, data)
        with contextlib.suppress(OSError):
            sock.sendto(data, peer)


def serve_icmp() -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    while True:
        log("icmp", 0, sock.recv(65536))


def main() -> None:
    for address in EXTRA:
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "eth0"], check=True)
    for protocol, port, to in (("tcp", "443", TLS), ("tcp", None, PLAIN), ("udp", None, UDP)):
        only = ["--dport", port] if port else []
        rule = [
            "iptables",
            "-t",
            "nat",
            "-A",
            "PREROUTING",
            "-p",
            protocol,
            *only,
            "-j",
            "REDIRECT",
            "--to-ports",
            str(to),
        ]
        subprocess.run(rule, check=True)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", UDP))
    work = [
        (serve_plain, (socket.create_server(("0.0.0.0", PLAIN), backlog=256),)),
        (serve_tls, (socket.create_server(("0.0.0.0", TLS), backlog=256),)),
        (serve_udp, (udp,)),
        (serve_icmp, ()),
    ]
    threads = [threading.Thread(target=target, args=args, daemon=True) for target, args in work]
    for thread in threads:
        thread.start()
    print(json.dumps({"kind": "ready", "port": 0, "data": ""}), flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
