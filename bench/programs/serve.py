# ruff: noqa: E501, S108 - a container of its own, and answers that are data
"""The servers of bench/dlp_traffic.py's programs, all in one container: nginx on 443, by name, and these behind it.

Emulators as their makers ship them (moto, azurite, Debian's registry, Django); small ones where there is none. Usage:
serve.py PEM
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORTS = {"s3": 5000, "blob": 10000, "registry": 5001, "form": 5002, "socket": 5003, "ws": 5004, "mcp": 5006}
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
  proxy_set_header X-Forwarded-Proto https; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade;
  proxy_request_buffering off; proxy_buffering off; proxy_read_timeout 600s; }}"""
_GIT = """location / {{ include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
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
    blocks = [block.replace("client_max", f"{known} client_max") if "mcp." in block else block for block in blocks]
    blocks.append(_SERVER.format(name="git", pem=pem, http2="", location=_GIT.format()))
    grpc = f"location / {{ grpc_pass grpc://127.0.0.1:{GRPC}; grpc_read_timeout 600s; }}"
    blocks.append(_SERVER.format(name="grpc", pem=pem, http2=" http2", location=grpc))
    upgrade = "map $http_upgrade $upgrade { default upgrade; '' ''; }\n"
    head = "events {}\npid /tmp/nginx.pid;\nerror_log /dev/stderr;\nhttp { access_log off;\n"
    paths = "".join(f"{kind}_temp_path /tmp/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return head + paths + upgrade + "".join(blocks) + "}\n"


def jwt(claims: dict[str, Any]) -> str:
    """As RFC 7519 has it; the signature is random."""
    parts = [json.dumps({"alg": "RS256", "typ": "JWT"}).encode(), json.dumps(claims).encode(), os.urandom(256)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


class Others(BaseHTTPRequestHandler):
    """Answers what an API would, as far as its clients look."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _any(self) -> None:
        self.body = self._read()
        host, path = self.headers.get("host", "").partition(":")[0], self.path.partition("?")[0]
        if path.endswith("/v1/messages"):
            return self._messages()
        if path.endswith("/token") or path.endswith("/oauth2/token"):
            token = jwt({"iss": host, "exp": int(time.time()) + 3600, "jti": os.urandom(8).hex()})
            return self._say({"access_token": token, "token": token, "token_type": "Bearer", "expires_in": 3600})
        return self._say(answer(host, self.command, path))

    def _read(self) -> bytes:
        if self.headers.get("transfer-encoding", "") == "chunked":
            out = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                out += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return out
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _say(self, content: Any, status: int = 200, kind: str = "application/json") -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("etag", f'"{base64.b16encode(os.urandom(16)).decode().lower()}"')
        self.send_header("set-cookie", f"session={base64.urlsafe_b64encode(os.urandom(48)).decode()}; Path=/")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _messages(self) -> None:
        """Anthropic, "Streaming Messages"."""
        asked = json.loads(self.body)
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [],
                   "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
        if not asked.get("stream"):
            return self._say({**message, "content": [{"type": "text", "text": "pong"}], "stop_reason": "end_turn"})
        events = [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "pong"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
        text = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)
        return self._say(text.encode(), kind="text/event-stream")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _any


def answer(host: str, method: str, path: str) -> Any:
    if host.startswith("k8s"):
        if path.endswith("/pods"):
            return {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": [
            {"name": "pods", "namespaced": True, "kind": "Pod", "verbs": ["list", "get"]}], "groups": [], "versions": ["v1"]}  # fmt: skip
    if path.startswith("/.well-known/oauth-protected-resource"):  # RFC 9728
        return {"resource": f"https://{host}/mcp", "authorization_servers": [f"https://{host}"]}
    if host.startswith("gcs"):
        return {"kind": "storage#object", "name": "o", "bucket": "b", "generation": "1", "items": [], "size": "5"}
    if "embeddings" in path:
        return {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}, "model": "m"}  # fmt: skip
    if path.endswith("chat/completions"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    if "/issues" in path or "/pulls" in path:
        one = {"number": 1, "id": 1, "title": "t", "url": f"https://{host}{path}/1", "html_url": f"https://{host}/1"}
        return one if method in ("POST", "PATCH") else [one]
    if path.endswith("graphql"):
        return {"data": {"repository": {"id": "R_1", "name": "project", "issues": {"totalCount": 0, "nodes": [],
                "pageInfo": {"hasNextPage": False, "endCursor": None}}}}}  # fmt: skip
    return {"id": 1, "object": "thing", "name": "project", "full_name": "acme/project", "ok": True, "status": 1,
            "url": f"https://{host}{path}", "data": [], "has_more": False, "event_id": os.urandom(16).hex()}  # fmt: skip


FORM = """
import sys
from django.conf import settings
settings.configure(DEBUG=False, SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"], CSRF_TRUSTED_ORIGINS=["https://form.example.com"],
    CSRF_COOKIE_SECURE=True, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}])
from django.http import HttpResponse
from django.template import Context, Engine
from django.middleware.csrf import get_token
from django.urls import path
def page(request):
    if request.method == "POST":
        return HttpResponse("saved " + request.POST.get("text", request.headers.get("x-csrftoken", ""))[:20])
    return HttpResponse(f'<form method=post><input type=hidden name=csrfmiddlewaretoken value="{get_token(request)}"></form>')
urlpatterns = [path("", page)]
from django.core.wsgi import get_wsgi_application
from wsgiref.simple_server import make_server
make_server("127.0.0.1", %d, get_wsgi_application()).serve_forever()
"""

REGISTRY = """
version: 0.1
storage: {filesystem: {rootdirectory: /tmp/registry}}
http: {addr: 127.0.0.1:%d, host: https://registry.example.com}
auth: {htpasswd: {realm: test, path: /tmp/htpasswd}}
"""


def socketio() -> None:
    import socketio as sockets
    import uvicorn

    server = sockets.AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    @server.on("say")  # type: ignore[misc]
    async def say(sid: str, data: Any) -> None:
        await server.emit("answer", data, to=sid)

    uvicorn.run(sockets.ASGIApp(server), host="127.0.0.1", port=PORTS["socket"], log_level="error")


async def echo() -> None:
    import websockets

    async def one(socket: Any) -> None:
        async for message in socket:
            await socket.send(message)

    async with websockets.serve(one, "127.0.0.1", PORTS["ws"], max_size=None):
        await asyncio.Future()


def grpc_server() -> None:
    import grpc

    def each(requests: Any, _: Any) -> Any:
        yield from requests

    handlers = {"Each": grpc.stream_stream_rpc_method_handler(each)}
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{GRPC}")
    server.start()
    server.wait_for_termination()


def mcp_server() -> None:
    from mcp.server.transport_security import TransportSecuritySettings

    try:
        from mcp.server.mcpserver import MCPServer as Server
    except ImportError:
        from mcp.server.fastmcp import FastMCP as Server
    import uvicorn

    server = Server("test")

    @server.tool()  # type: ignore[misc]
    def add(a: int, b: int) -> int:
        return a + b

    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(streamable_http_path="/mcp", transport_security=security)
    uvicorn.run(app, host="127.0.0.1", port=PORTS["mcp"], log_level="error")


def main() -> None:
    os.chdir("/tmp")
    Path("/tmp/nginx.conf").write_text(nginx(sys.argv[1]))
    Path("/tmp/form.py").write_text(FORM % PORTS["form"])
    Path("/tmp/registry.yml").write_text(REGISTRY % PORTS["registry"])
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
        *(["python3", __file__, part] for part in ("socketio", "echo", "grpc", "mcp")),
    ):
        subprocess.Popen(argv)
    server = ThreadingHTTPServer(("127.0.0.1", OTHERS), Others)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    time.sleep(4)
    subprocess.run(["nginx", "-c", "/tmp/nginx.conf", "-g", "daemon off; user root;"], check=True)


PARTS = {"socketio": socketio, "echo": lambda: asyncio.run(echo()), "grpc": grpc_server, "mcp": mcp_server}

if __name__ == "__main__":
    PARTS.get(sys.argv[1], main)()
