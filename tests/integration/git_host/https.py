"""git http-backend behind TLS and basic authentication. Every request and whether it was let in is logged."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MOVES = Path("/srv/acme/moves.json")  # a path to another address, with 301


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def handle_any(self) -> None:
        body = self._body()
        token = Path("/token").read_text().strip()
        expected = "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()
        allowed = self.headers.get("authorization") == expected
        print(json.dumps({"method": self.command, "path": self.path, "allowed": allowed}), flush=True)
        if not allowed:
            self.send_response(401)
            self.send_header("www-authenticate", 'Basic realm="git"')
            self.send_header("content-length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        for old, new in json.loads(MOVES.read_text()).items() if MOVES.exists() else ():
            if path.startswith(f"{old}/"):
                self.send_response(301)
                self.send_header("location", new + self.path.removeprefix(old))
                self.send_header("content-length", "0")
                self.end_headers()
                return
        env = {
            **os.environ,
            "HOME": "/home/git",
            "GIT_PROJECT_ROOT": "/srv",
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
            "REMOTE_USER": "owner",
        }
        backend = ["git", "http-backend"]
        # As the account that sshd pushes by, because each writes into folders that the other made.
        done = subprocess.run(
            backend, input=body, env=env, stdout=subprocess.PIPE, check=False, user="git", group="git"
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for key, value in fields if key == "Status"), 200)
        self.send_response(status)
        for key, value in fields:
            if key != "Status":
                self.send_header(key, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = handle_any


def main() -> None:
    server = ThreadingHTTPServer(("0.0.0.0", 443), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
