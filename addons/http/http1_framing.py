"""HTTP/1 connections on which every message ends where the next hop reads its end.

mitmproxy 12 forwards heads as they came and frames bodies by them. So an HTTP/2 body without a length became bytes
after a head that declared none, which an HTTP/1 server reads as its next request; an empty piece became the last chunk;
a 103 became the final response; trailers raised an error. Here the framing is that of the message being sent, and
messages that two servers could frame differently are not parsed (RFC 9112, 6 and 7; RFC 9110, 15.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)

from addons.http.http1_bodies import Body, HeldBody, framed_request, framed_response
from addons.http.http1_readers import BARE_LF, MAX_HEAD, Reader, end_of_lines

_MAX_WAITING = 1 << 20  # bytes that a client may send after a request whose response has not ended
_MAX_INFORMATIONAL = 16
_INFORMATIONAL = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9]{2}[ \r\n]")


class FramedServer(Reader, _http1.Http1Server):
    """The client's side: reads requests, writes responses."""

    _body: Body | None = None
    _trailers: Sequence[tuple[bytes, bytes]] = ()

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        self.skip_empty_lines()
        end = end_of_lines(self.buf)
        is_long = (end or len(self.buf)) > MAX_HEAD
        if is_long or (end and BARE_LF.search(self.buf._data, 0, end)):
            yield commands.SendData(self.conn, _http1.make_error_response(431 if is_long else 400))
            yield commands.CloseConnection(self.conn)
            self.state = self.done
            return
        yield from super().read_headers(event)

    def wait(self, event: events.Event) -> CommandGenerator[None]:
        # Further requests wait in the buffer. A client that never stops sending reads no responses.
        if isinstance(event, events.DataReceived) and len(self.buf) > _MAX_WAITING:
            yield commands.CloseConnection(self.conn)
            self.state = self.done
            yield from self.done(event)
            yield ReceiveHttp(
                RequestProtocolError(self.stream_id, "too much behind a request", ErrorCode.CLIENT_DISCONNECTED)
            )
            return
        yield from super().wait(event)

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        if isinstance(event, ResponseProtocolError) and (self.request is None or event.stream_id != self.stream_id):
            return  # the client has left, and its response was complete
        assert self.request is not None  # noqa: S101
        if isinstance(event, ResponseHeaders):
            self.response, self._body = framed_response(self.request, event.response, event.end_stream)
            if not isinstance(self._body, HeldBody):
                yield commands.SendData(self.conn, http1.assemble_response_head(self.response))
            return
        try:
            if self.state == self.passthrough and isinstance(event, ResponseData):
                data = event.data  # after CONNECT or an upgrade
            elif isinstance(event, ResponseData):
                data = self._body.piece(event.data) if self._body else b""
            elif isinstance(event, ResponseTrailers):
                self._trailers = event.trailers.fields
                return
            elif isinstance(event, ResponseEndOfMessage):
                data, self._body = self._body.end(self._trailers) if self._body else b"", None
            else:
                yield from super().send(event)
                return
        except ValueError:
            yield commands.CloseConnection(self.conn)
            return
        if data:
            yield commands.SendData(self.conn, data)
        if isinstance(event, ResponseEndOfMessage):
            self._trailers = ()
            yield from self.mark_done(response=True)


class FramedClient(Reader, _http1.Http1Client):
    """The upstream's side: writes requests, reads responses."""

    _body: Body | None = None
    _trailers: Sequence[tuple[bytes, bytes]] = ()
    _informational = 0

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        # An informational response is not final. It is dropped, because the client has been sent a 100 already.
        self.skip_empty_lines()
        while self.request is not None and _INFORMATIONAL.match(self.buf._data[:64]):
            if self.buf.maybe_extract_lines() is None:
                break
            self._informational += 1
        is_long = (end_of_lines(self.buf) or len(self.buf)) > MAX_HEAD
        if is_long or self._informational > _MAX_INFORMATIONAL or self.buf._data[:1] == b"\n":
            yield from self._fail("too long a head")
            return
        yield from super().read_headers(event)

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        if isinstance(event, RequestHeaders):
            self.stream_id, self.request = event.stream_id, event.request
            self._informational, self._trailers = 0, ()
            head, self._body = framed_request(event.request, event.end_stream)
            yield commands.SendData(self.conn, http1.assemble_request_head(head))
            return
        try:
            if self.state == self.passthrough and isinstance(event, RequestData):
                data = event.data
            elif isinstance(event, RequestData):
                data = self._body.piece(event.data) if self._body else b""
            elif isinstance(event, RequestTrailers):
                self._trailers = event.trailers.fields
                return
            elif isinstance(event, RequestEndOfMessage):
                data = self._body.end(self._trailers) if self._body else b""
            else:
                yield from super().send(event)
                return
        except ValueError as error:
            yield from self._fail(str(error))
            return
        if data:
            yield commands.SendData(self.conn, data)
        if isinstance(event, RequestEndOfMessage):
            yield from self.mark_done(request=True)

    def _fail(self, why: str) -> CommandGenerator[None]:
        yield commands.CloseConnection(self.conn)
        self.state = self.done
        if self.stream_id is not None:
            yield ReceiveHttp(ResponseProtocolError(self.stream_id, why, ErrorCode.GENERIC_SERVER_ERROR))
