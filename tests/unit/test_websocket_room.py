"""What WebSockets hold of messages has a bound for all of them together, and is given back."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import wsproto
from mitmproxy.test import tflow
from wsproto import events
from wsproto.frame_protocol import Opcode

from addons.http import websocket_frames
from addons.http.websocket_frames import Connection, Held

KB = 1 << 10


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    gc.collect()
    assert Held.total == 0
    monkeypatch.setattr(websocket_frames, "MOST_HELD", 100 * KB)
    yield
    gc.collect()
    assert Held.total == 0


def frame(size: int, *, last: bool) -> bytes:
    return bytes(wsproto.frame_protocol.FrameProtocol(client=False, extensions=[])._serialize_frame(  # type: ignore[arg-type]
        Opcode.BINARY, b"x" * size, fin=last
    ))  # fmt: skip


def socket() -> Connection:
    return Connection(wsproto.ConnectionType.CLIENT, [], conn=tflow.tclient_conn())


def said(connection: Connection, data: bytes) -> list[events.Event]:
    connection.receive_data(data)
    return list(connection.events())


def test_unfinished_messages_of_all_sockets_have_a_bound() -> None:
    first, second = socket(), socket()
    assert said(first, frame(60 * KB, last=False)) == []
    assert said(second, frame(60 * KB, last=False)) == [events.CloseConnection(code=1013)]
    assert Held.total == 60 * KB
    del first
    gc.collect()
    assert said(socket(), frame(90 * KB, last=False)) == []


def test_a_message_counts_until_it_was_looked_at() -> None:
    connection = socket()
    connection.receive_data(frame(60 * KB, last=True))
    messages = connection.events()
    assert isinstance(next(messages), events.BytesMessage)
    assert Held.total == 60 * KB
    assert list(messages) == []
    assert Held.total == 0
    assert [type(one) for one in said(connection, frame(60 * KB, last=True))] == [events.BytesMessage]
