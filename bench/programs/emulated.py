# ruff: noqa: E501 - a container of its own, and files that are data
"""Servers of serve.py made of libraries as they come: Django, Debian's registry, socket.io, websockets, gRPC."""

from __future__ import annotations

import asyncio
from concurrent import futures
from typing import Any

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


def socketio(port: int) -> None:
    import socketio as sockets
    import uvicorn

    server = sockets.AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    @server.on("say")  # type: ignore[misc]
    async def say(sid: str, data: Any) -> None:
        await server.emit("answer", data, to=sid)

    uvicorn.run(sockets.ASGIApp(server), host="127.0.0.1", port=port, log_level="error")


async def echo(port: int) -> None:
    import websockets

    async def one(socket: Any) -> None:
        async for message in socket:
            await socket.send(message)

    async with websockets.serve(one, "127.0.0.1", port, max_size=None):
        await asyncio.Future()


def grpc_server(port: int) -> None:
    import grpc

    def each(requests: Any, _: Any) -> Any:
        yield from requests

    handlers = {"Each": grpc.stream_stream_rpc_method_handler(each)}
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()
