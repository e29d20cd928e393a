"""A strict HTTP/2 server over TLS: the h2 library with every check on, and a line for each request that came whole.

Its answers are chosen as those of strict.py, as far as HTTP/2 has them.
"""

from __future__ import annotations

import ssl
import sys
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from lab import answers, wire
from lab.strict import listen, write


@dataclass
class Open:
    """A request of which not all has come yet."""

    fields: list[tuple[str, str]]
    body: list[bytes] = field(default_factory=list)
    trailers: list[str] = field(default_factory=list)


class Connection:
    def __init__(self, conn: ssl.SSLSocket, number: int) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1", validate_inbound_headers=True)
        self.conn, self.number, self.h2 = conn, number, h2.connection.H2Connection(config)
        self.open: dict[int, Open] = {}
        self.ids: set[str] = set()
        self.waiting: dict[int, tuple[bytes, list[tuple[str, str]] | None]] = {}

    def serve(self) -> None:
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(1 << 24)
        try:
            self.flush()
            while data := self.conn.recv(65536):
                for event in self.h2.receive_data(data):
                    self.handle(event)
                self.flush()
        except h2.exceptions.ProtocolError as error:
            write("broken", why=f"{type(error).__name__}: {error}", connection=self.number, ids=[*self.ids])
            self.flush()
        except OSError as error:
            write("lost", why=type(error).__name__, connection=self.number, ids=[*self.ids])
        finally:
            self.conn.close()

    def flush(self) -> None:
        for stream in list(self.waiting):
            self.send(stream)
        self.conn.sendall(self.h2.data_to_send())

    def handle(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            request = Open([(str(n), str(v)) for n, v in event.headers])
            self.open[event.stream_id] = request
            path = dict(request.fields).get(":path", "")
            self.ids |= set(wire.ID.findall(path))
            if answers.mode(path) in answers.BEFORE:
                self.answer(event.stream_id, request)
        elif isinstance(event, h2.events.DataReceived):
            self.open[event.stream_id].body.append(event.data)
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.open[event.stream_id].trailers = [f"{n}: {v}" for n, v in event.headers]
        elif isinstance(event, h2.events.StreamReset):
            request = self.open.pop(event.stream_id, Open([]))
            self.waiting.pop(event.stream_id, None)
            write(
                "lost", why="reset", connection=self.number, ids=wire.ID.findall(dict(request.fields).get(":path", ""))
            )
        elif isinstance(event, h2.events.StreamEnded):
            self.whole(event.stream_id, self.open.pop(event.stream_id))

    def whole(self, stream: int, request: Open) -> None:
        headers = dict(request.fields)
        fields = [("host", headers.get(":authority", "")), *[pair for pair in request.fields if pair[0][0] != ":"]]
        lengths = [value for name, value in fields if name == "content-length"]
        if lengths and lengths != [str(sum(map(len, request.body)))]:
            write("broken", why=f"lengths {lengths}", connection=self.number, ids=wire.ID.findall(headers[":path"]))
            return
        write(
            "request", http=2, method=headers[":method"], path=headers[":path"], fields=fields,
            body=wire.digest(b"".join(request.body)), trailers=request.trailers, connection=self.number,
            ids=wire.ID.findall(headers[":path"]),
        )  # fmt: skip
        if answers.mode(headers[":path"]) not in answers.BEFORE:
            self.answer(stream, request)

    def answer(self, stream: int, request: Open) -> None:
        headers = dict(request.fields)
        method, path = headers[":method"], headers[":path"]
        kind, text, trailers = answers.mode(path), wire.content(method, path), None
        head = [(":status", "200"), ("x-answer-to", path)]
        if kind == "hints":
            self.h2.send_headers(stream, [(":status", "103"), ("link", "</a>")])
        if kind == "echo":
            text = b"".join(request.body)
        if kind in ("s204", "s304"):
            head[0], text = (":status", kind[1:]), b""
        elif kind == "empty":
            text = b""
        elif kind == "short":
            head.append(("content-length", str(len(text) + 20)))
        elif kind not in ("chunked", "trailers"):
            head.append(("content-length", str(len(text) if method != "HEAD" else 100)))
        if kind == "trailers":
            trailers = [("x-end", "done")]
        if not text and trailers is None:
            self.h2.send_headers(stream, head, end_stream=True)
            return
        self.h2.send_headers(stream, head)
        if kind == "reset":
            self.h2.send_data(stream, text[:20])
            self.h2.reset_stream(stream)
            return
        self.waiting[stream] = (text, trailers)

    def send(self, stream: int) -> None:
        """As much of an answer as the window allows."""
        text, trailers = self.waiting[stream]
        while text and (room := min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)) > 0:
            piece, text = text[:room], text[room:]
            self.h2.send_data(stream, piece, end_stream=not text and trailers is None)
        self.waiting[stream] = (text, trailers)
        if not text:
            del self.waiting[stream]
            if trailers is not None:
                self.h2.send_headers(stream, trailers, end_stream=True)


if __name__ == "__main__":
    listen(sys.argv[1], sys.argv[2], "h2", lambda conn, number: Connection(conn, number).serve())
