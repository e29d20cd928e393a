# ruff: noqa: S108 - a container of its own
"""The servers of bench/dlp_traffic.py's programs, all in one container: nginx on 443, by name, and these behind it.

Emulators as their makers ship them (moto, azurite, Debian's registry, Django, MCP's SDK); small ones where there is
none. Usage: serve.py PEM
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import apis
import emulated

PORTS = {"s3": 5000, "blob": 10000, "registry": 5001, "form": 5002, "socket": 5003, "ws": 5004, "mcp": 5006}
PORTS |= {"mcp-auth": 5007, "laravel": 5008, "gems": 5010}
# moto takes the first label of any other name for a bucket, azurite for an account.
HOSTS = {"s3": "localhost:5000", "blob": "127.0.0.1:10000"}
OTHERS, GRPC = 5009, 5005

_SERVER = """
server {{
  listen 443 ssl{http2}; server_name {name}.example.com; ssl_certificate {pem}; ssl_certificate_key {pem};
  client_max_body_size 0; {location}
}}
"""
_PROXY = """location / {{ proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1; proxy_set_header Host {host};
  proxy_set_header X-Forwarded-Proto https; proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $upgrade; proxy_request_buffering off; proxy_buffering off; proxy_read_timeout 600s; }}"""
_GIT = """location / {{ include /etc/nginx/fastcgi_params;
  fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
  fastcgi_param GIT_HTTP_EXPORT_ALL ""; fastcgi_param GIT_PROJECT_ROOT /srv/git; fastcgi_param PATH_INFO $uri;
  fastcgi_pass unix:/tmp/fcgi; }}"""


def nginx(pem: str) -> str:
    names = {**PORTS, "*": OTHERS}
    blocks = [
        _SERVER.format(
            name=name,
            pem=pem,
            http2=" http2" if name == "*" else "",
            location=_PROXY.format(port=port, host=HOSTS.get(name, "$host")),
        )
        for name, port in names.items()
    ]
    known = (
        f"location ~ ^/(\\.well-known|token) {{ proxy_pass http://127.0.0.1:{OTHERS}; proxy_set_header Host $host; }}"
    )
    blocks = [block.replace("client_max", f"{known} client_max") if "name mcp." in block else block for block in blocks]
    blocks.append(_SERVER.format(name="git", pem=pem, http2="", location=_GIT.format()))
    grpc = f"location / {{ grpc_pass grpc://127.0.0.1:{GRPC}; grpc_read_timeout 600s; }}"
    blocks.append(_SERVER.format(name="grpc", pem=pem, http2=" http2", location=grpc))
    upgrade = "map $http_upgrade $upgrade { default upgrade; '' ''; }\n"
    head = "events {}\npid /tmp/nginx.pid;\nerror_log /dev/stderr;\nhttp { access_log off;\n"
    paths = "".join(f"{kind}_temp_path /tmp/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return head + paths + upgrade + "".join(blocks) + "}\n"


def main() -> None:
    os.chdir("/tmp")
    Path("/tmp/nginx.conf").write_text(nginx(sys.argv[1]))
    Path("/tmp/form.py").write_text(emulated.FORM % PORTS["form"])
    Path("/tmp/registry.yml").write_text(emulated.REGISTRY % PORTS["registry"])
    secret = subprocess.run(["htpasswd", "-Bbn", "me", "a-word-of-mine-22"], capture_output=True, check=True).stdout
    Path("/tmp/htpasswd").write_bytes(secret)
    repository = "git init -q --bare /srv/git/p.git && git init -q /tmp/w && cd /tmp/w && seq 9999 > a && git add a"
    repository += (
        " && git -c user.name=a -c user.email=a@example.com commit -q -m a && git push -q /srv/git/p.git HEAD:main"
    )
    subprocess.run(
        ["sh", "-c", f"mkdir -p /srv/git && {repository} && git -C /srv/git/p.git symbolic-ref HEAD refs/heads/main"],
        check=True,
    )
    for argv in (
        ["fcgiwrap", "-c", "4", "-s", "unix:/tmp/fcgi"],
        ["moto_server", "-p", str(PORTS["s3"])],
        ["azurite", "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location", "/tmp/azurite"],
        ["docker-registry", "serve", "/tmp/registry.yml"],
        ["python3", "/tmp/form.py"],
        *(["python3", __file__, part] for part in PARTS),
    ):
        subprocess.Popen(argv)
    server = ThreadingHTTPServer(("127.0.0.1", OTHERS), apis.Others)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    time.sleep(4)
    subprocess.run(["nginx", "-c", "/tmp/nginx.conf", "-g", "daemon off; user root;"], check=True)


def _in_a_module(name: str, *argv: object) -> None:
    """Loaded in the server's own process alone."""
    import_module(name).serve(*argv)


PARTS = {
    "socketio": lambda: emulated.socketio(PORTS["socket"]),
    "echo": lambda: asyncio.run(emulated.echo(PORTS["ws"])),
    "grpc": lambda: emulated.grpc_server(GRPC),
    "mcp": lambda: _in_a_module("mcp_servers", PORTS["mcp"]),
    "mcp-auth": lambda: _in_a_module("mcp_servers", PORTS["mcp-auth"], "https://mcp-auth.example.com"),
    "laravel": lambda: _in_a_module("laravel", PORTS["laravel"]),
    "gems": lambda: _in_a_module("gems", PORTS["gems"]),
}

if __name__ == "__main__":
    PARTS.get(sys.argv[1], main)()
