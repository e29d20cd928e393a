"""Encodings as the client named them, and packed files as they were served, where a token is put in."""

from __future__ import annotations

import base64
import gzip
import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flows import flow, now
from mitmproxy import http
from mitmproxy.test import taddons

from addons.egress.addon import Egress
from addons.egress.as_served import HELD
from claude_bottle.dlp.packed.decoders import readable_part

TOKEN = "tok-Zq8Lx2Wm7Rt4Vb9Kc1Ny6Hd"
TABLE = {
    "version": 1,
    "routes": [
        {"host": "api.example.com", "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"},
        {"host": "slices.example.com", "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0", "allow_ranges": True},
        {"host": "open.example.org"},
    ],
}
SOURCE = random.Random(7)
CONTENT = base64.b85encode(SOURCE.randbytes(900_000))  # letters that do not pack well
TARBALL = gzip.compress(CONTENT)


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[Egress]:
    (tmp_path / "routes.json").write_text(json.dumps(TABLE))
    addon = Egress(tmp_path / "routes.json", tmp_path / "tokens.json", tmp_path)
    addon.use_tokens({"EGRESS_TOKEN_0": TOKEN})
    addon._file.poll()
    with taddons.context(addon):
        yield addon


def asked(egress: Egress, host: str = "api.example.com", method: str = "GET", **headers: str) -> http.HTTPFlow:
    exchange = flow(f"https://{host}/x", method, **headers)
    now(egress.requestheaders(exchange))
    now(egress.request(exchange))
    return exchange


def answered(egress: Egress, exchange: http.HTTPFlow, status: int = 200, **headers: str) -> http.Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    exchange.response = http.Response.make(status)
    exchange.response.headers.update(fields)  # beside `make`, which leaves out an encoding that it does not know
    exchange.response.headers["content-length"] = "123"
    now(egress.responseheaders(exchange))
    return exchange.response


def passed(response: http.Response, body: bytes, size: int = 16 << 10) -> list[bytes]:
    stream = response.stream
    if stream is True:
        return [body]
    assert callable(stream)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return [piece for chunk in [*pieces, b""] for piece in stream(chunk)]


@pytest.mark.parametrize(
    ("named", "goes_on"),
    [
        ("identity", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip, deflate"),
        ("gzip;q=1.0, identity; q=0.5", "gzip;q=1.0, identity; q=0.5"),
        ("gzip, deflate, br, zstd", "gzip, deflate, br, zstd"),
        ("gzip, compress, dcb, snappy;q=0.1", "gzip"),
        ("compress", "identity"),
        ("", "identity"),
        ("*", "gzip, deflate, br, zstd"),
        ("br;q=0, *;q=0.3", "br;q=0, gzip;q=0.3, deflate;q=0.3, zstd;q=0.3"),
        ("identity, *;q=0", "identity"),
        ("identity, *; q=0.000", "identity"),
    ],
)
def test_an_upstream_is_offered_what_the_client_named_and_never_more(egress: Egress, named: str, goes_on: str) -> None:
    assert readable_part(named) == goes_on
    assert asked(egress, accept_encoding=named).request.headers["accept-encoding"] == goes_on
    assert asked(egress, "open.example.org", accept_encoding=named).request.headers["accept-encoding"] == named


def test_who_names_no_encoding_sends_none(egress: Egress) -> None:
    assert "accept-encoding" not in asked(egress).request.headers


@pytest.mark.parametrize("named", [{}, {"accept_encoding": "identity"}])
def test_head_for_a_size_keeps_it(egress: Egress, named: dict[str, str]) -> None:
    """huggingface_hub's file_download.get_hf_file_metadata asks so."""
    response = answered(egress, asked(egress, method="HEAD", **named))
    assert response.headers["content-length"] == "123"


def test_head_tells_no_packed_length(egress: Egress) -> None:
    packed = answered(egress, asked(egress, method="HEAD", accept_encoding="gzip"), content_encoding="gzip")
    unasked = answered(egress, asked(egress, method="HEAD"), content_encoding="gzip")
    unsaid = answered(egress, asked(egress, method="HEAD", accept_encoding="gzip"))
    unchanged = answered(egress, asked(egress), 304)
    assert not any("content-length" in one.headers for one in (packed, unasked, unsaid, unchanged))


@pytest.mark.parametrize("named", [{}, {"accept_encoding": "identity"}, {"accept_encoding": "br"}])
@pytest.mark.parametrize("kind", ["application/x-tar", "application/octet-stream; x=y"])
def test_a_packed_file_arrives_as_served(egress: Egress, named: dict[str, str], kind: str) -> None:
    response = answered(egress, asked(egress, **named), content_encoding="gzip", content_type=kind)
    assert response.headers["content-encoding"] == "gzip"
    assert b"".join(passed(response, TARBALL)) == TARBALL


def test_who_names_the_encoding_gets_it_plain(egress: Egress) -> None:
    exchange = asked(egress, accept_encoding="gzip")
    response = answered(egress, exchange, content_encoding="gzip", content_type="application/x-tar")
    assert "content-encoding" not in response.headers
    assert b"".join(passed(response, TARBALL)) == CONTENT


def test_on_a_host_without_a_token_nothing_is_touched(egress: Egress) -> None:
    exchange = asked(egress, "open.example.org", range="bytes=1000-")
    response = answered(egress, exchange, 206, content_encoding="gzip", content_type="application/x-tar")
    assert response.headers["content-length"] == "123"
    assert exchange.request.headers["range"] == "bytes=1000-"
    assert response.stream is True


def test_a_resumed_download_of_a_packed_file(egress: Egress) -> None:
    exchange = asked(egress, "slices.example.com", range="bytes=1000-")
    response = answered(egress, exchange, 206, content_encoding="gzip", content_type="application/x-tar")
    assert b"".join(passed(response, TARBALL[1000:])) == TARBALL[1000:]


def test_a_slice_that_nobody_asked_for_is_looked_into(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    monkeypatch.setattr("addons.egress.bodies.end_flow", ended.append)
    exchange = asked(egress, range="bytes=0-")  # taken out here, because the route has no allow_ranges
    response = answered(egress, exchange, 206, content_encoding="gzip", content_type="application/x-tar")
    assert b"".join(passed(response, gzip.compress(b"x " + TOKEN.encode()))) == b""
    assert ended == [exchange]


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/html", ""])
def test_pages_go_on_plain_and_masked(egress: Egress, kind: str) -> None:
    response = answered(egress, asked(egress), content_encoding="gzip", content_type=kind)
    assert "content-encoding" not in response.headers
    assert b"".join(passed(response, gzip.compress(b"a " + TOKEN.encode()))) == b"a " + b"*" * len(TOKEN)


@pytest.mark.parametrize("at", [0, 1000, 700_000])
@pytest.mark.parametrize("value", [TOKEN, TOKEN[4:20], base64.b64encode(TOKEN.encode()).decode()])
def test_what_holds_a_token_is_cut_before_it(
    egress: Egress, at: int, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[Any] = []
    monkeypatch.setattr("addons.egress.bodies.end_flow", ended.append)
    body = gzip.compress(CONTENT[:at] + b" " + value.encode() + b" " + CONTENT[at:])
    exchange = asked(egress)
    response = answered(egress, exchange, content_encoding="gzip", content_type="application/x-tar")
    out = b"".join(passed(response, body, 100))
    assert ended == [exchange]
    assert out == body[: len(out)]
    assert "token_in_response" in capsys.readouterr().out
    # What has left unpacks to nothing of it, and of a short answer nothing has left.
    left = zlib.decompressobj(31).decompress(out)
    assert len(left) <= at + 1
    assert out == b"" or at * 0.8 > HELD


def head(kind: str, value: bytes) -> bytes:
    """A member's head with a field that gzip -l or file show and that nothing unpacks (RFC 1952, 2.3.1)."""
    flags = {"FEXTRA": 4, "FNAME": 8, "FCOMMENT": 16}[kind]
    field = len(value + b"tk\0\0").to_bytes(2, "little") + b"tk" + len(value).to_bytes(2, "little") + value
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + (field if kind == "FEXTRA" else value + b"\0")


@pytest.mark.parametrize("kind", ["FNAME", "FCOMMENT", "FEXTRA"])
@pytest.mark.parametrize("value", [TOKEN, TOKEN[4:20], base64.b64encode(TOKEN.encode()).decode()])
@pytest.mark.parametrize("before", [b"", TARBALL])
@pytest.mark.parametrize("size", [1, 16 << 10])
def test_a_token_in_the_head_of_a_packed_file_is_cut(
    egress: Egress, monkeypatch: pytest.MonkeyPatch, kind: str, value: str, before: bytes, size: int
) -> None:
    """Also in the head of a second member, and however the bytes come."""
    ended: list[Any] = []
    monkeypatch.setattr("addons.egress.bodies.end_flow", ended.append)
    if before and size < 1000:
        size *= 1000
    body = before + head(kind, b"x-" + value.encode() + b".tar") + gzip.compress(b"hello world")[10:]
    assert gzip.decompress(body).endswith(b"hello world")
    exchange = asked(egress)
    response = answered(egress, exchange, content_encoding="gzip", content_type="application/x-tar")
    out = b"".join(passed(response, body, size))
    assert ended == [exchange]
    assert body.startswith(out)
    assert len(out) <= len(before) + 12 + 6  # a head's fixed part, and the field's own


def test_an_ordinary_name_in_the_head_goes_on(egress: Egress) -> None:
    body = head("FNAME", b"release-1.2.3.tar") + gzip.compress(CONTENT)[10:]
    response = answered(egress, asked(egress), content_encoding="gzip", content_type="application/x-tar")
    assert b"".join(passed(response, body)) == body


def test_what_is_packed_twice_over_goes_on_plain(egress: Egress) -> None:
    inner = head("FNAME", TOKEN.encode()) + gzip.compress(b"hello world")[10:]
    response = answered(egress, asked(egress), content_encoding="gzip, gzip", content_type="application/x-tar")
    assert "content-encoding" not in response.headers
    assert b"".join(passed(response, gzip.compress(inner))) == b"hello world"


def test_a_packed_file_in_a_packed_one_has_no_token_in_its_head(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Any] = []
    monkeypatch.setattr("addons.egress.bodies.end_flow", ended.append)
    inner = head("FNAME", TOKEN.encode()) + gzip.compress(b"hello world")[10:]
    response = answered(egress, asked(egress), content_encoding="gzip", content_type="application/x-tar")
    assert b"".join(passed(response, gzip.compress(inner))) == b""
    assert len(ended) == 1


def test_what_ends_early_or_is_no_gzip_is_cut(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    monkeypatch.setattr("addons.egress.bodies.end_flow", ended.append)
    for body in (TARBALL[:-100], b"no gzip", gzip.compress(gzip.compress(b"x " + TOKEN.encode()))):
        response = answered(egress, asked(egress), content_encoding="gzip", content_type="application/x-tar")
        out = b"".join(passed(response, body))
        assert len(out) < len(body)
    assert len(ended) == 3
