"""The egress hooks, driven as mitmproxy drives them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flows import flow
from mitmproxy import http
from mitmproxy.test import taddons, tflow, tutils

from addons.egress_addon import BUFFERED_BODY, Egress

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


def run(egress: Egress, made: http.HTTPFlow) -> http.HTTPFlow:
    egress.requestheaders(made)
    egress.request(made)
    return made


def reason(made: http.HTTPFlow) -> str | None:
    if made.response is None:
        return None
    if made.response.headers["content-type"] == "text/plain":
        return "text"
    told = json.loads(made.response.content or b"")
    assert told["refused_by"] == "egress"
    assert told["ask_with"]["tool"] == "egress-block"
    return str(told["reason"])


def test_a_credential_is_put_in_and_the_agents_are_taken_out(egress: Egress) -> None:
    sent = {
        "authorization": "Bearer mine",
        "x_api_key": "mine",
        "cookie": "a=b",
        "proxy_authorization": "x",
        "accept": "*/*",
    }
    made = run(egress, flow("https://api.example.com/in/a", **sent))
    assert reason(made) is None
    assert made.request.headers["authorization"] == f"Bearer {TOKEN}"
    assert {"x-api-key", "cookie", "proxy-authorization"}.isdisjoint(made.request.headers)
    assert made.request.headers["accept"] == "*/*"


def test_no_path_of_a_host_with_a_credential_is_a_way_round(egress: Egress) -> None:
    made = run(egress, flow("https://api.example.com/free", authorization="Bearer smuggled", cookie="a=b"))
    assert reason(made) is None
    assert {"authorization", "cookie"}.isdisjoint(made.request.headers)
    assert TOKEN not in str(made.request.headers)


def test_a_host_without_a_credential_keeps_the_agents_headers(egress: Egress) -> None:
    made = run(egress, flow(authorization="Bearer public", cookie="a=b", proxy_authorization="x"))
    assert made.request.headers["authorization"] == "Bearer public"
    assert "proxy-authorization" not in made.request.headers
    assert TOKEN not in str(made.request.headers)


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
    made = run(egress, flow(url, **change))
    assert reason(made) == expected
    assert TOKEN not in made.response.get_text()  # type: ignore[union-attr, operator]


def test_names_must_agree(egress: Egress) -> None:
    made = flow()
    made.client_conn.sni = "api.example.com"
    assert reason(run(egress, made)) == "host_mismatch"
    made = flow()
    made.client_conn.sni = None
    assert reason(run(egress, made)) == "host_mismatch"
    made = flow()
    made.request.headers.fields += ((b"Host", b"api.example.com"),)
    assert reason(run(egress, made)) == "host_mismatch"
    made = flow()
    egress._tunnels.open(made.client_conn, "api.example.com", 443)
    assert reason(run(egress, made)) == "host_mismatch"


@pytest.mark.parametrize(
    "target", ["open.example.org:22", "127.0.0.1:443", "[::1]:443", "0x7f000001:443", "a@b.com:443"]
)
def test_connect_to_what_is_no_plain_target_is_refused(egress: Egress, target: str) -> None:
    made = tflow.tflow(req=tutils.treq(method=b"CONNECT", authority=target.encode()))
    host, _, port = target.rpartition(":")
    made.request.host, made.request.port = host, int(port)
    made.request.authority = target
    made.request.headers.clear()
    egress.http_connect(made)
    assert reason(made) in ("bad_host", "port_not_allowed")


def test_connect_dials_nothing_and_remembers_its_target(egress: Egress) -> None:
    made = tflow.tflow(
        req=tutils.treq(method=b"CONNECT", host="open.example.org", port=443, authority=b"open.example.org:443")
    )
    made.request.headers.clear()
    egress.http_connect(made)
    assert made.response is None
    assert egress._tunnels.target(made.client_conn) == ("open.example.org", 443)
    egress.client_disconnected(made.client_conn)
    assert egress._tunnels.target(made.client_conn) is None


@pytest.mark.parametrize("packed", [False, True])
def test_a_token_in_a_body_is_refused(egress: Egress, packed: bool) -> None:
    body = f'{{"a": "{TOKEN}"}}'.encode()
    headers = {"content_encoding": "gzip"} if packed else {}
    made = run(egress, flow("https://open.example.org/", "POST", gzip.compress(body) if packed else body, **headers))
    assert reason(made) == "token_in_request"


def test_a_token_in_a_trailer_is_refused(egress: Egress) -> None:
    made = flow(method="POST", body=b"x")
    made.request.trailers = http.Headers(x_end=TOKEN)
    assert reason(run(egress, made)) == "token_in_request"


def test_a_large_upload_to_a_refused_host_is_not_held(egress: Egress) -> None:
    made = flow("https://other.example.com/", method="POST")
    made.request.headers["content-length"] = str(1 << 30)
    egress.requestheaders(made)
    assert made.error is not None


def test_large_and_endless_uploads_are_streamed_small_ones_are_not(egress: Egress) -> None:
    small, large, endless = (flow(method="POST", body=b"x") for _ in range(3))
    large.request.headers["content-length"] = str(BUFFERED_BODY + 1)
    del endless.request.headers["content-length"]
    endless.request.headers["transfer-encoding"] = "chunked"
    for made in (small, large, endless):
        egress.requestheaders(made)
    assert [bool(made.request.stream) for made in (small, large, endless)] == [False, True, True]
    assert large.request.stream(b"abc") + large.request.stream(b"") == b"abc"  # type: ignore[operator]


def test_a_streamed_upload_with_a_token_is_cut(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[Any] = []
    monkeypatch.setattr("addons.proxy_guard.abort", cut.append)
    made = flow(method="POST")
    made.request.headers["transfer-encoding"] = "chunked"
    egress.requestheaders(made)
    out = b"".join(made.request.stream(part) for part in (b"abc", TOKEN[:8].encode(), TOKEN[8:].encode(), b"more", b""))  # type: ignore[operator]
    assert cut == [made]
    assert out == b"abc"


def answered(egress: Egress, body: bytes, **headers: str) -> http.HTTPFlow:
    made = run(egress, flow())
    made.response = http.Response.make(200)
    for name, value in headers.items():
        made.response.headers[name.replace("_", "-")] = value
    made.response.headers["content-length"] = str(len(body))
    egress.responseheaders(made)
    return made


def test_responses_are_streamed_and_masked(egress: Egress) -> None:
    body = f"data: {TOKEN} and {OTHER}\n\n".encode()
    made = answered(egress, body, content_type="text/event-stream", x_echo=f"Bearer {TOKEN}")
    assert made.response is not None
    out = made.response.stream(body[:9]) + made.response.stream(body[9:]) + made.response.stream(b"")  # type: ignore[operator]
    assert out == body.replace(TOKEN.encode(), b"*" * 21).replace(OTHER.encode(), b"*" * 22)
    assert made.response.headers["x-echo"] == "Bearer " + "*" * 21
    assert made.response.headers["content-length"] == str(len(body))


def test_compressed_responses_are_masked_and_sent_plain(egress: Egress) -> None:
    body = gzip.compress(b"x" * 1000 + TOKEN.encode())
    made = answered(egress, body, content_encoding="gzip")
    assert made.response is not None
    out = made.response.stream(body) + made.response.stream(b"")  # type: ignore[operator]
    assert out == b"x" * 1000 + b"*" * 21
    assert "content-encoding" not in made.response.headers
    assert made.response.headers["transfer-encoding"] == "chunked"


def test_a_response_that_cannot_be_read_is_not_passed_on(egress: Egress) -> None:
    made = answered(egress, b"secret", content_encoding="snappy")
    assert made.response is not None
    assert made.response.status_code == 502
    out = made.response.stream(b"secret") + made.response.stream(b"")  # type: ignore[operator]
    assert json.loads(out)["reason"] == "unreadable_response"
    assert made.response.headers["content-length"] == str(len(out))


def test_trailers_and_messages_are_masked(egress: Egress) -> None:
    made = answered(egress, b"")
    assert made.response is not None
    made.response.trailers = http.Headers(x_end=TOKEN)
    egress.response(made)
    assert TOKEN not in str(made.response.trailers)
    talk = tflow.twebsocketflow()
    assert talk.websocket is not None
    talk.websocket.messages[-1].from_client = False
    talk.websocket.messages[-1].content = f"x {TOKEN}".encode()
    egress.websocket_message(talk)
    assert talk.websocket.messages[-1].content == b"x " + b"*" * 21
    talk.websocket.messages[-1].from_client = True
    talk.websocket.messages[-1].content = f"x {TOKEN}".encode()
    egress.websocket_message(talk)
    assert talk.websocket.messages[-1].dropped


def test_introspection(egress: Egress) -> None:
    made = run(egress, flow("http://_egress.local/routes"))
    assert made.response is not None
    assert "EGRESS_TOKEN" not in made.response.get_text()  # type: ignore[operator]
    assert [r["host"] for r in json.loads(made.response.content or b"")["routes"]] == [
        r["host"] for r in TABLE["routes"]
    ]  # type: ignore[index]
    assert run(egress, flow("http://_egress.local/health")).response.status_code == 200  # type: ignore[union-attr]
    assert run(egress, flow("http://_egress.local/tokens")).response.status_code == 404  # type: ignore[union-attr]


def test_without_a_table_everything_is_refused_and_a_bad_one_keeps_the_last_good(tmp_path: Path) -> None:
    table, status = tmp_path / "routes.json", tmp_path / "status.json"
    addon = Egress(table, tmp_path / "tokens.json", tmp_path)
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
            told = json.loads(status.read_text())
            assert told["error"]
            assert told["live"] == live
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
            assert reason(run(addon, flow("https://api.example.com/in"))) == "token_missing"
            addon.done()

    asyncio.run(start())


def test_an_earlier_verdict_stands(egress: Egress) -> None:
    made = flow("https://other.example.com/")
    made.response = http.Response.make(418)
    assert run(egress, made).response.status_code == 418  # type: ignore[union-attr]


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

    from addons.proxy_guard import check_plain

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

    from addons.reload import ReloadingFile

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


@pytest.mark.parametrize("step", ["_decide", "_prepare"])
def test_a_hook_that_fails_lets_nothing_through(egress: Egress, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy goes on with a request whose hook failed, as if it had been allowed."""

    def fails(*_: object) -> None:
        raise RuntimeError("of a kind that nobody thought of")

    monkeypatch.setattr(Egress, step, fails)
    made = flow("https://open.example.org/a")
    with taddons.context(egress):
        egress.requestheaders(made)
        egress.request(made)
    assert made.response is not None
    assert made.response.status_code == 500
