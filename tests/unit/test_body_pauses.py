"""Both sides may talk at once: what has come of a body goes on when no more comes, once it was looked at."""

from __future__ import annotations

import asyncio
import base64
import gzip
import struct
from collections.abc import Callable
from typing import Any

import pytest
from streams import DrivenStream
from test_body_room import drive  # noqa: F401 - a fixture

from addons.http import body_pauses
from addons.pipelock.addon import Pipelock
from claude_bottle.dlp.engine import Dlp, StreamScan
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.verdict import Unscannable

# Published, and expired: therootcompany/base62-token.js.
TOKEN = "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"


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


def message(data: bytes) -> bytes:
    """gRPC over HTTP/2, Length-Prefixed-Message."""
    return b"\0" + struct.pack(">I", len(data)) + data


def talk(dlp: Dlp, *pieces: bytes) -> tuple[list[bytes], StreamScan]:
    """What goes on behind each piece, when it is waited for."""
    scan, out = StreamScan(dlp), []
    for piece in pieces:
        out.append(b"".join(scan.feed(piece) + scan.flush()))
    return out, scan


def test_small_pieces_go_on_as_they_come(dlp: Dlp) -> None:
    pieces = [message(text) for text in (b"hello", b"how are you", b"d2hhdGV2ZXI=", b"\x12\x40" + b"4bb9" * 16, b"ey")]
    out, scan = talk(dlp, *pieces)
    assert out == pieces
    assert scan.feed(b"") == []
    assert scan.verdict is None


@pytest.mark.parametrize("cut", [1, 4, 10, 20, 39])
def test_a_secret_over_two_pieces_ends_the_stream(dlp: Dlp, cut: int) -> None:
    out, scan = talk(dlp, b"here: " + TOKEN[:cut].encode(), TOKEN[cut:].encode() + b" it is", b"more")
    assert out[1:] == [b"", b""]
    assert scan.verdict is not None
    assert out[0] == (b"here: " + TOKEN[:cut].encode() if cut < 10 else b"")  # a vendor's prefix and more stays


def test_a_secret_in_many_pieces_is_not_whole(dlp: Dlp) -> None:
    out, scan = talk(dlp, *(letter.encode() for letter in TOKEN))
    assert scan.verdict is not None
    assert len(b"".join(out)) < 10  # GitHub's prefix and five letters


@pytest.mark.parametrize("way", ["gzip", "base64 of gzip", "hexadecimal of gzip"])
def test_what_is_packed_waits_for_its_end(dlp: Dlp, way: str) -> None:
    packed = gzip.compress(f"a note: {TOKEN}\n".encode() * 3)
    packed = {"b": base64.b64encode(packed), "h": packed.hex().encode()}.get(way[0], packed)
    out, scan = talk(dlp, packed[:-1], packed[-1:])
    assert b"".join(out) == b""
    assert scan.verdict is not None
    scan = StreamScan(dlp, "gzip")
    assert scan.feed(gzip.compress(b"hello")[:-3]) + scan.flush() == []


def test_a_body_that_pauses_passes_in_pieces(drive: Callable[..., None]) -> None:  # noqa: F811
    async def test(addon: Pipelock, options: Any) -> None:
        driven = DrivenStream(addon, options)
        await driven.begin(transfer_encoding="chunked")
        await driven.data(b"first")
        assert driven.body == b""  # it may be all there in a moment, and is looked at as a whole then
        await driven.pause()
        assert driven.body == b"first"
        await driven.data(b"second")
        await driven.pause()
        assert driven.body == b"firstsecond"
        await driven.data(TOKEN.encode())
        await driven.pause()
        assert driven.body == b"firstsecond"
        assert driven.stream.flow.metadata["ended"]

    drive(test)


def test_calls_of_grpc_pass_in_pieces_from_the_beginning(drive: Callable[..., None]) -> None:  # noqa: F811
    async def test(addon: Pipelock, options: Any) -> None:
        driven = DrivenStream(addon, options)
        await driven.begin(content_type="application/grpc+proto", te="trailers")
        assert driven.upstream  # its head
        await driven.data(message(b"hello"))
        await driven.pause()
        assert driven.body == message(b"hello")
        await driven.end()
        assert addon._open is not None

    drive(test)


def test_what_is_refused_does_not_pass_by_a_pause(drive: Callable[..., None]) -> None:  # noqa: F811
    async def test(addon: Pipelock, options: Any) -> None:
        driven = DrivenStream(addon, options)
        await driven.begin(transfer_encoding="chunked", x_note=TOKEN)
        await driven.data(b"first")
        await driven.pause()
        assert driven.upstream == []

    drive(test)


def test_a_pause_is_told_once_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    flows: list[object] = []
    monkeypatch.setattr(body_pauses, "tell_layers", lambda event: flows.append(event.flow))

    async def test() -> None:
        watch, ended = body_pauses.PauseWatch("one"), body_pauses.PauseWatch("two")  # type: ignore[arg-type]
        for _ in range(3):
            watch.note(0)
            ended.note(0)
        ended.stop()
        while not flows:
            await asyncio.sleep(0)
        watch.note(0)
        while len(flows) < 2:
            await asyncio.sleep(0)

    asyncio.run(test())
    assert flows == ["one", "one"]


def test_verdicts_of_a_pause_are_final(dlp: Dlp) -> None:
    scan = StreamScan(dlp)
    assert scan.feed(TOKEN.encode() + b" ") + scan.flush() == []
    assert not isinstance(scan.verdict, Unscannable)
    assert scan.verdict is not None
    assert scan.feed(b"more") == scan.flush() == scan.feed(b"") == []
