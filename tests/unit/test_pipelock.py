"""The hooks of pipelock's builtin engine, driven as mitmproxy drives them."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import socket
import string
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from flows import flow, now
from mitmproxy import http
from mitmproxy.proxy import server_hooks
from mitmproxy.test import taddons, tflow, tutils

from addons.frame.request import Decision, Outcome
from addons.http.flow_end import HOLD
from addons.pipelock.addon import Pipelock
from addons.pipelock.bodies import inspect_body
from claude_bottle.dlp.recent import Recent
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.pipelock_fields import PipelockConfig
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.policy.once import MAX_HELD, Once, digest_of
from claude_bottle.policy.routes.expiry import parse_until

LEAK = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
MANIFEST = Manifest.model_validate(
    {
        "egress": {"routes": [{"host": "api.example.com", "token_ref": "T"}, {"host": "api.anthropic.com"}]},
        "pipelock": {"allow": ["open.example.org", "inside.example.org"], "dlp": {"max_body_mb": 1}},
    }
)
ANSWERS = {"inside.example.org": "10.0.0.7"}


@pytest.fixture
def pipelock(tmp_path: Path) -> Pipelock:
    (tmp_path / "pipelock.yaml").write_text(render(MANIFEST))
    addon = Pipelock(tmp_path / "pipelock.yaml", tmp_path)
    addon._file.poll()
    assert addon._file.error is None

    async def lookup(host: str, port: int, **_: Any) -> list[Any]:
        if host == "nowhere.example.org":
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ANSWERS.get(host, "203.0.113.5"), port))]

    addon._names.lookup = lookup
    return addon


def go(addon: Pipelock, *steps: Coroutine[Any, Any, None]) -> None:
    async def all_of_them() -> None:
        for step in steps:
            await step

    with taddons.context(addon):
        asyncio.run(all_of_them())


def run(addon: Pipelock, exchange: http.HTTPFlow) -> str | None:
    go(addon, addon.requestheaders(exchange), addon.request(exchange))
    if exchange.response is None:
        return None
    body = json.loads(exchange.response.content or b"")
    assert body["refused_by"] == "pipelock"
    assert exchange.response.headers["x-pipelock-block-reason"] == body["reason"]
    assert LEAK not in exchange.response.get_text()  # type: ignore[operator]
    return str(body["reason"])


MARK = {"x_claude_bottle_injected": "authorization"}  # by which egress says what it has put in


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (flow(), None),
        (flow("http://open.example.org/"), None),
        (flow(method="POST", body=b'{"a": 1}', content_type="application/json"), None),
        (flow("https://other.example.org/"), "domain_not_allowed"),
        (flow("https://open.example.org:8443/"), "port_not_allowed"),
        (flow("https://203.0.113.9/"), "host_mismatch"),
        (flow(host="api.example.com"), "host_mismatch"),
        (flow("https://open.example.org/" + "a" * 9000), "url_too_long"),
        (flow("https://inside.example.org/"), "ssrf_private_ip"),
        (flow(f"https://open.example.org/?q={LEAK}"), "dlp_match"),
        (flow(x_note=LEAK), "dlp_match"),
        (flow(authorization=f"Bearer {LEAK}"), "dlp_match"),
        # Here egress has filled that header in, and no other.
        (flow("https://api.example.com/", authorization=f"Bearer {LEAK}", **MARK), None),
        (flow("https://api.example.com/", authorization=f"Bearer {LEAK}"), "dlp_match"),
        (flow("https://open.example.org/", authorization=f"Bearer {LEAK}", **MARK), "dlp_match"),
        (flow("https://api.example.com/", x_note=LEAK, x_claude_bottle_injected="x-note"), "dlp_match"),
        (flow("https://api.example.com/", cookie=f"a={LEAK}"), "dlp_match"),
        (flow(method="POST", body=LEAK.encode()), "dlp_match"),
        # What is no JSON is looked at as text: honest programs send lines of JSON, a trailing comma, a form.
        (flow(method="POST", body=b"{", content_type="application/json"), None),
        (flow(method="POST", body=b"{" + LEAK.encode(), content_type="application/json"), "dlp_match"),
        (flow(method="POST", body=b"x", content_encoding="snappy"), "unreadable_encoding"),
    ],
)
def test_verdicts(pipelock: Pipelock, exchange: http.HTTPFlow, expected: str | None) -> None:
    assert run(pipelock, exchange) == expected


def test_a_name_that_does_not_resolve(pipelock: Pipelock, tmp_path: Path) -> None:
    changed = MANIFEST.model_copy(update={"pipelock": PipelockConfig(allow=["nowhere.example.org"])})
    (tmp_path / "pipelock.yaml").write_text(render(changed))
    assert pipelock._file.poll()
    exchange = flow("https://nowhere.example.org/")
    assert run(pipelock, exchange) == "unresolvable"
    assert exchange.response is not None
    assert exchange.response.status_code == 502


def test_what_was_vetted_is_what_is_dialled(pipelock: Pipelock) -> None:
    """The second answer of a name server changes nothing, and an internal one is never given out."""

    async def both() -> None:
        assert await pipelock._names.getaddrinfo("open.example.org", 443)
        ANSWERS["open.example.org"] = "127.0.0.1"
        try:
            assert (await pipelock._names.getaddrinfo("open.example.org", 443))[0][4][0] == "203.0.113.5"
            pipelock._names.answers.clear()
            with pytest.raises(OSError, match="internal address"):
                await pipelock._names.getaddrinfo("open.example.org", 443)
        finally:
            del ANSWERS["open.example.org"]

    asyncio.run(both())


def test_addresses_are_not_dialled(pipelock: Pipelock) -> None:
    for address, dialled in ((("203.0.113.5", 443), False), (("open.example.org", 443), True), (None, False)):
        server = tflow.tserver_conn()
        server.address, server.error = address, None  # type: ignore[assignment]
        pipelock.server_connect(server_hooks.ServerConnectionHookData(server, tflow.tclient_conn()))
        assert (server.error is None) is dialled


def test_passthrough_needs_connect_and_server_name_to_agree(pipelock: Pipelock) -> None:
    for target, sni, ignored in (
        ("api.anthropic.com", "api.anthropic.com", True),
        ("api.anthropic.com", "API.anthropic.com", True),
        ("open.example.org", "api.anthropic.com", False),
        ("api.anthropic.com", "open.example.org", False),
        ("api.anthropic.com", None, False),
        ("open.example.org", "open.example.org", False),
    ):
        hello = hello_of(sni)
        pipelock._tunnels.open(hello.context.client, target, 443)
        pipelock.tls_clienthello(hello)
        assert hello.ignore_connection is ignored, (target, sni)
    hidden = hello_of("api.anthropic.com", extensions=[(0xFE0D, b"")])
    pipelock._tunnels.open(hidden.context.client, "api.anthropic.com", 443)
    pipelock.tls_clienthello(hidden)
    assert not hidden.ignore_connection


def hello_of(sni: str | None, extensions: list[tuple[int, bytes]] | None = None) -> Any:
    class Hello:
        pass

    hello, context = Hello(), Hello()
    hello.client_hello, hello.context, hello.ignore_connection = Hello(), context, False  # type: ignore[attr-defined]
    hello.client_hello.sni, hello.client_hello.extensions = sni, extensions or []  # type: ignore[attr-defined]
    context.client = tflow.tclient_conn()  # type: ignore[attr-defined]
    return hello


def connect(target: str) -> http.HTTPFlow:
    exchange = tflow.tflow(req=tutils.treq(method=b"CONNECT", authority=target.encode()))
    host, _, port = target.rpartition(":")
    exchange.request.host, exchange.request.port, exchange.request.authority = host, int(port), target
    exchange.request.headers.clear()
    return exchange


@pytest.mark.parametrize(
    ("target", "reason"),
    [("open.example.org:443", None), ("open.example.org:22", "port_not_allowed"), ("10.0.0.1:443", "bad_host"),
     ("2130706433:443", "bad_host"), ("api.anthropic.com:443", None), ("api.anthropic.com:80", "port_not_allowed")],
)  # fmt: skip
def test_connect(pipelock: Pipelock, target: str, reason: str | None) -> None:
    exchange = connect(target)
    go(pipelock, pipelock.http_connect(exchange))
    assert (json.loads(exchange.response.content or b"")["reason"] if exchange.response else None) == reason


def test_passthrough_to_an_internal_address_is_refused_at_connect(pipelock: Pipelock) -> None:
    ANSWERS["api.anthropic.com"] = "169.254.169.254"
    try:
        exchange = connect("api.anthropic.com:443")
        go(pipelock, pipelock.http_connect(exchange))
        assert exchange.response is not None
        assert json.loads(exchange.response.content or b"")["reason"] == "ssrf_private_ip"
    finally:
        del ANSWERS["api.anthropic.com"]


def test_large_and_endless_bodies_are_scanned_as_streams(pipelock: Pipelock, monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[Any] = []
    monkeypatch.setattr("addons.frame.refuse.end_flow", cut.append)
    for leak in (b"", b" " + LEAK.encode() + b" "):
        exchange = flow(method="POST")
        exchange.request.headers["transfer-encoding"] = "chunked"
        go(pipelock, pipelock.requestheaders(exchange))
        assert exchange.request.stream is False  # held, until it is longer than what is held
        go(pipelock, pipelock.request_overflow(exchange))
        assert exchange.metadata[HOLD] == 1 << 20  # longer than its first bytes: there is room for all that is held
        assert not exchange.request.stream
        go(pipelock, pipelock.request_overflow(exchange))
        out = [part for chunk in (b"one ", leak, b" two", b"") for part in exchange.request.stream(chunk)]  # type: ignore[operator]
        assert b"".join(out) == (b"" if leak else b"one  two")
    assert len(cut) == 1


@pytest.mark.parametrize("name", ["X-Amz-Content-Sha256", "x_amz_content_sha256"])
@pytest.mark.parametrize("size", [1, 8, 16, 39])
def test_s3s_own_header_says_how_a_body_is_cut(pipelock: Pipelock, name: str, size: int) -> None:
    """Stores take the pieces apart by it alone, and clients of theirs send no Content-Encoding (localstack, 8704)."""
    cut = [LEAK[at : at + size] for at in range(0, len(LEAK), size)]
    body = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in cut) + "0\r\n\r\n"
    exchange = flow("https://api.example.com/x", "PUT", body.encode())
    exchange.request.headers[name] = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert run(pipelock, exchange) == "dlp_match"
    honest = flow("https://api.example.com/x", "PUT", b"5\r\nhello\r\n0\r\n\r\n")
    honest.request.headers[name] = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert run(pipelock, honest) is None


def test_without_a_policy_everything_is_refused(tmp_path: Path) -> None:
    addon = Pipelock(tmp_path / "none.yaml", tmp_path)
    addon._file.poll()
    assert run(addon, flow()) == "no_policy"

    async def resolve() -> None:
        with pytest.raises(OSError, match="No policy"):
            await addon._names.getaddrinfo("open.example.org", 443)

    asyncio.run(resolve())


def test_a_bad_policy_keeps_the_last_good_one(pipelock: Pipelock, tmp_path: Path) -> None:
    for bad in ("", "mode: audit", render(MANIFEST).replace("enforce: true", "enforce: false")):
        (tmp_path / "pipelock.yaml").write_text(bad)
        assert pipelock._file.poll()
        assert pipelock._file.error
        assert run(pipelock, flow("https://other.example.org/")) == "domain_not_allowed"
        assert run(pipelock, flow()) is None


def test_messages_of_a_websocket_are_read(pipelock: Pipelock) -> None:
    talk = tflow.twebsocketflow()
    assert talk.websocket is not None
    talk.websocket.messages[-1].from_client = True
    for content, dropped in ((b"hello", False), (LEAK.encode(), True)):
        talk.websocket.messages[-1].content = content
        now(pipelock.websocket_message(talk))
        assert talk.websocket.messages[-1].dropped is dropped


def test_a_secret_over_two_messages_ends_the_websocket(pipelock: Pipelock, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    monkeypatch.setattr("addons.frame.refuse.end_flow", ended.append)
    talk = tflow.twebsocketflow()
    assert talk.websocket is not None
    message = talk.websocket.messages[-1]
    said = ((True, LEAK[:20], False), (False, LEAK, False), (True, "", False), (True, LEAK[20:], True))
    for from_client, content, dropped in said:
        message.from_client, message.content = from_client, content.encode()
        now(pipelock.websocket_message(talk))
        assert message.dropped is dropped
    assert ended == [talk]


def test_no_server_refuses_in_the_name_of_the_bottle(pipelock: Pipelock) -> None:
    exchange = flow()
    assert run(pipelock, exchange) is None
    exchange.response = http.Response.make(403, b"", {"X-Pipelock-Block-Reason": "host_not_declared", "X-Other": "1"})
    now(pipelock.responseheaders(exchange))
    assert [name for name, _ in exchange.response.headers.fields if name.lower() != b"content-length"] == [b"X-Other"]


def test_responses_are_streamed(pipelock: Pipelock) -> None:
    exchange = flow()
    assert run(pipelock, exchange) is None
    exchange.response = http.Response.make(200)
    now(pipelock.responseheaders(exchange))
    assert exchange.response.stream is True


def once_flow(method: str = "POST", body: bytes = LEAK.encode(), path: str = "/x", **headers: str) -> http.HTTPFlow:
    return flow(f"https://open.example.org{path}", method=method, body=body, **headers)


def test_what_is_let_through_once_is_judged_by_the_policy_in_force(pipelock: Pipelock, tmp_path: Path) -> None:
    """Between its head and the end of its body a request takes as long as its sender likes."""
    first = once_flow(path=f"/?q={LEAK}")
    assert run(pipelock, first) == "dlp_match"
    digest = json.loads(first.response.content or b"")["content"]  # type: ignore[union-attr]
    assert Once(tmp_path / "once").grant(digest, "p-0123456789")
    second = once_flow(path=f"/?q={LEAK}")
    go(pipelock, pipelock.requestheaders(second))
    changed = MANIFEST.model_copy(update={"pipelock": PipelockConfig(allow=["inside.example.org"])})
    (tmp_path / "pipelock.yaml").write_text(render(changed))
    assert pipelock._file.poll()
    go(pipelock, pipelock.request(second))
    assert second.response is not None
    assert json.loads(second.response.content or b"")["reason"] == "domain_not_allowed"


def test_the_owner_lets_exactly_one_request_through_once(pipelock: Pipelock, tmp_path: Path) -> None:
    first = once_flow()
    assert run(pipelock, first) == "dlp_match"
    assert first.response is not None
    body = json.loads(first.response.content or b"")
    held = Once(tmp_path / "once").held(body["content"])
    assert held is not None
    assert held["what"] == "POST https://open.example.org/x"
    assert held["excerpt"] == f"[github-pat, text]\n{LEAK}"
    assert run(pipelock, once_flow()) == "dlp_match"  # asking changes nothing
    once = Once(tmp_path / "once")
    assert once.grant(body["content"], "p-0123456789")
    # Another type, or a header that makes another request of it, is another content.
    assert run(pipelock, once_flow(content_type="application/json")) == "dlp_match"
    assert run(pipelock, once_flow(x_http_method_override="DELETE")) == "dlp_match"
    others = [
        once_flow(method="PUT"),
        once_flow(path="/y"),
        once_flow(body=LEAK.encode() + b" "),
        once_flow(path="/x?a"),
    ]
    assert [run(pipelock, other) for other in others] == ["dlp_match"] * 4
    assert run(pipelock, once_flow(x_note=LEAK)) == "dlp_match"  # a header is not part of what was approved
    assert run(pipelock, once_flow()) is None
    assert run(pipelock, once_flow()) == "dlp_match"
    # The same approval again, as after a crash in the middle of it: nothing is granted twice.
    assert once.grant(body["content"], "p-0123456789")
    assert run(pipelock, once_flow()) == "dlp_match"
    assert once.grant(body["content"], "p-1123456789")
    assert run(pipelock, once_flow()) is None


def test_the_owner_is_shown_the_finding_wherever_it_stands(pipelock: Pipelock, tmp_path: Path) -> None:
    exchange = once_flow(body=b"harmless words. " * 4000 + b"here: " + LEAK.encode() + b" :end", x_note="of mine")
    assert run(pipelock, exchange) == "dlp_match"
    assert exchange.response is not None
    held = Once(tmp_path / "once").held(json.loads(exchange.response.content or b"")["content"])
    assert held is not None
    assert f"here: {LEAK} :end" in held["excerpt"]
    assert "x-note: of mine" in held["headers"]
    packed = once_flow(body=gzip.compress(b"harmless. " * 4000 + LEAK.encode()), content_encoding="gzip")
    assert run(pipelock, packed) == "dlp_match"
    assert packed.response is not None
    held = Once(tmp_path / "once").held(json.loads(packed.response.content or b"")["content"])
    assert held is not None
    assert LEAK in held["excerpt"]


def test_all_that_is_found_is_shown_or_nothing_can_be_asked_for(pipelock: Pipelock, tmp_path: Path) -> None:
    other = "ghp_" + "Z9y8X7w6V5u4T3s2R1q0P9o8N7m6L5k4J3h2"
    exchange = once_flow(path=f"/x?q={other}", body=b"a\n" + LEAK.encode())
    assert run(pipelock, exchange) == "dlp_match"
    assert exchange.response is not None
    held = Once(tmp_path / "once").held(json.loads(exchange.response.content or b"")["content"])
    assert held is not None
    assert LEAK in held["excerpt"]
    assert other in held["excerpt"]
    many = once_flow(body="\n".join(f"ghp_{n:04d}{LEAK[8:]}" for n in range(60)).encode())
    assert run(pipelock, many) == "dlp_match"
    assert many.response is not None
    assert "content" not in json.loads(many.response.content or b"")
    long = once_flow(**{"x_long": "words " * 1000})
    assert run(pipelock, long) == "dlp_match"
    assert long.response is not None
    assert "content" not in json.loads(long.response.content or b"")


def test_the_owners_credential_is_not_held(pipelock: Pipelock, tmp_path: Path) -> None:
    contents = []
    for token in ("Bearer one-owner-secret", "Bearer another-one"):
        exchange = flow("https://api.example.com/x", method="POST", body=LEAK.encode(), authorization=token, **MARK)
        assert run(pipelock, exchange) == "dlp_match"
        assert exchange.response is not None
        contents.append(json.loads(exchange.response.content or b"")["content"])
        held = Once(tmp_path / "once").held(contents[-1])
        assert held is not None
        assert "secret" not in held["headers"]
    assert contents[0] == contents[1]  # the digest, which the agent sees, tells nothing of it


def test_a_url_can_be_let_through_once_and_its_headers_are_still_read(pipelock: Pipelock, tmp_path: Path) -> None:
    exchange = flow(f"https://open.example.org/?q={LEAK}")
    assert run(pipelock, exchange) == "dlp_match"
    assert exchange.response is not None
    content = json.loads(exchange.response.content or b"")["content"]
    assert Once(tmp_path / "once").grant(content, "p-0123456789")
    assert run(pipelock, flow(f"https://open.example.org/?q={LEAK}", x_note=LEAK)) == "dlp_match"
    assert run(pipelock, flow(f"https://open.example.org/?q={LEAK}")) is None
    headed = flow(x_note=LEAK)
    run(pipelock, headed)
    assert headed.response is not None
    assert "content" not in json.loads(headed.response.content or b"")


def part_of_a_form(boundary: str, value: str = LEAK) -> http.HTTPFlow:
    """As RFC 7578 has it; every client makes a boundary of its own each time."""
    field = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{value}\r\n--{boundary}--\r\n'
    return once_flow(body=field.encode(), content_type=f"multipart/form-data; boundary={boundary}")


def test_another_boundary_is_the_same_content(pipelock: Pipelock, tmp_path: Path) -> None:
    def content(exchange: http.HTTPFlow) -> str:
        assert run(pipelock, exchange) == "dlp_match"
        assert exchange.response is not None
        return str(json.loads(exchange.response.content or b"").get("content", ""))

    first = content(part_of_a_form("----WebKitFormBoundary7MA4YWxkTrZu0gW"))
    assert first
    assert content(part_of_a_form("b04f9c8e1f2d4a63")) == first
    assert content(part_of_a_form("b04f9c8e1f2d4a63", LEAK + " and more")) != first
    glued = part_of_a_form("b04f9c8e1f2d4a63", f"x\r\n--another\r\n\r\n{LEAK}")
    assert content(glued) != content(part_of_a_form("another", f"x\r\n--b04f9c8e1f2d4a63\r\n\r\n{LEAK}"))
    assert Once(tmp_path / "once").grant(first, "p-0123456789")
    assert content(part_of_a_form(LEAK)) == ""  # a boundary stands in a header
    assert run(pipelock, part_of_a_form("yetanother")) is None
    assert run(pipelock, part_of_a_form("yetanother")) == "dlp_match"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: flow(x_note=LEAK), "cannot be allowed once"),
        # AWS, Signature Version 4, query parameters; Azure Storage, service SAS.
        (lambda: flow(f"https://open.example.org/?t={LEAK}&X-Amz-Signature={'a1' * 32}"), "The address is signed"),
        (lambda: flow(f"https://open.example.org/?sv=2018-11-09&t={LEAK}&sig=a%2Bb"), "The address is signed"),
    ],
)  # fmt: skip
def test_what_cannot_be_let_through_once_says_so_and_what_helps(pipelock: Pipelock, make: Any, words: str) -> None:
    refused = make()
    assert run(pipelock, refused) == "dlp_match"
    body = json.loads(refused.response.content or b"")
    assert words in body["message"] + body["no_approval"]
    assert "content" not in body
    assert "ask_with" not in body
    assert "once" not in body["message"]


def test_what_is_held_is_bounded_and_named_by_digests_alone(tmp_path: Path) -> None:
    once = Once(tmp_path / "once")
    for number in range(MAX_HELD + 5):
        once.hold(digest_of(str(number).encode()), {"n": number})
    assert len(list((tmp_path / "once").glob("*.held"))) == MAX_HELD
    assert not once.grant(digest_of(b"unknown"), "p-0123456789")
    for wrong in ("../x", "sha256:", digest_of(b"1") + "/.."):
        assert once.held(wrong) is None
        with pytest.raises(ValueError, match="digest"):
            once.grant(wrong, "p-0123456789")
    with pytest.raises(ValueError, match="digest"):
        once.grant(digest_of(b"1"), "../p")
    assert digest_of(b"ab", b"c") != digest_of(b"a", b"bc")


def test_an_allowed_host_ends_by_itself(pipelock: Pipelock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest.model_validate(
        {"pipelock": {"allow": ["open.example.org", {"host": "inside.example.org", "until": "2026-01-31T12:00:00Z"}]}}
    )
    (tmp_path / "pipelock.yaml").write_text(render(manifest))
    assert pipelock._file.poll()
    end = parse_until("2026-01-31T12:00:00Z")
    for moment, verdict in ((end - 1, "ssrf_private_ip"), (end, "domain_not_allowed"), (end + 9, "domain_not_allowed")):
        monkeypatch.setattr("claude_bottle.policy.routes.expiry.time.time", lambda moment=moment: moment)
        assert run(pipelock, flow("https://inside.example.org/")) == verdict
        assert run(pipelock, flow("https://open.example.org/")) is None


@pytest.mark.parametrize("hook", ["look_at_url", "look_at_headers", "look_at_body"])
def test_an_engine_that_fails_lets_nothing_through(
    pipelock: Pipelock, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mitmproxy goes on with a request whose hook failed, as if it had been allowed."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("of a kind that nobody thought of")

    assert run(pipelock, flow("https://open.example.org/a", method="POST", body=b"a=1")) is None
    assert pipelock._file.current is not None
    monkeypatch.setattr(type(pipelock._file.current.dlp("open.example.org")), hook, fails)
    exchange = flow("https://open.example.org/a", method="POST", body=b"a=1")
    go(pipelock, pipelock.requestheaders(exchange))
    go(pipelock, pipelock.request(exchange))
    assert exchange.response is not None
    assert exchange.response.status_code == 500
    assert exchange.response.headers["x-pipelock-block-reason"] == "internal_error"


@pytest.mark.parametrize("packed_by", ["file", "encoding"])
def test_what_unpacks_to_more_than_is_held_is_looked_at_as_a_stream(
    pipelock: Pipelock, packed_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tar.gz of 70 MB within the size of a body that is held: a larger one passed, for it was streamed."""
    monkeypatch.setattr("claude_bottle.dlp.packed.members.MAX_PLAIN", 2 << 20)
    monkeypatch.setattr("claude_bottle.dlp.views.most_plain", lambda size: 2 << 20)
    lines = random.Random(5).choices(string.ascii_lowercase + "\n", k=3 << 20)
    for leak, verdict in (("", None), (f"\n{LEAK}\n", "dlp_match")):
        lines[-1000:-999] = leak
        packed = gzip.compress("".join(lines).encode(), 1)
        assert len(packed) > 1 << 20
        headers = {"content_encoding": "gzip"} if packed_by == "encoding" else {}
        exchange = flow(method="POST", body=packed, **headers)
        assert pipelock._file.current is not None
        dlp = pipelock._file.current.dlp("open.example.org")
        refusal = asyncio.run(inspect_body(dlp, Recent(), exchange, Decision(Outcome.ALLOW)))
        assert (refusal.reason if refusal else None) == verdict
    exchange.live = False
    refusal = asyncio.run(inspect_body(dlp, Recent(), exchange, Decision(Outcome.ALLOW)))
    assert refusal is not None


def test_a_bomb_is_not_looked_at_longer_than_its_size_is_worth(pipelock: Pipelock) -> None:
    exchange = flow("https://open.example.org/x", method="POST", body=gzip.compress(b"\0" * (20 << 20)))
    assert run(pipelock, exchange) == "too_large_to_scan"


def test_a_secret_is_put_together_from_body_and_trailers(pipelock: Pipelock) -> None:
    """RFC 9110, 6.5: trailers are fields, and leave with the body."""
    exchange = flow("https://open.example.org/x", method="POST", body=LEAK[:20].encode())
    exchange.request.trailers = http.Headers([(b"x-rest", LEAK[20:].encode())])
    assert run(pipelock, exchange) == "dlp_match"


def test_large_bodies_at_the_same_time_are_all_looked_at(pipelock: Pipelock) -> None:
    body = b"lorem ipsum dolor sit amet " * 20_000
    flows = [
        flow("https://open.example.org/a", method="POST", body=body + (LEAK.encode() if n % 2 else b""))
        for n in range(12)
    ]

    async def all_at_once() -> None:
        for exchange in flows:
            await pipelock.requestheaders(exchange)
        await asyncio.gather(*(pipelock.request(exchange) for exchange in flows))

    go(pipelock, all_at_once())
    for number, exchange in enumerate(flows):
        reason = exchange.response.headers["x-pipelock-block-reason"] if exchange.response else None
        assert reason == ("dlp_match" if number % 2 else None)
