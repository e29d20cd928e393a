"""Each way in which the way outside can fail, as the agent and a model's client are told of it.

Sources: mitmproxy 12.2, proxy/layers/tls.py, proxy/tunnel.py and proxy/server.py for its words; connect(2) for the
numbers; Anthropic, "Errors": 400 is invalid_request_error, and the SDKs of both vendors try again from 500 on.
"""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.net.http import http1
from mitmproxy.options import Options
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import _events
from mitmproxy.test import taddons, tflow
from streams import DrivenStream

from addons.frame import error_page
from addons.frame.proxy import DECISION
from addons.frame.request import Decision, Outcome
from addons.http import dial_time, flow_windows
from addons.http import layers as http_layers
from addons.pipelock.addon import Pipelock
from claude_bottle.policy.model_api import status_of

MODEL, OTHER = "https://open.example.org/v1/messages?beta=true", "https://open.example.org/x?q=1"
WAYS = {
    # mitmproxy's words: who is named, the reason, whether another try within seconds is of no use (egress, pipelock)
    "[Errno 111] Connect call failed ('203.0.113.5', 443)": ("upstream_unreachable", False, True),
    "Multiple exceptions: [Errno 111] Connect call failed, [Errno 101] unreachable": ("upstream_unreachable", False, True),
    "[Errno 110] no answer within 10 s": ("upstream_timeout", True, True),
    "Certificate verify failed: unable to get local issuer certificate": ("upstream_not_trusted", True, True),
    "The remote server does not speak TLS.": ("upstream_tls", True, True),
    "OpenSSL Error([('SSL routines', '', 'ghp_secret')])": ("upstream_tls", True, True),
    "server closed connection": ("upstream_closed", True, True),
    "Error connecting to pipelock:8888: Bad HTTP response line: b'ghp_secret'": ("upstream_failed", True, True),
    "the forward proxy proxy.example.com:3128 gives no tunnel to open.example.org (status 403)": (
        "upstream_proxy", True, True),
    "connection closed": ("upstream_closed", True, True),
    f"{error_page.CONNECT_REFUSED}unresolvable": ("unresolvable", True, True),
    f"{error_page.CONNECT_REFUSED}ssrf_private_ip": ("ssrf_private_ip", True, True),
    f"{error_page.CONNECT_REFUSED}starting": ("starting", False, False),
}  # fmt: skip


async def _fail(part: str, message: str, url: str) -> tuple[int, dict[str, Any]]:
    """The answer of a proxy whose dial fails, as it is on the wire: its status and its body."""
    with taddons.context(Proxyserver()) as context:
        driven = DrivenStream(object(), context.options, dial_error=message)
        driven.stream.__class__ = type("Stream", (http_layers.Stream,), {"part": part})
        await driven.begin(url)
        await driven.end()
    (event,) = driven.client
    assert isinstance(event, _events.ResponseProtocolError)
    raw = http_layers.error_response(part, int(event.code), event.message)
    head, _, body = raw.partition(b"\r\n\r\n")
    response = http1.read_response_head(head.split(b"\r\n"))
    assert response.headers["content-type"] == "application/json"
    return response.status_code, json.loads(body)


@pytest.mark.parametrize("part", ["egress", "pipelock"])
@pytest.mark.parametrize("message", WAYS)
def test_each_way_to_fail_is_json_and_final_for_a_models_client(part: str, message: str) -> None:
    reason, *final = WAYS[message]
    status, body = asyncio.run(_fail(part, message, OTHER))
    assert (status, body["reason"]) == (502, reason)
    assert ("failed_at" in body) != ("refused_by" in body)
    assert (body["host"], body["path"]) == ("open.example.org", "/x")
    assert "203.0.113" not in json.dumps(body), "what others have said is not repeated"
    assert "ghp_secret" not in json.dumps(body)
    status, body = asyncio.run(_fail(part, message, MODEL))
    assert status == (400 if final[part == "pipelock"] else 502)
    assert body["type"] == "error"
    assert body["error"] == {"type": "invalid_request_error", "message": body["message"]}
    assert reason in body["message"]


def test_a_certificate_that_is_not_trusted_names_the_key() -> None:
    body = asyncio.run(
        _fail("pipelock", "Certificate verify failed: self-signed certificate in certificate chain", OTHER)
    )[1]
    assert (body["refused_by"], body["reason"]) == ("pipelock", "upstream_not_trusted")
    assert "pipelock.ca_files" in body["message"]
    assert "self-signed certificate in certificate chain" in body["message"]
    assert "ask_with" not in body


@pytest.mark.parametrize(
    ("message", "verdict", "reason"),
    [
        ("Certificate verify failed: certificate has expired", "refused", "upstream_not_trusted"),
        ("[Errno 111] Connect call failed ('203.0.113.5', 443)", "failed", "upstream_unreachable"),
        ("peer closed connection", None, None),
    ],
)
def test_the_log_says_that_no_answer_came(
    message: str, verdict: str | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = tflow.tflow(err=True)
    failed.error.msg = message
    failed.metadata[DECISION] = Decision(Outcome.ALLOW, None)
    Pipelock(tmp_path / "none", tmp_path).error(failed)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["decision"], line["reason"]) for line in lines] == ([(verdict, reason)] if verdict else [])


@pytest.mark.parametrize(("status", "reason", "wanted"), [
    (403, "host_not_declared", 400), (503, "unresolvable", 400), (502, "token_missing", 400), (500, "internal_error", 400),
    (502, "next_hop", 400), (503, "next_hop", 503), (503, "starting", 503), (503, "busy", 503), (413, "too_large", 413),
])  # fmt: skip
def test_a_refusal_is_final_for_a_models_client_unless_it_ends_by_itself(status: int, reason: str, wanted: int) -> None:
    assert status_of("/v1/messages", status, reason) == wanted
    assert status_of("/repos", status, reason) == status


@pytest.mark.parametrize(("head", "wanted"), [
    (b"HTTP/1.1 503 x\r\nX-Pipelock-Block-Reason: unresolvable\r\nContent-Length: 0\r\n\r\n", "unresolvable"),
    (b"HTTP/1.1 403 x\r\nX-Pipelock-Block-Reason: <b>no</b>\r\n\r\n", None),
    (b"HTTP/1.1 502 x\r\n\r\n", None),
])  # fmt: skip
def test_a_refused_connect_names_its_reason(head: bytes, wanted: str | None) -> None:
    context = Context(tflow.tclient_conn(), Options())
    context.server = tflow.tserver_conn()
    proxy = http_layers.NextProxy(context, tflow.tserver_conn(), True)
    reply: Any = None
    for piece in (head[:30], head[30:]):
        steps = proxy.receive_handshake_data(piece)
        try:
            while True:
                next(steps)
        except StopIteration as end:
            reply = end.value
    assert reply[0] is False
    assert (reply[1] == f"{error_page.CONNECT_REFUSED}{wanted}") == (wanted is not None)


def test_an_error_by_http2_is_json_too() -> None:
    sent: list[Any] = []

    class Connection(flow_windows.WindowedH2):
        def __init__(self) -> None:
            self._grown = {}

    original = flow_windows.BufferedH2Connection.send_headers
    try:
        flow_windows.BufferedH2Connection.send_headers = lambda _, __, headers, *a, **k: sent.append(headers)  # type: ignore[method-assign, assignment, misc]
        Connection().send_headers(1, [(b":status", b"502"), *flow_windows._OF_AN_ERROR])
        Connection().send_headers(3, [(b":status", b"200"), (b"server", b"x"), (b"content-type", b"text/html")])
    finally:
        flow_windows.BufferedH2Connection.send_headers = original  # type: ignore[method-assign]
    assert sent[0] == [(b":status", b"502"), (b"content-type", b"application/json")]
    assert sent[1][2] == (b"content-type", b"text/html")


def test_an_address_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial_time, "DIAL_SECONDS", 0.2)

    async def go() -> None:
        loop = asyncio.get_running_loop()

        async def silent(*_: Any) -> None:
            await asyncio.sleep(60)

        loop.sock_connect = silent  # type: ignore[method-assign]
        dial_time.limit_dials(loop)
        with pytest.raises(OSError, match=r"no answer within 0\.2 s") as caught:
            await asyncio.open_connection("192.0.2.1", 443, family=socket.AF_INET)
        assert error_page.reason_of(str(caught.value)) == "upstream_timeout"

    asyncio.run(asyncio.wait_for(go(), 5))
