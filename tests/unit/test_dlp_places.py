"""A secret in the less usual places of a request: a part's file name, trailers, fragments of a message, a stream.

The secret is a published, expired token (therootcompany/base62-token.js).
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import wsproto
from flows import flow, now
from loaded import loaded_pipelock, run
from mitmproxy import http
from mitmproxy.options import Options
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers import websocket
from mitmproxy.test import taddons, tflow
from scans import streamed, verdict
from wsproto.frame_protocol import Opcode

from addons.http.websocket_frames import Connection
from addons.pipelock.addon import Pipelock
from bench.dlp_ways import ENCODINGS
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.verdict import Finding
from claude_bottle.manifest.model import Manifest
from claude_bottle.policy.no_approval import instead

TOKEN = b"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"
MANIFEST = Manifest.model_validate({"pipelock": {"allow": ["open.example.org"], "dlp": {"max_body_mb": 1}}})
# The inner way first; none has a line end, which no field may hold.
TWO_DEEP = [
    ("base64", "base64"), ("base64", "hex"), ("hex", "base64"), ("base32", "base64"), ("rot13", "base64"),
    ("base64", "percent"), ("backwards", "hex"), ("base85", "base64"), ("hex", "base32 in small letters"),
]  # fmt: skip
WRITTEN = {"plain": TOKEN} | {
    way: ENCODINGS[way](TOKEN) for way in ("base64", "base64url", "hex", "base32", "backwards")
}
WRITTEN |= {f"{inner} in {outer}": ENCODINGS[outer](ENCODINGS[inner](TOKEN)) for inner, outer in TWO_DEEP}


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


@pytest.fixture
def pipelock(tmp_path: Path) -> Pipelock:
    return loaded_pipelock(tmp_path, MANIFEST)


# RFC 7578, 4.2; RFC 6266, 4.3, whose starred form some clients send in a form too.
@pytest.mark.parametrize(
    "parameter", ['filename="%s"', 'filename="notes-%s.txt"', "filename=%s", "filename*=UTF-8''%s"]
)
@pytest.mark.parametrize("how", WRITTEN)
def test_the_file_name_of_a_part_is_read(dlp: Dlp, how: str, parameter: str) -> None:
    named = parameter % WRITTEN[how].decode()
    body = f'--x\r\nContent-Disposition: form-data; name="f"; {named}\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--\r\n'
    for kind in ("multipart/form-data; boundary=x", "multipart/form-data; boundary=other", ""):
        assert isinstance(verdict(dlp, body.encode(), kind), Finding), kind
        assert isinstance(streamed(dlp, body.encode(), kind), Finding), kind


def test_the_file_names_of_two_parts_are_put_together(dlp: Dlp) -> None:
    part = '--x\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n\r\n'
    body = part % TOKEN[:17].decode() + part % TOKEN[17:].decode() + "--x--\r\n"
    assert isinstance(verdict(dlp, body.encode(), "multipart/form-data; boundary=x"), Finding)


@pytest.mark.parametrize("how", WRITTEN)
def test_a_trailer_is_read_like_a_header(pipelock: Pipelock, how: str) -> None:
    """RFC 9110, 6.5."""
    exchange = flow("https://open.example.org/x", method="POST", body=b"hello")
    exchange.request.trailers = http.Headers([(b"x-note", WRITTEN[how])])
    assert run(pipelock, exchange) == "dlp_match"


def test_an_honest_trailer_passes(pipelock: Pipelock) -> None:
    exchange = flow("https://open.example.org/x", method="POST", body=b"hello")
    exchange.request.trailers = http.Headers([(b"x-amz-checksum-crc32c", b"mnG7TA=="), (b"grpc-status", b"0")])
    assert run(pipelock, exchange) is None


def frame(opcode: Opcode, payload: bytes, *, last: bool) -> bytes:
    client = wsproto.frame_protocol.FrameProtocol(client=True, extensions=[])
    return bytes(client._serialize_frame(opcode, payload, fin=last))


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("cuts", [(17,), (1, 2, 39), (10, 10, 20)], ids=str)
@pytest.mark.parametrize("how", ["plain", "base64", "hex"])
def test_a_secret_over_fragments_of_one_message_is_not_sent(
    pipelock: Pipelock, monkeypatch: pytest.MonkeyPatch, opcode: Opcode, cuts: tuple[int, ...], how: str
) -> None:
    """RFC 6455, 5.4: frames without FIN, continued by frames of opcode 0; a ping may stand between them."""
    monkeypatch.setattr(websocket, "WebsocketConnection", Connection)
    monkeypatch.setattr("addons.frame.refuse.end_flow", lambda _: None)
    for secret, arrives in ((WRITTEN[how], False), (b"w" * len(WRITTEN[how]), True)):
        talk, sent = tflow.twebsocketflow(), b""
        assert talk.websocket is not None
        talk.websocket.messages.clear()
        place = context.Context(talk.client_conn, Options())
        place.server = talk.server_conn
        layer = websocket.WebsocketLayer(place, talk)

        def handle(event: events.Event, layer: Any = layer, talk: Any = talk) -> bytes:
            out = b""
            for command in layer.handle_event(event):
                out += command.data if isinstance(command, commands.SendData) else b""
                if isinstance(command, websocket.WebsocketMessageHook):
                    now(pipelock.websocket_message(talk))
                if command.blocking:
                    out += handle(events.HookCompleted(command))
            return out

        handle(events.Start())
        starts = (0, *cuts)
        for number, start in enumerate(starts):
            last = number == len(cuts)
            piece = secret[start : None if last else starts[number + 1]]
            ping = frame(Opcode.PING, b"", last=True)
            data = frame(Opcode.CONTINUATION if number else opcode, piece, last=last) + (b"" if last else ping)
            sent += handle(events.DataReceived(talk.client_conn, data))
        assert [message.dropped for message in talk.websocket.messages] == [not arrives]
        assert (len(sent) > len(secret)) is arrives


@pytest.mark.parametrize("place", ["body", "trailer"])
def test_a_streamed_request_is_cut_and_cannot_be_let_through_once(
    pipelock: Pipelock, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part of it was sent before the finding, so that there is neither a response nor a whole to show the owner."""
    ended: list[Any] = []
    monkeypatch.setattr("addons.frame.refuse.end_flow", ended.append)
    exchange = flow("https://open.example.org/x", method="POST")
    exchange.request.headers["transfer-encoding"] = "chunked"

    async def all_of_it() -> None:
        await pipelock.requestheaders(exchange)
        await pipelock.request_overflow(exchange)
        await pipelock.request_overflow(exchange)
        stream: Any = exchange.request.stream
        said = TOKEN if place == "body" else b"hello"
        assert (b"".join(part for chunk in (b"one ", said, b"") for part in stream(chunk)) == b"one hello") is not bool(
            ended
        )
        exchange.request.trailers = http.Headers([(b"x-note", TOKEN)]) if place == "trailer" else None
        if place == "trailer":
            await pipelock.request(exchange)

    with taddons.context(pipelock):
        asyncio.run(all_of_it())
    assert ended == [exchange]
    assert exchange.response is None
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["decision"], line["reason"], line["streamed"]) == ("refused", "dlp_match", True)
    assert "content" not in line
    assert list((tmp_path / "once").glob("*.held")) == []
    assert "streamed body" in instead("dlp_match") and "short body" in instead("dlp_match")
