"""The egress hooks, driven as mitmproxy drives them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flows import flow, now
from mitmproxy import http
from mitmproxy.test import taddons, tflow, tutils
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.frame_protocol import Opcode

from addons.egress.addon import BUFFERED_BODY, Egress
from claude_bottle.policy.record import Record

# Shaped like a token of GitHub (github.blog, 2021-04-05), valid nowhere.
LEAK = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4p5Q6r7S8"
TOKEN, OTHER = "real-token-0123456789", "other-token-0123456789"
TABLE = {
    "version": 1,
    "routes": [
        {"host": "api.example.com", "paths": ["/in"], "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"},
        {"host": "api.example.com", "paths": ["/free"]},
        {"host": "key.example.com", "auth_scheme": "header:X-Key", "slot": "EGRESS_TOKEN_1"},
        {"host": "lost.example.com", "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_7"},
        {"host": "open.example.org"},
    ],
}


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[Egress]:
    (tmp_path / "routes.json").write_text(json.dumps(TABLE))
    addon = Egress(tmp_path / "routes.json", tmp_path / "tokens.json", tmp_path)
    addon.use_tokens({"EGRESS_TOKEN_0": TOKEN, "EGRESS_TOKEN_1": OTHER})
    addon._file.poll()
    with taddons.context(addon):
        yield addon


def run(egress: Egress, exchange: http.HTTPFlow) -> http.HTTPFlow:
    now(egress.requestheaders(exchange))
    now(egress.request(exchange))
    return exchange


def reason(exchange: http.HTTPFlow) -> str | None:
    if exchange.response is None:
        return None
    if exchange.response.headers["content-type"] == "text/plain":
        return "text"
    body = json.loads(exchange.response.content or b"")
    assert body["refused_by"] == "egress"
    assert "no_approval" in body or body["ask_with"]["tool"] == "egress-block"
    return str(body["reason"])


def test_a_credential_is_put_in_and_the_agents_cookies_are_taken_out(egress: Egress) -> None:
    sent = {
        "authorization": "Bearer placeholder",
        "x_my_token": "mine",
        "cookie": "a=b",
        "proxy_authorization": "x",
        "accept": "*/*",
    }
    exchange = run(egress, flow("https://api.example.com/in/a", **sent))
    assert reason(exchange) is None
    assert exchange.request.headers["authorization"] == f"Bearer {TOKEN}"
    assert {"x-my-token", "cookie", "proxy-authorization"}.isdisjoint(exchange.request.headers)
    assert exchange.request.headers["accept"] == "*/*"


def test_no_path_of_a_host_with_a_credential_is_a_way_round(egress: Egress) -> None:
    exchange = run(egress, flow("https://api.example.com/free", authorization="Bearer smuggled"))
    assert reason(exchange) == "other_credential"
    exchange = run(egress, flow("https://api.example.com/free", authorization="Bearer placeholder", cookie="a=b"))
    assert reason(exchange) is None
    assert {"authorization", "cookie"}.isdisjoint(exchange.request.headers)
    assert TOKEN not in str(exchange.request.headers)


def test_a_host_without_a_credential_keeps_the_agents_headers(egress: Egress) -> None:
    exchange = run(egress, flow(authorization="Bearer public", cookie="a=b", proxy_authorization="x"))
    assert exchange.request.headers["authorization"] == "Bearer public"
    assert "proxy-authorization" not in exchange.request.headers
    assert TOKEN not in str(exchange.request.headers)


@pytest.mark.parametrize(
    ("url", "change", "expected"),
    [
        ("https://other.example.com/", {}, "host_not_declared"),
        ("https://api.example.com/out", {}, "path_not_declared"),
        ("https://open.example.org:8443/", {}, "port_not_allowed"),
        ("http://key.example.com/", {}, "tls_required"),
        ("https://lost.example.com/", {}, "token_missing"),
        ("https://open.example.org/a/info/refs?service=git-receive-pack", {}, "text"),
        ("https://open.example.org/", {"host": "api.example.com"}, "host_mismatch"),
        ("https://open.example.org/", {"host": "open.example.org:8443"}, "host_mismatch"),
        ("https://open.example.org/", {"host": "open.example.org."}, "host_mismatch"),
        ("https://open.example.org/", {"host": "user@open.example.org"}, "host_mismatch"),
        ("https://203.0.113.9/", {}, "host_mismatch"),
        ("https://open.example.org/?q=" + TOKEN, {}, "token_in_request"),
        ("https://open.example.org/", {"x_note": "a" + OTHER}, "token_in_request"),
    ],
)
def test_refusals(egress: Egress, url: str, change: dict[str, str], expected: str) -> None:
    exchange = run(egress, flow(url, **change))
    assert reason(exchange) == expected
    assert TOKEN not in exchange.response.get_text()  # type: ignore[union-attr, operator]


def test_names_must_agree(egress: Egress) -> None:
    exchange = flow()
    exchange.client_conn.sni = "api.example.com"
    assert reason(run(egress, exchange)) == "host_mismatch"
    exchange = flow()
    exchange.client_conn.sni = None
    assert reason(run(egress, exchange)) == "host_mismatch"
    exchange = flow()
    exchange.request.headers.fields += ((b"Host", b"api.example.com"),)
    assert reason(run(egress, exchange)) == "host_mismatch"
    exchange = flow()
    egress._tunnels.open(exchange.client_conn, "api.example.com", 443)
    assert reason(run(egress, exchange)) == "host_mismatch"


@pytest.mark.parametrize(
    "target", ["open.example.org:22", "127.0.0.1:443", "[::1]:443", "0x7f000001:443", "a@b.com:443"]
)
def test_connect_to_what_is_no_plain_target_is_refused(egress: Egress, target: str) -> None:
    exchange = tflow.tflow(req=tutils.treq(method=b"CONNECT", authority=target.encode()))
    host, _, port = target.rpartition(":")
    exchange.request.host, exchange.request.port = host, int(port)
    exchange.request.authority = target
    exchange.request.headers.clear()
    now(egress.http_connect(exchange))
    assert reason(exchange) in ("bad_host", "port_not_allowed")


def test_connect_dials_nothing_and_remembers_its_target(egress: Egress) -> None:
    exchange = tflow.tflow(
        req=tutils.treq(method=b"CONNECT", host="open.example.org", port=443, authority=b"open.example.org:443")
    )
    exchange.request.headers.clear()
    now(egress.http_connect(exchange))
    assert exchange.response is None
    assert egress._tunnels.target(exchange.client_conn) == ("open.example.org", 443)
    egress.client_disconnected(exchange.client_conn)
    assert egress._tunnels.target(exchange.client_conn) is None


@pytest.mark.parametrize("packed", [False, True])
def test_a_token_in_a_body_is_refused(egress: Egress, packed: bool) -> None:
    body = f'{{"a": "{TOKEN}"}}'.encode()
    headers = {"content_encoding": "gzip"} if packed else {}
    exchange = run(
        egress, flow("https://open.example.org/", "POST", gzip.compress(body) if packed else body, **headers)
    )
    assert reason(exchange) == "token_in_request"


def test_a_token_in_a_trailer_is_refused(egress: Egress) -> None:
    exchange = flow(method="POST", body=b"x")
    exchange.request.trailers = http.Headers(x_end=TOKEN)
    assert reason(run(egress, exchange)) == "token_in_request"


def test_a_large_upload_to_a_refused_host_is_not_held(egress: Egress) -> None:
    exchange = flow("https://other.example.com/", method="POST")
    exchange.request.headers["content-length"] = str(1 << 30)
    now(egress.requestheaders(exchange))
    assert exchange.error is not None


def test_large_and_endless_uploads_are_streamed_small_ones_are_not(egress: Egress) -> None:
    small, large, endless = (flow(method="POST", body=b"x") for _ in range(3))
    large.request.headers["content-length"] = str(BUFFERED_BODY + 1)
    del endless.request.headers["content-length"]
    endless.request.headers["transfer-encoding"] = "chunked"
    for exchange in (small, large, endless):
        now(egress.requestheaders(exchange))
    assert [bool(exchange.request.stream) for exchange in (small, large, endless)] == [False, True, True]
    assert large.request.stream(b"abc") + large.request.stream(b"") == [b"abc"]  # type: ignore[operator]


def test_a_streamed_upload_with_a_token_is_cut(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[Any] = []
    monkeypatch.setattr("addons.frame.refuse.end_flow", cut.append)
    exchange = flow(method="POST")
    exchange.request.headers["transfer-encoding"] = "chunked"
    now(egress.requestheaders(exchange))
    parts = (b"abc", TOKEN[:8].encode(), TOKEN[8:].encode(), b"more", b"")
    out = [piece for part in parts for piece in exchange.request.stream(part)]  # type: ignore[operator]
    assert cut == [exchange]
    assert out == [b"abc", TOKEN[:8].encode()]  # what may begin a token leaves as anything else; its end does not


def answered(egress: Egress, body: bytes, **headers: str) -> http.HTTPFlow:
    exchange = run(egress, flow("https://api.example.com/in"))
    exchange.response = http.Response.make(200)
    for name, value in headers.items():
        exchange.response.headers[name.replace("_", "-")] = value
    exchange.response.headers["content-length"] = str(len(body))
    now(egress.responseheaders(exchange))
    return exchange


def test_responses_are_streamed_and_masked(egress: Egress) -> None:
    body = f"data: {TOKEN} and {OTHER}\n\n".encode()
    exchange = answered(egress, body, content_type="text/event-stream", x_echo=f"Bearer {TOKEN}")
    assert exchange.response is not None
    out = exchange.response.stream(body[:9]) + exchange.response.stream(body[9:]) + exchange.response.stream(b"")  # type: ignore[operator]
    # The other token is another host's: this one does not know it.
    assert b"".join(out) == body.replace(TOKEN.encode(), b"*" * 21)
    assert exchange.response.headers["x-echo"] == "Bearer " + "*" * 21
    assert exchange.response.headers["content-length"] == str(len(body))


def test_compressed_responses_are_masked_and_sent_plain(egress: Egress) -> None:
    body = gzip.compress(b"x" * 1000 + TOKEN.encode())
    exchange = answered(egress, body, content_encoding="gzip")
    assert exchange.response is not None
    out = exchange.response.stream(body) + exchange.response.stream(b"")  # type: ignore[operator]
    assert b"".join(out) == b"x" * 1000 + b"*" * 21
    assert "content-encoding" not in exchange.response.headers
    assert "content-length" not in exchange.response.headers


def test_a_response_that_cannot_be_read_is_not_passed_on(egress: Egress) -> None:
    exchange = answered(egress, b"secret", content_encoding="snappy")
    assert exchange.response is not None
    assert exchange.response.status_code == 502
    out = b"".join(exchange.response.stream(b"secret") + exchange.response.stream(b""))  # type: ignore[operator]
    assert json.loads(out)["reason"] == "unreadable_response"
    assert exchange.response.headers["content-length"] == str(len(out))


def test_trailers_are_masked(egress: Egress) -> None:
    exchange = answered(egress, b"")
    assert exchange.response is not None
    exchange.response.trailers = http.Headers(x_end=TOKEN)
    now(egress.response(exchange))
    assert TOKEN not in str(exchange.response.trailers)


def test_a_range_is_not_asked_for_where_a_token_is_put_in(egress: Egress) -> None:
    asked = {"range": "bytes=0-40", "if_range": '"a"'}
    assert "range" not in run(egress, flow("https://api.example.com/in", **asked)).request.headers
    assert "if-range" not in run(egress, flow("https://api.example.com/in", **asked)).request.headers
    assert run(egress, flow("https://open.example.org/", **asked)).request.headers["range"] == "bytes=0-40"


def test_head_tells_no_length_where_a_token_is_put_in(egress: Egress) -> None:
    exchange = run(egress, flow("https://api.example.com/in", method="HEAD"))
    exchange.response = http.Response.make(200, headers={"content-length": "123", "content-encoding": "br"})
    now(egress.responseheaders(exchange))
    assert {"content-length", "content-encoding"}.isdisjoint(exchange.response.headers)


def test_a_token_in_a_compressed_file_ends_the_answer(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    monkeypatch.setattr("addons.egress.bodies.end_flow", ended.append)
    body = gzip.compress(b"x" * 1000 + TOKEN.encode())
    exchange = answered(egress, body, content_type="application/gzip")
    assert exchange.response is not None
    assert exchange.response.stream(body) == []  # type: ignore[operator]
    assert ended == [exchange]


def test_a_small_bomb_in_an_answer_ends_it(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    monkeypatch.setattr("addons.egress.bodies.end_flow", ended.append)
    body = gzip.compress(bytes(40 << 20))
    exchange = answered(egress, body, content_encoding="gzip")
    assert exchange.response is not None
    assert exchange.response.stream(body) == []  # type: ignore[operator]
    assert ended == [exchange]


@pytest.mark.parametrize("at", [0, 9, 20])
def test_messages_are_masked_and_watched_over_their_borders(
    egress: Egress, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[Any] = []
    monkeypatch.setattr("addons.frame.refuse.end_flow", cut.append)
    talk = run(egress, flow("https://api.example.com/in"))
    talk.websocket = WebSocketData()
    for from_client in (False, True):
        pieces = [b"x " + TOKEN[:at].encode(), TOKEN[at:].encode()]
        for piece in pieces:
            talk.websocket.messages.append(WebSocketMessage(Opcode.TEXT, from_client, piece))
            now(egress.websocket_message(talk))
        first, second = talk.websocket.messages[-2:]
        assert first.content == pieces[0]
        # A part of it has gone where a message ended in it, so nothing goes on from there.
        assert second.dropped == (from_client or at > 0)
        assert cut == [talk] * (from_client + (at > 0))
        if not from_client:
            assert second.content == b"*" * (len(TOKEN) - at)


@pytest.mark.parametrize("sizes", [(1,), (2,), (3,), (1, 1, 1), (4, 1)])
def test_a_packed_body_is_known_however_it_is_cut(
    egress: Egress, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Any] = []
    for name in ("addons.frame.refuse.end_flow", "addons.egress.bodies.end_flow"):
        monkeypatch.setattr(name, ended.append)
    packed, pieces = gzip.compress(b"key " + TOKEN.encode() + b" and more " * 50), []
    for size in sizes:
        pieces.append(packed[:size])
        packed = packed[size:]
    pieces.append(packed)
    upload = flow("https://open.example.org/x", "POST", b"x")
    upload.request.headers["content-length"] = str(10 << 20)
    now(egress.requestheaders(upload))
    assert upload.request.stream(pieces[0]) == [pieces[0]]  # type: ignore[operator]
    assert [upload.request.stream(piece) for piece in pieces[1:]][-1] == []  # type: ignore[operator]
    exchange = run(egress, flow("https://api.example.com/in"))
    exchange.response = http.Response.make(200, b"", {"content-type": "application/octet-stream"})
    now(egress.responseheaders(exchange))
    assert exchange.response is not None
    assert [exchange.response.stream(piece) for piece in (*pieces, b"")][-1] == []  # type: ignore[operator]
    assert set(ended) == {upload, exchange}


def test_introspection(egress: Egress) -> None:
    exchange = run(egress, flow("http://_egress.local/routes"))
    assert exchange.response is not None
    assert "EGRESS_TOKEN" not in exchange.response.get_text()  # type: ignore[operator]
    assert [r["host"] for r in json.loads(exchange.response.content or b"")["routes"]] == [
        r["host"] for r in TABLE["routes"]
    ]  # type: ignore[index]
    assert run(egress, flow("http://_egress.local/health")).response.status_code == 200  # type: ignore[union-attr]
    assert run(egress, flow("http://_egress.local/tokens")).response.status_code == 404  # type: ignore[union-attr]


def test_without_a_table_everything_is_refused_and_a_bad_one_keeps_the_last_good(tmp_path: Path) -> None:
    table, status = tmp_path / "routes.json", tmp_path / "status.json"
    addon = Egress(table, tmp_path / "tokens.json", tmp_path)
    addon.use_tokens({})
    with taddons.context(addon):
        addon._file.poll()
        assert reason(run(addon, flow())) == "no_route_table"
        table.write_text(json.dumps(TABLE))
        assert addon._file.poll()
        assert reason(run(addon, flow())) is None
        live = json.loads(status.read_text())["live"]
        for bad in ("{", "[]", '{"version": 1, "routes": [{"host": "*"}]}'):
            table.write_text(bad)
            assert addon._file.poll()
            report = json.loads(status.read_text())
            assert report["error"]
            assert report["live"] == live
            assert reason(run(addon, flow())) is None
        table.unlink()
        (tmp_path / "wide.json").write_text('{"version": 1, "routes": [{"host": "other.example.com"}]}')
        table.symlink_to(tmp_path / "wide.json")
        assert addon._file.poll()
        assert reason(run(addon, flow("https://other.example.com/"))) == "host_not_declared"
        assert reason(run(addon, flow())) is None
        assert not addon._file.poll()


def test_missing_tokens_never_stop_the_proxy(tmp_path: Path) -> None:
    (tmp_path / "routes.json").write_text(json.dumps(TABLE))

    async def start() -> None:
        addon = Egress(tmp_path / "routes.json", tmp_path / "none.json", tmp_path)
        with taddons.context(addon):
            addon.running()
            while not addon.is_ready():
                await asyncio.sleep(0.01)
            assert reason(run(addon, flow("https://api.example.com/in"))) == "token_missing"
            addon.done()

    asyncio.run(start())


def test_an_earlier_verdict_stands(egress: Egress) -> None:
    exchange = flow("https://other.example.com/")
    exchange.response = http.Response.make(418)
    assert run(egress, exchange).response.status_code == 418  # type: ignore[union-attr]


def test_raw_traffic_is_killed(egress: Egress) -> None:
    raw = tflow.ttcpflow()
    raw.live = True
    egress.tcp_start(raw)
    assert raw.error is not None


@pytest.mark.parametrize(
    ("what", "value"),
    [("header", b"b\rGET /closed HTTP/1.1"), ("header", b"b\nX: y"), ("header", b"b\0"), ("name", b"x y"), ("name", b"x\r"),
     ("name", b""), ("path", b"/a b"), ("path", b"/a\r\nX: y"), ("method", b"GET /x"), ("method", b"")],
)  # fmt: skip
def test_a_head_that_can_be_read_in_two_ways_is_refused(what: str, value: bytes) -> None:
    from mitmproxy.test import tutils

    from addons.frame.request_target import check_plain

    request = tutils.treq(
        method=b"GET", path=b"/x", headers=http.Headers([(b"host", b"a.example.com"), (b"x-a", b"b\tc")])
    )
    check_plain(request)
    if what in ("path", "method"):
        setattr(request.data, what, value)
    else:
        request.headers.fields += ((b"x-b", value),) if what == "header" else ((value, b"x"),)
    with pytest.raises(ValueError, match=r"plain|URL"):
        check_plain(request)


@pytest.mark.parametrize("what", ["folder", "pipe", "link", "missing"])
def test_a_policy_is_a_plain_file_or_it_is_none(tmp_path: Path, what: str) -> None:
    import os

    from addons.frame.reload import ReloadingFile

    file = tmp_path / "policy"
    file.write_bytes(b"good")
    held: ReloadingFile[bytes] = ReloadingFile(file, bytes)
    assert held.poll()
    file.unlink()
    (tmp_path / "other").write_bytes(b"other")
    {
        "folder": file.mkdir,
        "pipe": lambda: os.mkfifo(file),
        "link": lambda: file.symlink_to("other"),
        "missing": lambda: None,
    }[what]()
    assert held.poll()
    assert held.error
    assert held.current == b"good"  # the last good one stays
    assert not held.poll()
    anew: ReloadingFile[bytes] = ReloadingFile(file, bytes)
    anew.poll()
    assert anew.current is None


@pytest.mark.parametrize("step", ["decide", "rewrite_request"])
def test_a_hook_that_fails_lets_nothing_through(egress: Egress, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy goes on with a request whose hook failed, as if it had been allowed."""

    def fails(*_: object) -> None:
        raise RuntimeError("of a kind that nobody thought of")

    monkeypatch.setattr(Egress, step, fails)
    exchange = flow("https://open.example.org/a")
    with taddons.context(egress):
        now(egress.requestheaders(exchange))
        now(egress.request(exchange))
    assert exchange.response is not None
    assert exchange.response.status_code == 500


@pytest.mark.parametrize(
    ("url", "reason_expected"),
    [
        (f"https://open.example.org/{LEAK}/x", None),
        (f"https://other.example.com/{LEAK}", "host_not_declared"),
        (f"https://api.example.com/{LEAK}", "path_not_declared"),
        (f"https://api.example.com/{TOKEN}", "path_not_declared"),
        (f"https://{LEAK.lower().replace('_', '-')}.example.com/", "host_not_declared"),
    ],
)
def test_a_secret_in_a_path_is_in_no_log(
    egress: Egress, url: str, reason_expected: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason(run(egress, flow(url))) == reason_expected
    out = capsys.readouterr().out
    assert '"part": "egress"' in out
    assert LEAK not in out
    assert TOKEN not in out


# From an attacker's look at the finished proxies.
@pytest.mark.parametrize(
    "trailer",
    [{"x_api_key": "mine"}, {"private_token": "mine"}, {"sudo": "root"}, {"x_claude_bottle_injected": "authorization"},
     {"x_http_method_override": "DELETE"}, {"content_length": "5"}, {"authorization": "x"}],
)  # fmt: skip
def test_a_trailer_that_says_who_asks_or_how_is_refused(egress: Egress, trailer: dict[str, str]) -> None:
    exchange = flow("https://api.example.com/in", method="POST", body=b"x")
    exchange.request.trailers = http.Headers(**trailer)
    assert reason(run(egress, exchange)) == "ambiguous_request"


@pytest.mark.parametrize("name", ["content-type", "content-encoding"])
def test_a_header_that_servers_take_the_first_or_the_last_of_is_there_once(egress: Egress, name: str) -> None:
    exchange = flow(method="POST", body=b"_method=DELETE")
    exchange.request.headers.fields += (
        (name.encode(), b"text/plain"),
        (name.encode(), b"application/x-www-form-urlencoded"),
    )
    assert reason(run(egress, exchange)) == "host_mismatch"


@pytest.mark.parametrize("name", ["Range", "If-Range", "X-Ms-Range", "Request-Range", "x_ms_range"])
def test_no_range_by_any_name_where_a_token_is_put_in(egress: Egress, name: str) -> None:
    exchange = flow("https://api.example.com/in")
    exchange.request.headers[name] = "bytes=0-40"
    assert name not in run(egress, exchange).request.headers


@pytest.mark.parametrize("name", ["Token", "X-User-Token", "X-Serverless-Authorization", "X-My-Api-Key", "App-Secret"])
def test_a_header_that_says_that_it_is_a_credential_is_one(egress: Egress, name: str) -> None:
    exchange = flow("https://api.example.com/in")
    exchange.request.headers[name] = "mine"
    assert name not in run(egress, exchange).request.headers


@pytest.mark.parametrize("method", ["get", "AKIAZ7QW3ERT5YUI2OPA", "GET\x00", "G ET", "-GET", "A" * 40])
def test_a_method_is_a_word_in_capitals_and_never_logged_as_anything_else(
    egress: Egress, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = flow()
    exchange.request.data.method = method.encode()
    assert reason(run(egress, exchange)) == "host_mismatch"
    assert method not in capsys.readouterr().out or method == "get"


@pytest.mark.parametrize("path", ["/in/../x", "/in/..%20/x", "/in/.../x", "/in/%2e%2e%20/x", "/in/..;a=b/x"])
def test_dots_that_a_server_may_cut_are_refused(egress: Egress, path: str) -> None:
    assert reason(run(egress, flow("https://api.example.com" + path))) == "ambiguous_path"


def test_a_host_that_was_sent_a_token_is_masked_for_it_when_its_route_is_gone(egress: Egress, tmp_path: Path) -> None:
    assert reason(run(egress, flow("https://api.example.com/in"))) is None
    table = {"version": 1, "routes": [{"host": "api.example.com", "paths": ["/free"]}]}
    (tmp_path / "routes.json").write_text(json.dumps(table))
    assert egress._file.poll()
    exchange = run(egress, flow("https://api.example.com/free"))
    exchange.response = http.Response.make(200)
    now(egress.responseheaders(exchange))
    out = exchange.response.stream(f"x {TOKEN} y".encode()) + exchange.response.stream(b"")  # type: ignore[operator]
    assert TOKEN.encode() not in b"".join(out)


def test_what_a_route_no_longer_lets_through_ends(egress: Egress, tmp_path: Path) -> None:
    def table(**more: object) -> None:
        routes = [{"host": "open.example.org", "methods": ["POST"], **more}]
        (tmp_path / "routes.json").write_text(json.dumps({"version": 1, "routes": routes}))
        assert egress._file.poll()

    table(allow_headers=["x-http-method-override"])
    exchange = run(egress, flow(method="POST", x_http_method_override="PUT"))
    assert reason(exchange) is None
    assert egress.refuse_open(exchange, exchange.metadata["decision"]) is None
    table()
    refusal = egress.refuse_open(exchange, exchange.metadata["decision"])
    assert refusal is not None
    assert refusal.reason == "ambiguous_request"


def test_an_upload_that_is_not_sent_to_its_end_is_in_the_log(
    egress: Egress, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = flow(method="POST")
    exchange.request.headers["transfer-encoding"] = "chunked"
    now(egress.requestheaders(exchange))
    assert '"decision"' not in capsys.readouterr().out
    egress.error(exchange)
    assert json.loads(capsys.readouterr().out)["decision"] == "unfinished"
    egress.error(exchange)
    assert capsys.readouterr().out == ""


def test_a_refused_body_without_a_length_is_not_held_for_long(egress: Egress) -> None:
    exchange = flow("https://other.example.com/", method="POST")
    exchange.request.headers["transfer-encoding"] = "chunked"
    now(egress.requestheaders(exchange))
    assert exchange.metadata["hold"] == 64 << 10


def test_connect_lines_hold_no_secret(egress: Egress, capsys: pytest.CaptureFixture[str]) -> None:
    host = "AKIAZ7QW3ERT5YUI2OPA.evil.example.com"
    exchange = tflow.tflow(req=tutils.treq(method=b"CONNECT", host=host, port=22, authority=f"{host}:22".encode()))
    exchange.request.headers.clear()
    now(egress.http_connect(exchange))
    assert "AKIA" not in capsys.readouterr().out


def on_record(tmp_path: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in Record(tmp_path / "record").read("", 1)][1:]
    return [(line["method"], line["path"]) for line in lines]


def without_body(url: str) -> http.HTTPFlow:
    exchange = flow(url)
    exchange.request.has_content = False  # type: ignore[attr-defined]
    return exchange


def test_what_may_change_something_is_on_record_before_it_leaves(egress: Egress, tmp_path: Path) -> None:
    long = "/" + "p" * 3000
    run(egress, flow(f"https://open.example.org{long}?q=1", "POST", b"x"))
    run(egress, flow("https://open.example.org/d", "DELETE"))
    run(egress, flow("https://open.example.org/ws", upgrade="websocket", connection="upgrade"))
    run(egress, flow("https://open.example.org/g", "GET", b"a body"))
    run(egress, without_body("https://open.example.org/read"))
    run(egress, flow("https://other.example.com/refused", "POST", b"x"))
    assert on_record(tmp_path) == [("POST", long), ("DELETE", "/d"), ("GET", "/ws"), ("GET", "/g")]
    # A body that passes in pieces: before its first one.
    streamed = flow("https://open.example.org/stream", "PUT", b"x")
    streamed.request.headers["content-length"] = str(10 << 20)
    now(egress.requestheaders(streamed))
    assert on_record(tmp_path)[-1] == ("PUT", "/stream")
    now(egress.request(streamed))
    assert len(on_record(tmp_path)) == 5


@pytest.mark.parametrize("length", [1, 10 << 20])
def test_nothing_that_writes_leaves_without_a_record(egress: Egress, tmp_path: Path, length: int) -> None:
    (tmp_path / "record").write_text("in the folder's place")
    exchange = flow("https://open.example.org/x", "POST", b"x")
    exchange.request.headers["content-length"] = str(length)
    run(egress, exchange)
    assert (reason(exchange), exchange.response and exchange.response.status_code) == ("record_full", 503)
    assert not exchange.request.stream
    assert reason(run(egress, without_body("https://open.example.org/x"))) is None
