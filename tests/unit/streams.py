"""One request driven through the corrected HTTP layers, with an addon's hooks and without a network."""

from __future__ import annotations

import inspect
from enum import IntEnum
from typing import Any

from mitmproxy.connection import Server
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import HTTPMode, _events
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseEndOfMessage,
    ResponseHeaders,
)
from mitmproxy.test import tflow, tutils

if not hasattr(_events, "ErrorCode"):  # the layers are written for a newer mitmproxy, which has names for these

    class ErrorCode(IntEnum):
        GENERIC_CLIENT_ERROR, GENERIC_SERVER_ERROR, CLIENT_DISCONNECTED, KILL = 400, 502, 499, 444

    _events.ErrorCode = ErrorCode  # type: ignore[attr-defined]

from addons.http.body_pauses import BodyPause
from addons.http.layers import Stream


class DrivenStream:
    """Says what comes, waits for each hook, and keeps what is sent to the upstream (`upstream`) and to the client."""

    def __init__(self, addon: Any, options: Options, dial_error: str = "") -> None:
        self._dial_error = dial_error
        self._addon = addon
        self._client = tflow.tclient_conn()
        self._client.sni = "open.example.org"
        context = Context(self._client, options)
        layers.HttpLayer(context, HTTPMode.regular)
        self.stream = Stream(context, 1)
        self.hooks: list[str] = []
        self.upstream: list[Any] = []
        self.client: list[Any] = []

    async def begin(self, url: str = "https://open.example.org/x", **headers: str) -> None:
        """A head, with the name of the host put in."""
        request = tutils.treq(method=b"POST", content=None)
        request.headers.clear()
        request.timestamp_end = None
        request.url, request.headers["host"] = url, "open.example.org"
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        await self.feed(events.Start())
        await self.feed(RequestHeaders(1, request, end_stream=False))

    async def data(self, data: bytes) -> None:
        await self.feed(RequestData(1, data))

    async def pause(self) -> None:
        """Nothing comes for a while."""
        await self.feed(BodyPause(self.stream.flow, None))

    async def end(self) -> None:
        await self.feed(RequestEndOfMessage(1))

    async def answer(self, status: int = 401) -> None:
        """An answer of the upstream, all of it."""
        response = tutils.tresp(status_code=status, content=None)
        response.headers.clear()
        response.timestamp_end = None
        await self.feed(ResponseHeaders(1, response, end_stream=False))
        await self.feed(ResponseEndOfMessage(1))

    async def feed(self, event: events.Event) -> None:
        for command in list(self.stream.handle_event(event)):
            if isinstance(command, commands.StartHook):
                self.hooks.append(command.name)
                done = getattr(self._addon, command.name, lambda *_: None)(*command.args())
                if inspect.isawaitable(done):
                    await done
                await self.feed(events.HookCompleted(command))
            elif isinstance(command, layers.GetHttpConnection):
                server = Server(address=("open.example.org", 443))
                reply = (None, self._dial_error) if self._dial_error else (server, None)
                await self.feed(layers.GetHttpConnectionCompleted(command, reply))
            elif isinstance(command, layers.SendHttp):
                (self.client if command.connection is self._client else self.upstream).append(command.event)

    @property
    def body(self) -> bytes:
        """What of the body has been sent to the upstream."""
        return b"".join(event.data for event in self.upstream if isinstance(event, RequestData))
