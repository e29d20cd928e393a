"""By a forward proxy: a tunnel to a vetted name, or an error that says why. RFC 9110: 9.3.6 (CONNECT), 11.7 (logins)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from addons import upstream_proxy
from addons.pipelock_core import Policy
from addons.upstream_proxy import Dialer, connect_head, parse_proxy
from addons.vetted_names import VettedNames
from components.manifest import Manifest
from components.pipelock_config import policy as rendered

PROXY = "http://proxy.corp.example.com:3128"


def a_policy(**pipelock: object) -> Policy:
    manifest = Manifest.model_validate({"pipelock": {"upstream_proxy": PROXY, **pipelock}})
    return Policy.parse(yaml.safe_dump(rendered(manifest)).encode())


@asynccontextmanager
async def forward_proxy(answer: bytes) -> AsyncIterator[tuple[tuple[str, int], list[bytes]]]:
    """Takes the head of a CONNECT, gives an answer, and is then the upstream, which says what it hears."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2], heads


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


async def nothing(host: str, port: int) -> None:
    return None


@pytest.mark.parametrize("login", ["", "me:secret"])
def test_a_tunnel_begins_behind_the_head(login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first bytes of the upstream may come with the head."""
    (tmp_path / "login").write_text(login + "\n")
    monkeypatch.setattr(upstream_proxy, "LOGIN", tmp_path / "login")

    async def work() -> None:
        async with forward_proxy(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello") as (proxy, heads):
            Dialer(lambda: proxy, nothing).install(asyncio.get_running_loop())
            reader, writer = await asyncio.open_connection("api.example.com", 443)
            assert await reader.readexactly(5) == b"hello"
            writer.write(b"x" * 70_000)
            assert await reader.readexactly(70_000) == b"x" * 70_000
            writer.close()
            await writer.wait_closed()
        (head,) = heads
        assert head.startswith(b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n")
        credentials = base64.b64encode(login.encode())
        assert (b"Proxy-Authorization: Basic " + credentials + b"\r\n" in head) is bool(login)

    run(work)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "upstream_proxy_ref"),
        (b"HTTP/1.0 403 Forbidden\r\n\r\n", r"no tunnel to api.example.com \(status 403\)"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000, "not HTTP"),
    ],
)
def test_no_tunnel_is_an_error_that_says_why(answer: bytes, words: str) -> None:
    async def work() -> None:
        async with forward_proxy(answer) as (proxy, _):
            Dialer(lambda: proxy, nothing).install(asyncio.get_running_loop())
            with pytest.raises(OSError, match=words):
                await asyncio.open_connection("api.example.com", 443)

    run(work)


def test_a_proxy_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_proxy, "_SECONDS", 0.2)

    async def work() -> None:
        async with forward_proxy(b"") as (proxy, _):
            Dialer(lambda: proxy, nothing).install(asyncio.get_running_loop())
            with pytest.raises(OSError, match="did not answer"):
                await asyncio.open_connection("api.example.com", 443)

    run(work)


def test_without_one_all_is_as_ever() -> None:
    async def work() -> None:
        async with forward_proxy(b"") as (address, _):
            Dialer(lambda: None, nothing).install(asyncio.get_running_loop())
            _, writer = await asyncio.open_connection(*address)
            writer.close()

    run(work)


def resolving(policy: Policy, answers: dict[str, str]) -> VettedNames:
    names = VettedNames(lambda: policy)

    async def lookup(host: str, port: int) -> list[object]:
        if answers.get(host) == "silent":
            await asyncio.sleep(60)
        if host not in answers:
            raise OSError("no such name")
        return [(2, 1, 6, "", (answers[host], port))]

    names.lookup = lookup  # type: ignore[assignment]
    return names


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("api.example.com", None),  # resolves to an outside address
        ("unknown.example.org", None),  # not here, and named exactly
        ("silent.example.org", None),  # there is no name server at all
        ("inner.example.com", "ssrf_private_ip"),  # of a split zone: what it is here counts
        ("what.wild.example.org", "unresolvable"),  # the agent chose that name, and the proxy may know inner ones
        ("what.trusted.example.org", None),  # the owner answers for the zone
    ],
)
def test_names_are_vetted_before_the_proxy_is_asked(host: str, reason: str | None) -> None:
    allow = ["api.example.com", "unknown.example.org", "silent.example.org", "inner.example.com"]
    policy = a_policy(allow=[*allow, "*.wild.example.org", "*.trusted.example.org"], trusted=["*.trusted.example.org"])
    answers = {"api.example.com": "203.0.113.5", "inner.example.com": "10.0.0.5", "silent.example.org": "silent"}

    async def work() -> None:
        names = resolving(policy, answers)
        refusal = await names.vet(host, 443)
        assert (refusal.reason if refusal else None) == reason
        if reason is None:
            await names.check(host, 443)
        else:
            with pytest.raises(OSError, match=host):
                await names.check(host, 443)

    run(work)


def test_what_is_not_vetted_is_not_asked_for() -> None:
    policy = a_policy(allow=["inner.example.com"])

    async def work() -> None:
        async with forward_proxy(b"HTTP/1.1 200 OK\r\n\r\n") as (proxy, heads):
            names = resolving(policy, {"inner.example.com": "10.0.0.5"})
            Dialer(lambda: proxy, names.check).install(asyncio.get_running_loop())
            with pytest.raises(OSError, match="internal address"):
                await asyncio.open_connection("inner.example.com", 443)
            assert heads == []

    run(work)


def test_the_policy_names_it() -> None:
    assert a_policy().upstream_proxy == ("proxy.corp.example.com", 3128)
    assert parse_proxy("[2001:db8::1]:8080") == ("2001:db8::1", 8080)
    for wrong in ("proxy", "proxy:0", ":3128", "proxy:99999", "proxy:x"):
        with pytest.raises(ValueError, match="host:port"):
            parse_proxy(wrong)


def test_a_head_cannot_be_cut() -> None:
    """Names come from the frame, which gives canonical ones; a login is checked in preview."""
    assert connect_head("api.example.com", 443, "a:b").count(b"\r\n") == 4
