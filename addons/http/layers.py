"""mitmproxy's HTTP layers, corrected where a proxy that enforces a policy needs more.

Each correction is here or in the imported modules, with its reason, and is proposed to mitmproxy (docs/mitmproxy.md).
They are written for the version in sidecar_images/proxy/proxy.lock.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.net.http import http1, url
from mitmproxy.proxy import commands, events, mode_servers
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers import websocket
from mitmproxy.proxy.layers.http import _base, _http1, _http2, _upstream_proxy
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook
from wsproto import extensions

from addons.frame.error_page import CONNECT_REFUSED, Failure, ends_the_try, error_page
from addons.frame.refuse import REASON_HEADER
from addons.frame.request_target import ascii_authority, known_length
from addons.http import body_pauses, flow_windows, transports, websocket_frames
from addons.http.body_pauses import FLUSH, BodyPause, PauseWatch
from addons.http.flow_end import DISCARD, ENDED, HOLD, LONG_WAIT, FlowEnd
from addons.http.heads import checked_h2_head, checked_head, unfit_answer
from addons.http.http1_framing import FramedClient, FramedServer
from addons.http.http1_readers import StrictChunks

_SAYS_NOTHING = (ErrorCode.KILL, ErrorCode.CLIENT_DISCONNECTED)
_HELD_WHEN_ANSWERED = 64 << 10  # bytes of a body that are held after an addon has answered its head
_REASON = re.compile(rb"(?i)\r\n" + REASON_HEADER.encode() + rb": *([a-z_]{1,40})\r\n")
_PIECE = 256 << 10  # bytes of a body that are sent before checking whether they were taken
_MOST_DISCARDED = 300 << 20  # bytes: more than the longest body that a bottle holds (pipelock.dlp.max_body_mb)


@dataclass
class RequestOverflowHook(commands.StartHook):
    """A body of unknown length exceeds the part of it that is held. It is streamed from now on, or ends."""

    flow: http.HTTPFlow


@dataclass
class RequestRoomHook(commands.StartHook):
    """A streamed body needs to hold more before it can be scanned, and asks for room."""

    flow: http.HTTPFlow


@dataclass
class RequestPauseHook(commands.StartHook):
    """A held body of unknown length has paused. It may be streamed from now on."""

    flow: http.HTTPFlow


class Stream(layers.HttpStream):
    """One request and its response. Can be ended from outside, and holds bodies of unknown length."""

    part = ""  # set by `install`
    _is_over = False
    _pauses: PauseWatch | None = None
    _has_upstream = False
    _discarded = 0
    # Bytes still missing of a declared length; None if no length was declared.
    _request_due: int | None = None
    _response_due: int | None = None

    def handle_event(self, event: events.Event) -> CommandGenerator[None]:
        """Join small pieces that wait while a hook runs: their total is bounded in bytes (flow_windows.py)."""
        waiting = self._paused_event_queue
        if self._paused and waiting and isinstance(event, RequestData | ResponseData):
            last = waiting[-1]
            if type(last) is type(event) and len(last.data) < flow_windows.JOINED:
                waiting[-1] = type(event)(self.stream_id, last.data + event.data)
                return
        yield from super().handle_event(event)

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, RequestData | ResponseData) and not event.data:
            return  # an empty DATA frame; to a stream function, b"" means the end of a body
        if isinstance(event, RequestHeaders):
            event.request.has_content = not event.end_stream
            self._request_due = None if event.end_stream else known_length(event.request)
        elif isinstance(event, BodyPause) and event.flow is getattr(self, "flow", None):
            yield from self._unless_ended(self._after_pause, events.Event())
            return
        elif isinstance(event, RequestData):
            self._note_data()
            if self._request_due is not None:
                self._request_due -= len(event.data)
            if self.flow.metadata.get(LONG_WAIT):
                self.flow.metadata[LONG_WAIT] = False
                yield RequestRoomHook(self.flow)
        elif isinstance(event, RequestEndOfMessage) and not self._request_due and self._pauses is not None:
            self._pauses.stop()
        elif isinstance(event, RequestEndOfMessage) and self._request_due:
            # The h2 library does not check the length if trailers end a message (RFC 9113, 8.1.1).
            self.flow.metadata[ENDED] = True
            yield from self._end()
            return
        elif isinstance(event, RequestProtocolError | ResponseProtocolError) and self._is_answered_early():
            # mitmproxy would inform neither the addons, nor an upstream that waits for the rest of the body.
            self.flow.metadata[ENDED] = True
            yield from self._end()
            return
        elif isinstance(event, ResponseHeaders):
            if why := unfit_answer(event.response, self.flow.request):
                if self.flow.server_conn.alpn != b"h2":  # there, other streams continue
                    yield commands.CloseConnection(self.flow.server_conn)
                event = ResponseProtocolError(self.stream_id, why, ErrorCode.GENERIC_SERVER_ERROR)
            elif not event.end_stream and self.flow.request.method != "HEAD":
                self._response_due = known_length(event.response)
        elif isinstance(event, ResponseData) and self._response_due is not None:
            self._response_due -= len(event.data)
        elif isinstance(event, ResponseEndOfMessage) and self._response_due:
            event = ResponseProtocolError(self.stream_id, "a wrong length", ErrorCode.GENERIC_SERVER_ERROR)
        yield from self._unless_ended(super()._handle_event, event)

    def passthrough(self, event: events.Event) -> CommandGenerator[None]:
        yield from self._unless_ended(super().passthrough, event)

    def make_server_connection(self) -> CommandGenerator[bool]:
        self._has_upstream = yield from super().make_server_connection()
        return self._has_upstream

    def check_body_size(self, request: bool) -> CommandGenerator[bool]:
        # mitmproxy's own option would stream too large bodies past every hook.
        held = self.flow.metadata.get(HOLD, _HELD_WHEN_ANSWERED if self.flow.response else None)
        if not request or held is None or len(self.request_body_buf) <= held:
            return False
        self.flow.metadata.pop(HOLD, None)
        yield RequestOverflowHook(self.flow)
        if DISCARD in self.flow.metadata:
            self.request_body_buf.clear()
            return False
        if HOLD in self.flow.metadata and not self.flow.request.stream:
            return False  # there is room for more of it
        if self.flow.response or not self.flow.request.stream:
            self.flow.metadata[ENDED] = True  # no hook has allowed streaming
            self.request_body_buf.clear()
        return (yield from self._go_on_in_pieces())

    def _note_data(self) -> None:
        """Watch a body for pauses if it may be held up."""
        waits = HOLD in self.flow.metadata and DISCARD not in self.flow.metadata
        if waits or FLUSH in self.flow.metadata:
            self._pauses = self._pauses or PauseWatch(self.flow)
            self._pauses.note(body_pauses.HELD if waits else body_pauses.IN_PIECES)

    def _after_pause(self, _: events.Event) -> CommandGenerator[None]:
        if self.client_state == self.state_consume_request_body and self.request_body_buf and not self.flow.response:
            yield RequestPauseHook(self.flow)
            if not self.flow.request.stream:
                return
            self.flow.metadata.pop(HOLD, None)
            yield from self._go_on_in_pieces()
        flush: Callable[[], list[bytes]] | None = self.flow.metadata.get(FLUSH)
        if flush is not None and self.client_state == self.state_stream_request_body:
            for piece in flush():
                yield layers.SendHttp(RequestData(self.stream_id, piece), self.context.server)

    def _go_on_in_pieces(self) -> CommandGenerator[bool]:
        if (yield from self.check_killed(True)) or self._has_ended():
            return True
        body = bytes(self.request_body_buf)
        self.request_body_buf.clear()
        yield from self.start_request_stream()
        for start in range(0, len(body), _PIECE):
            if start:  # scanning a MB takes up to a second: other flows take turns, and the policy may change
                yield transports.RoomHook(lambda: True)
            if self.client_state == self.state_stream_request_body:
                yield from self.client_state(RequestData(self.stream_id, body[start : start + _PIECE]))
        return False

    def state_consume_request_body(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, RequestData) and DISCARD in self.flow.metadata:
            self._discarded += len(event.data)
            if self._discarded > _MOST_DISCARDED:
                self.flow.metadata[ENDED] = True
            return
        yield from super().state_consume_request_body(event)

    def _unless_ended(
        self, handle: Callable[[Any], CommandGenerator[None]], event: events.Event
    ) -> CommandGenerator[None]:
        """Handle an event. After the flow has ended, nothing more is sent and no hook called, not even for its end."""
        if isinstance(event, FlowEnd) and event.flow is not getattr(self, "flow", None):
            if self.child_layer is not None:
                yield from handle(event)
            return
        if not isinstance(event, FlowEnd):
            generator, reply = handle(event), None
            while True:
                try:
                    command = generator.send(reply)
                except StopIteration:
                    break
                except Exception:
                    # mitmproxy would log it and continue with the next event, as if this one had been handled.
                    if getattr(self, "flow", None) is None:
                        raise
                    logging.exception("a layer failed, and its flow ends")
                    self.flow.metadata[ENDED] = True
                    break
                if self._has_ended() and isinstance(command, (layers.SendHttp, commands.StartHook)):
                    generator.close()
                    break
                if isinstance(command, layers.SendHttp) and isinstance(command.event, ResponseProtocolError):
                    self._explain(command.event)
                if isinstance(command, layers.SendHttp) and _is_long(command.event):
                    reply = None
                    yield from self._in_pieces(command.event, command.connection)
                else:
                    reply = yield command
                if isinstance(command, websocket.WebsocketMessageHook) and command.flow.websocket:
                    command.flow.websocket.messages.clear()  # mitmproxy keeps them all for display
        if self._has_ended():
            yield from self._end()

    def _explain(self, event: ResponseProtocolError) -> None:
        """Name the request that the error ends; to a model's client also say that a retry is useless."""
        flow = getattr(self, "flow", None)
        if flow is None or event.code in _SAYS_NOTHING:
            return
        request = flow.request
        if ends_the_try(type(self).part, event.message, request.path):
            event.code = ErrorCode.GENERIC_CLIENT_ERROR
        event.message = Failure.of(event.message, request.method, request.host, request.path)

    def _in_pieces(self, whole: RequestData, to: Connection) -> CommandGenerator[None]:
        """Send a long piece of a body only as fast as it is taken: otherwise all of it would be buffered again, and
        encrypted."""
        for start in range(0, len(whole.data), _PIECE):
            if start and not flow_windows.may_go_on(self):
                yield transports.RoomHook(partial(flow_windows.may_go_on, self))
            if self._has_ended():
                return
            yield layers.SendHttp(RequestData(self.stream_id, whole.data[start : start + _PIECE]), to)

    def _is_answered_early(self) -> bool:
        return bool(self.server_state == self.state_done and self.client_state == self.state_stream_request_body)

    def _has_ended(self) -> bool:
        flow = getattr(self, "flow", None)
        return flow is not None and ENDED in flow.metadata

    def _end(self) -> CommandGenerator[None]:
        if self._is_over:
            return
        self._is_over = True
        if self._pauses is not None:
            self._pauses.stop()
        self.client_state = self.server_state = self.state_errored
        self._handle_event = self.state_errored  # type: ignore[method-assign, assignment]
        self.flow.error = flows.Error("ended")
        # The upstream first, because it must not take the part that it has for the whole.
        if self._has_upstream:
            yield layers.SendHttp(RequestProtocolError(self.stream_id, "ended", ErrorCode.KILL), self.context.server)
        yield layers.SendHttp(ResponseProtocolError(self.stream_id, "ended", ErrorCode.KILL), self.context.client)
        yield HttpErrorHook(self.flow)
        self.flow.live = False
        yield layers.DropStream(self.stream_id)


class NextProxy(_upstream_proxy.HttpUpstreamProxy):
    """The tunnel through the next proxy. A refusal of that proxy keeps its reason."""

    def receive_handshake_data(self, data: bytes) -> CommandGenerator[tuple[bool, str | None]]:
        head = bytes(self.buf) + data
        done, error = yield from super().receive_handshake_data(data)
        if error and (reason := _REASON.search(head)):
            error = f"{CONNECT_REFUSED}{reason[1].decode()}"
        return done, error


def error_response(part: str, status: int, message: str = "") -> bytes:
    """Replaces mitmproxy's error response, whose content type is HTML."""
    headers = http.Headers(Connection="close", Content_Type="application/json")
    answer = http.Response.make(status, error_page(part, status, message), headers)
    return bytes(http1.assemble_response(answer))


def _is_long(event: HttpEvent) -> TypeGuard[RequestData]:
    return isinstance(event, RequestData) and len(event.data) > _PIECE


def _layer_that_ends(
    handle: Callable[[Any, Any], CommandGenerator[None]],
) -> Callable[[Any, Any], CommandGenerator[None]]:
    def with_end(self: layers.HttpLayer, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.Start):
            flow_windows.register(self)
        if not isinstance(event, FlowEnd):
            try:
                yield from handle(self, event)
                yield from flow_windows.grants(self)
            except Exception:
                # A connection's own layer failed: how far it had parsed its data is unknown.
                logging.exception("a layer failed, and its client's connection ends")
                yield commands.CloseConnection(self.context.client)
            return
        for stream in list(self.streams.values()):
            if event.flow is not None or stream.child_layer is not None:
                yield from self.event_to_child(stream, event)
        yield from flow_windows.grants(self)

    return with_end


def install(part: str) -> None:
    """Replace mitmproxy's layers by the corrected ones, for this process. Call it before a proxy starts.

    part: egress or pipelock, as named in errors. Raises RuntimeError if this mitmproxy lacks something to replace.
    """
    page = partial(error_page, part)
    Stream.part = part
    transports.Handler.has_room = staticmethod(flow_windows.has_room)
    transports.Handler.carries_h2 = staticmethod(flow_windows.carries_h2)
    transports.Handler.buffered = staticmethod(flow_windows.buffered)
    replacements: tuple[tuple[Any, str, Any], ...] = (
        (layers, "HttpStream", Stream),
        (layers, "Http1Server", FramedServer),
        (layers, "Http1Client", FramedClient),
        (layers, "Http2Server", flow_windows.GrantingServer),
        (layers, "Http2Client", flow_windows.GrantingClient),
        (_http2, "BufferedH2Connection", flow_windows.WindowedH2),
        (mode_servers, "ProxyConnectionHandler", transports.Handler),
        (layers.HttpLayer, "_handle_event", _layer_that_ends(layers.HttpLayer._handle_event)),
        (url, "parse_authority", ascii_authority(url.parse_authority)),
        (http1, "read_request_head", checked_head(http1.read_request_head)),
        (http1, "read_response_head", checked_head(http1.read_response_head)),
        (_http2, "parse_h2_request_headers", checked_h2_head(_http2.parse_h2_request_headers)),
        (_http1, "ChunkedReader", StrictChunks),
        (_base, "format_error", page),
        (_http1, "make_error_response", partial(error_response, part)),
        (_http2, "format_error", page),
        (websocket, "WebsocketConnection", websocket_frames.Connection),
        (_upstream_proxy, "HttpUpstreamProxy", NextProxy),
        (extensions, "PerMessageDeflate", websocket_frames.BoundedDeflate),
    )
    for where, name, corrected in replacements:
        if not hasattr(where, name):
            raise RuntimeError(f"this mitmproxy has no {name}: the corrections are written for another version")
        setattr(where, name, corrected)
