"""A gem server: the compact index that gem and bundler read, and the address to which `gem push` writes.

As in RubyGems' guides ("Compact index API", "RubyGems.org API"). It holds only what was pushed.
"""

from __future__ import annotations

import hashlib
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILES = Path("/srv/gems")
# Of one gem: its name, version, and the specification as clients read it, compressed.
_READ = """
require "rubygems/package"
spec = Gem::Package.new(ARGV[0]).spec
spec.abbreviate
spec.sanitize
STDERR.puts spec.name, spec.version
STDOUT.binmode.write Gem.deflate(Marshal.dump(spec))
"""


def keep(gem: bytes) -> str:
    """Put a gem into the index; gives its full name."""
    pushed = FILES / "pushed.gem"
    pushed.parent.mkdir(parents=True, exist_ok=True)
    pushed.write_bytes(gem)
    done = subprocess.run(["ruby", "-e", _READ, str(pushed)], capture_output=True, check=True)
    name, version = done.stderr.decode().split()[-2:]
    info = f"---\n{version} |checksum:{hashlib.sha256(gem).hexdigest()}\n"
    digest = hashlib.md5(info.encode(), usedforsecurity=False).hexdigest()
    files = {
        f"info/{name}": info.encode(),
        "names": f"---\n{name}\n".encode(),
        "versions": f"created_at: 2026-01-01T00:00:00Z\n---\n{name} {version} {digest}\n".encode(),
        f"quick/Marshal.4.8/{name}-{version}.gemspec.rz": done.stdout,
        f"gems/{name}-{version}.gem": gem,
    }
    for path, data in files.items():
        (FILES / path).parent.mkdir(parents=True, exist_ok=True)
        (FILES / path).write_bytes(data)
    return f"{name} ({version})"


class Gems(BaseHTTPRequestHandler):
    """Files, and POST /api/v1/gems."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        file = FILES / self.path.partition("?")[0].lstrip("/")
        if ".." in self.path or not file.is_file():
            return self._say(404, b"not found")
        return self._say(200, file.read_bytes())

    do_HEAD = do_GET

    def do_POST(self) -> None:
        gem = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path != "/api/v1/gems" or not self.headers.get("authorization"):
            return self._say(401, b"not allowed")
        return self._say(200, f"Successfully registered gem: {keep(gem)}".encode())

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("etag", f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
        self.send_header(
            "content-type", "application/octet-stream" if self.path.endswith((".gem", ".rz")) else "text/plain"
        )
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def serve(port: int) -> None:
    ThreadingHTTPServer(("127.0.0.1", port), Gems).serve_forever()
