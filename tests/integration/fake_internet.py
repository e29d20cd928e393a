"""The fake internet: one server for every test host, on TLS and plain HTTP. Runs in a container of the tests.

Writes one JSON line a request to standard output: what arrived outside is what the tests judge by.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import re
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

Fields = Sequence[tuple[str, str]]
ANSWER = "pong from the fake model"
GATES: dict[str, threading.Event] = {}
LOCK = threading.Lock()


def gate(name: str) -> threading.Event:
    with LOCK:
        return GATES.setdefault(name, threading.Event())


_MARKS = re.compile(rb"MARK-[a-z0-9-]+|ghp_[A-Za-z0-9]{36}|\[REDACTED [a-z0-9-]+\]")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_: object) -> None:
        return

    def _read(self) -> tuple[bytes, bool]:
        """Body, and whether it came whole."""
        out = bytearray()
        try:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                while True:
                    line = self.rfile.readline()
                    if not line:
                        return bytes(out), False
                    size = int(line, 16)
                    out += self.rfile.read(size)
                    self.rfile.readline()
                    if size == 0:
                        return bytes(out), True
            left = int(self.headers.get("content-length", 0))
            while left:
                chunk = self.rfile.read1(min(left, 1 << 16))
                if not chunk:
                    return bytes(out), False
                out += chunk
                left -= len(chunk)
        except (OSError, ValueError):
            return bytes(out), False
        return bytes(out), True

    def _record(self, body: bytes, whole: bool) -> None:
        record = {
            "host": self.headers.get("host"),
            "method": self.command,
            "path": self.path,
            "tls": isinstance(self.connection, ssl.SSLSocket),
            "headers": [[k.lower(), v] for k, v in self.headers.items()],
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "whole": whole,
            # Words like MARK-prompt, wherever they are: what of the bottle has got into a long request.
            # And what became of a token of GitHub's in it.
            "marks": sorted({mark.decode() for mark in _MARKS.findall(body)}),
            "end": body[-4000:].decode("latin-1"),
        }
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()

    def _talk(self) -> None:
        """Answers each piece of a body when it has come, as the other side waits for that before it goes on."""
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while (line := self.rfile.readline()) and (size := int(line, 16)):
            piece = b"heard " + self.rfile.read(size)
            self.rfile.readline()
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def handle_any(self) -> None:
        if self.path == "/talk":
            self._talk()
            return
        body, whole = self._read()
        self._record(body, whole)
        if not whole:
            self.close_connection = True
            return
        self.answer(body)

    def answer(self, body: bytes) -> None:
        """Answer a request that came whole and is recorded."""
        host = (self.headers.get("host") or "").partition(":")[0]
        path = self.path.partition("?")[0]
        if host == "api.anthropic.com":
            self._model(body)
        elif path.startswith("/sse/"):
            self._events(path.rpartition("/")[2])
        elif path.startswith("/open/"):
            gate(path.rpartition("/")[2]).set()
            self._send(200, b"opened")
        elif path.startswith("/big/"):
            self._send(200, b"x" * int(path.rpartition("/")[2]), "application/octet-stream")
        elif path.endswith("/lines"):  # 4 MB in which every piece has its place
            self._send(200, b"".join(b"%07d\n" % number for number in range(1 << 19)), "text/plain")
        elif path == "/gzip":
            self._send(200, gzip.compress(self._echo(body)), encoding="gzip")
        elif path.startswith("/says/"):
            self._says(path.rpartition("/")[2])
        elif path.startswith("/simple/"):  # an index whose files are on another host
            wheel = f"{path.removeprefix('/simple/').strip('/')}-1-py3-none-any.whl"
            page = f'<a href="https://undeclared.example.com/files/{wheel}#sha256=00">{wheel}</a>'
            self._send(200, gzip.compress(page.encode()), "text/html", "gzip")
        elif path == "/redirect":
            self.send_response(302)
            self.send_header("location", "https://undeclared.example.com/")
            self.send_header("content-length", "0")
            self.end_headers()
        else:
            self._send(200, self._echo(body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any

    def _echo(self, body: bytes) -> bytes:
        seen = {"host": self.headers.get("host"), "path": self.path, "method": self.command, "length": len(body)}
        return json.dumps({**seen, "headers": [[k.lower(), v] for k, v in self.headers.items()]}).encode()

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", encoding: str = "", fields: Fields = ()
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in self.headers.items():
            if name.lower().startswith("x-"):
                self.send_header(f"seen-{name}", value)
        for name, value in fields:
            self.send_header(name, value)
        if encoding:
            self.send_header("content-encoding", encoding)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _says(self, how: str) -> None:
        """What servers say that their clients say back. Another token each time, of no account anywhere."""
        claims = {"iss": "auth.example.com", "aud": "registry.example.com", "jti": secrets.token_urlsafe(24)}
        parts = [json.dumps({"alg": "ES256", "typ": "JWT"}), json.dumps(claims), secrets.token_urlsafe(48)]
        token = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
        host = self.headers.get("host")
        if how == "challenge":  # CNCF Distribution: token authentication specification
            self._send(
                401, b"{}", fields=[("www-authenticate", f'Bearer realm="https://{host}/says/token",service="r"')]
            )
        elif how == "token":
            self._send(200, json.dumps({"token": token, "expires_in": 300}).encode())
        elif how == "form":  # Laravel's documents: CSRF protection, the field and the cookie
            xsrf = base64.b64encode(json.dumps({"iv": secrets.token_urlsafe(12), "value": token}).encode()).decode()
            page = f'<form method="post"><input type="hidden" name="api_key" value="{token}"></form>'
            cookie = f"XSRF-TOKEN={quote(xsrf, safe='')}; path=/; secure"
            self._send(200, gzip.compress(page.encode()), "text/html", "gzip", [("set-cookie", cookie)])
        else:  # a forge's release: DataDog/documentation, pull request 24206
            signed = f"X-Amz-Credential=AKIAQRSTUVWXYZ234567%2F20240718%2Fus-east-1%2Fs3%2Faws4_request&jwt={token}"
            to = f"https://sub.wild.example.com/production-release-asset/47203045?{signed}&X-Amz-SignedHeaders=host"
            self._send(302, b"", "text/html", fields=[("location", to)])

    def _start_events(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _event(self, name: str, data: object) -> None:
        text = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        self.wfile.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
        self.wfile.flush()

    def _events(self, name: str) -> None:
        """One event, then nothing until somebody opens the gate, then a second one with the request's headers."""
        self._start_events()
        self._event("first", {"gate": name})
        opened = gate(name).wait(40)
        self._event("second", {"opened": opened, "headers": [[k, v] for k, v in self.headers.items()]})
        self.wfile.write(b"0\r\n\r\n")

    def _model(self, body: bytes) -> None:
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            request = {}
        if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
            return self._send(200, b'{"input_tokens": 3}')
        usage = {"input_tokens": 3, "output_tokens": 5}
        message = {
            "id": "msg_test",
            "type": "message",
            "role": "assistant",
            "model": request.get("model", "test"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        if not request.get("stream"):
            done = {**message, "content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn"}
            return self._send(200, json.dumps(done).encode())
        call, result = scripted(request)
        if call:
            return self._tool_use(message, usage, *call)
        words = f"{ANSWER} {result}" if result else ANSWER
        self._start_events()
        self._event("message_start", {"type": "message_start", "message": message})
        start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        self._event("content_block_start", start)
        for word in words.split(" "):
            time.sleep(0.02)
            delta = {"type": "text_delta", "text": word + " "}
            self._event("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})
        self._event("content_block_stop", {"type": "content_block_stop", "index": 0})
        end = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}
        self._event("message_delta", end)
        self._event("message_stop", {"type": "message_stop"})
        self.wfile.write(b"0\r\n\r\n")
        return None

    def _tool_use(
        self, message: dict[str, object], usage: dict[str, int], name: str, arguments: str, identity: str
    ) -> None:
        self._start_events()
        self._event("message_start", {"type": "message_start", "message": message})
        block = {"type": "tool_use", "id": identity, "name": name, "input": {}}
        self._event("content_block_start", {"type": "content_block_start", "index": 0, "content_block": block})
        delta = {"type": "input_json_delta", "partial_json": arguments}
        self._event("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})
        self._event("content_block_stop", {"type": "content_block_stop", "index": 0})
        end = {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": usage}
        self._event("message_delta", end)
        self._event("message_stop", {"type": "message_stop"})
        self.wfile.write(b"0\r\n\r\n")


def scripted(request: dict[str, object]) -> tuple[tuple[str, str, str] | None, str | None]:
    """Lines `CALL tool {json}` of a prompt make the model call these tools in turn: the next call, or all the results."""
    calls: list[tuple[str, str]] = []
    results: list[str] = []
    for message in request.get("messages") or []:  # type: ignore[attr-defined]
        content = message.get("content")
        for block in content if isinstance(content, list) else [{"type": "text", "text": content}]:
            calls += re.findall(r"^CALL (\S+) (\{.*\})$", str(block.get("text", "")), re.M)
            if block.get("type") == "tool_result":
                inner = block.get("content")
                parts = [inner] if isinstance(inner, str) else [str(part.get("text", "")) for part in inner or []]
                results.append(" ".join(parts))
    # Only the turns that offer the tools; Claude Code asks for titles and such too.
    names = [tool.get("name") for tool in request.get("tools") or []]  # type: ignore[attr-defined]
    if not calls or calls[0][0] not in names:
        return None, None
    if len(results) < len(calls):
        return (*calls[len(results)], f"toolu_{len(results)}"), None
    return None, " ".join(results)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    address_family = socket.AF_INET

    def handle_error(self, *_: object) -> None:
        return  # clients that hang up are what some tests are about


def main(handler: type[Handler] = Handler) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/fake/server.pem")
    secure = Server(("0.0.0.0", 443), handler)
    plain_accept = secure.get_request

    def accept() -> tuple[ssl.SSLSocket, object]:
        sock, address = plain_accept()
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    secure.get_request = accept  # type: ignore[method-assign]
    threading.Thread(target=secure.serve_forever, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        Server(("0.0.0.0", 80), handler).serve_forever()


if __name__ == "__main__":
    main()
