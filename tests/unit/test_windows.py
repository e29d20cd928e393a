"""What waits for window of an HTTP/2 peer is put together, and arrives as it was sent (RFC 9113, 6.9)."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import streams  # noqa: F401 - names that an older mitmproxy lacks

from addons.http.flow_windows import WindowedH2

HEAD = [(":method", "POST"), (":scheme", "https"), (":authority", "a.example"), (":path", "/")]


def test_pieces_that_wait_for_window_are_put_together() -> None:
    ours = WindowedH2(h2.config.H2Configuration(client_side=True))
    theirs = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    ours.initiate_connection()
    theirs.initiate_connection()
    theirs.receive_data(ours.data_to_send())
    ours.receive_data(theirs.data_to_send())
    ours.send_headers(1, HEAD)
    body = bytes(number % 251 for number in range(65_535 + 30_000))
    ours.send_data(1, body[:65_535])
    for at in range(65_535, len(body)):
        ours.send_data(1, body[at : at + 1])
    ours.end_stream(1)
    assert len(ours.stream_buffers[1]) < 20
    assert ours.waiting(1) == 30_000
    got, ended = b"", False
    for _ in range(10):
        for event in theirs.receive_data(ours.data_to_send()):
            if isinstance(event, h2.events.DataReceived):
                got += event.data
                theirs.acknowledge_received_data(event.flow_controlled_length, 1)
            ended = ended or isinstance(event, h2.events.StreamEnded)
        ours.receive_data(theirs.data_to_send())
    assert got == body
    assert ended
    assert ours.waiting(1) == 0
