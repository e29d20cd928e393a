"""The parsing that both sides of an HTTP/1 connection share: bodies, trailers, ends of heads. Linear and bounded."""

from __future__ import annotations

import re
from typing import Any

import h11
from h11._readers import ChunkedReader
from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestTrailers, ResponseTrailers

MAX_HEAD = 256 << 10  # bytes of a head, of a chunk's line, of trailers
BARE_LF = re.compile(rb"(?<!\r)\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")


def end_of_lines(buf: Any) -> int:
    """The end of the lines before the first blank line, or 0. h11 remembers the searched part, so each byte is read
    once."""
    end = _BLANK_LINE.search(buf._data, buf._multiple_lines_search)
    return end.end() if end else 0


class StrictChunks(ChunkedReader):
    """h11's chunk reader, made to reject a bare line feed in trailers too."""

    def __call__(self, buf: Any) -> Any:
        if self._reading_trailer and buf and buf._data[:2] != b"\r\n":
            end = end_of_lines(buf)
            if buf._data[:1] == b"\n" or (end and BARE_LF.search(buf._data, 0, end)):
                raise h11.RemoteProtocolError("a bare line feed in trailers")
        return super().__call__(buf)


class Reader:
    """The parts that both sides share: bodies with trailers, and bounds."""

    def read_body(self: Any, event: events.Event) -> CommandGenerator[None]:
        """Forward content and trailers until the body ends."""
        is_request = isinstance(self, _http1.Http1Server)
        while True:
            try:
                if isinstance(event, events.DataReceived):
                    h11_event = self.body_reader(self.buf)
                else:
                    h11_event = self.body_reader.read_eof()
                if h11_event is None and len(self.buf) > MAX_HEAD:
                    raise h11.RemoteProtocolError("a chunk's line or trailers without an end")
            except h11.ProtocolError:
                yield commands.CloseConnection(self.conn)
                error = self.ReceiveProtocolError(
                    self.stream_id, "HTTP/1 protocol error", code=self.ReceiveProtocolError.code
                )
                yield ReceiveHttp(error)
                return
            if h11_event is None:
                return
            if isinstance(h11_event, h11.Data):
                if h11_event.data:
                    yield ReceiveHttp(self.ReceiveData(self.stream_id, bytes(h11_event.data)))
                continue
            if h11_event.headers:
                trailers = http.Headers([(bytes(name), bytes(value)) for name, value in h11_event.headers])
                kind = RequestTrailers if is_request else ResponseTrailers
                yield ReceiveHttp(kind(self.stream_id, trailers))
            if self.request.method != "CONNECT":
                yield ReceiveHttp(self.ReceiveEndOfMessage(self.stream_id))
            yield from self.mark_done(request=is_request, response=not is_request)
            return

    def skip_empty_lines(self: Any) -> None:
        """Drop empty lines before a head (RFC 9112, 2.2), all at once, so that they do not accumulate."""
        empty = _EMPTY_LINES.match(self.buf._data)
        self.buf.maybe_extract_at_most(empty.end() if empty else 0)

    def done(self: Any, _: events.Event) -> CommandGenerator[None]:
        """Discard all further data."""
        self.buf.maybe_extract_at_most(len(self.buf))
        yield from ()
