"""By a forward proxy: a tunnel to a vetted name, or an error that says why. RFC 9110: 9.3.6 (CONNECT), 11.7 (logins)."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from flows import flow
from loaded import loaded_pipelock

from addons.pipelock import upstream_proxy, vetted_names
from addons.pipelock.core import Policy
from addons.pipelock.upstream_proxy import Dialer
from addons.pipelock.vetted_names import VettedNames
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import policy as rendered
from claude_bottle.policy.forward_proxy import connect_head, parse_proxy

PROXY = "http://proxy.corp.example.com:3128"


def manifest(*allow: str, **pipelock: object) -> Manifest:
    spliced = [host for host in allow if host.startswith("spliced")]
    more = {"allow": list(allow), "passthrough": spliced} if allow else {}
    return Manifest.model_validate({"pipelock": {"upstream_proxy": PROXY, **more, **pipelock}})


def a_policy(**pipelock: object) -> Policy:
    return Policy.parse(yaml.safe_dump(rendered(manifest(**pipelock))).encode())


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
    monkeypatch.setattr(upstream_proxy, "SECONDS", 0.2)

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
        if answers.get(host) == "failing":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if host not in answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(2, 1, 6, "", (answers[host], port))]

    names.lookup = lookup  # type: ignore[assignment]
    return names


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("api.example.com", None),  # resolves to an outside address
        ("unknown.example.org", None),  # not here, and named exactly
        ("silent.example.org", None),  # there is no name server at all
        ("failing.example.org", None),  # the same, where an engine's own answers SERVFAIL
        ("inner.example.com", "ssrf_private_ip"),  # of a split zone: what it is here counts
        ("what.wild.example.org", "unresolvable"),  # the agent chose that name, and the proxy may know inner ones
        ("what.trusted.example.org", None),  # the owner answers for the zone
    ],
)
def test_names_are_vetted_before_the_proxy_is_asked(host: str, reason: str | None) -> None:
    allow = ["api.example.com", "unknown.example.org", "silent.example.org", "failing.example.org", "inner.example.com"]
    policy = a_policy(
        allow=[*allow, "*.wild.example.org", "*.trusted.example.org"], allow_private_addresses=["*.trusted.example.org"]
    )
    answers = {"api.example.com": "203.0.113.5", "inner.example.com": "10.0.0.5", "silent.example.org": "silent"}
    answers["failing.example.org"] = "failing"

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


class Slow:
    """A name server that the test holds, and may take away."""

    def __init__(self, answer: str) -> None:
        self.answer, self.asked = answer, 0
        self.gate = asyncio.Event()

    async def __call__(self, host: str, port: int) -> list[object]:
        self.asked += 1
        await self.gate.wait()
        if not self.answer:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(2, 1, 6, "", (self.answer, port))]


async def turns(loops: int = 5) -> None:
    for _ in range(loops):
        await asyncio.sleep(0)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vetted_names, "PROXIED_SECONDS", 0.02)
    monkeypatch.setattr(vetted_names, "LOOKUP_SECONDS", 0.05)


@pytest.mark.usefixtures("hurried")
def test_an_inner_answer_that_is_late_counts_from_then_on() -> None:
    """The old fault: "not in time" was remembered as "no such name", and 30 s long nobody looked again."""
    policy = a_policy(allow=["inner.example.com"])

    async def work() -> None:
        names, server = VettedNames(lambda: policy), Slow("10.0.0.5")
        names.lookup = server  # type: ignore[assignment]
        assert await names.vet("inner.example.com", 443) is None  # there may be no name server at all
        assert names.refuse_known("inner.example.com", 443) is None
        server.gate.set()
        await turns()
        for refusal in (await names.vet("inner.example.com", 443), names.refuse_known("inner.example.com", 443)):
            assert refusal is not None
            assert refusal.reason == "ssrf_private_ip"
        assert server.asked == 1

    run(work)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("then", ["silent", "failing"])
@pytest.mark.parametrize("first", ["10.0.0.5", "203.0.113.5"])
def test_a_name_that_was_resolved_once_does_not_pass_without_an_answer(first: str, then: str) -> None:
    policy = a_policy(allow=["inner.example.com"])

    async def work() -> None:
        names, server = VettedNames(lambda: policy), Slow(first)
        names.lookup = server  # type: ignore[assignment]
        server.gate.set()
        await names.vet("inner.example.com", 443)
        names.answers.clear()  # 30 seconds later
        server.answer = ""
        if then == "silent":
            server.gate.clear()
        refusal = await names.vet("inner.example.com", 443)
        assert refusal is not None
        assert (refusal.reason, refusal.status) == ("unresolvable", 503)

    run(work)


@pytest.mark.usefixtures("hurried")
def test_a_name_that_is_gone_here_is_the_proxys() -> None:
    """The machine has left the network in which the name was an inner one; without an answer it still does not pass."""
    policy = a_policy(allow=["inner.example.com"])
    answers = {"inner.example.com": "10.0.0.5"}

    async def work() -> None:
        names = resolving(policy, answers)
        assert await names.vet("inner.example.com", 443) is not None
        names.answers.clear()
        del answers["inner.example.com"]
        assert await names.vet("inner.example.com", 443) is None
        assert names.refuse_known("inner.example.com", 443) is None
        names.answers.clear()
        answers["inner.example.com"] = "silent"
        assert await names.vet("inner.example.com", 443) is not None

    run(work)


@pytest.mark.usefixtures("hurried")
def test_too_many_lookups_are_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent may ask for so many names below a wildcard that there is no thread left for the inner one."""
    monkeypatch.setattr(vetted_names, "LOOKUPS", 3)
    policy = a_policy(allow=["inner.example.com", "*.wild.example.org"])

    async def work() -> None:
        names, server = VettedNames(lambda: policy), Slow("10.0.0.5")
        names.lookup = server  # type: ignore[assignment]
        held = [asyncio.create_task(names.vet(f"n{n}.wild.example.org", 443)) for n in range(3)]
        await turns()
        refusal = await names.vet("inner.example.com", 443)
        assert refusal is not None
        assert (refusal.reason, refusal.status) == ("unresolvable", 503)
        await asyncio.gather(*held)
        server.gate.set()
        await turns()
        refusal = await names.vet("inner.example.com", 443)
        assert refusal is not None
        assert refusal.reason == "ssrf_private_ip"

    run(work)


@pytest.mark.usefixtures("hurried")
def test_what_is_open_to_a_name_without_an_answer_is_looked_up_again() -> None:
    policy = a_policy(allow=["inner.example.com"])

    async def work() -> None:
        names, server = VettedNames(lambda: policy), Slow("")
        names.lookup = server  # type: ignore[assignment]
        server.gate.set()
        assert await names.vet("inner.example.com", 443) is None
        server.answer = "10.0.0.5"
        assert names.refuse_known("inner.example.com", 443) is None  # not at once
        await turns()
        assert server.asked == 1
        await asyncio.sleep(0.06)
        assert names.refuse_known("inner.example.com", 443) is None
        await turns()
        refusal = names.refuse_known("inner.example.com", 443)
        assert refusal is not None
        assert refusal.reason == "ssrf_private_ip"
        assert server.asked == 2

    run(work)


@pytest.mark.usefixtures("hurried")
def test_one_wait_for_a_name_without_a_name_server_is_enough() -> None:
    """A request asks before and at its dialling; only the first of them waits."""
    policy = a_policy(allow=["silent.example.org"])

    async def work() -> None:
        names, server = VettedNames(lambda: policy), Slow("203.0.113.5")
        names.lookup = server  # type: ignore[assignment]
        assert await names.vet("silent.example.org", 443) is None
        async with asyncio.timeout(0.015):
            await names.check("silent.example.org", 443)
            await names.check("silent.example.org", 443)
        assert server.asked == 1

    run(work)


@pytest.mark.usefixtures("hurried")
def test_a_late_inner_answer_ends_what_is_open(tmp_path: Path) -> None:
    pipelock = loaded_pipelock(tmp_path, manifest("inner.example.com", "spliced.example.com"))

    async def work() -> None:
        server = Slow("10.0.0.5")
        pipelock._names.lookup = server  # type: ignore[assignment]
        exchange = flow("https://inner.example.com/x")
        await pipelock.requestheaders(exchange)
        await pipelock.request(exchange)
        assert exchange.response is None
        assert await pipelock.refuse_tunnel("spliced.example.com", 443) is None
        decision = exchange.metadata["decision"]
        exchange.server_conn.peername = ("198.51.100.9", 3128)  # the forward proxy's
        assert pipelock.has_expiry()
        assert pipelock.refuse_open(exchange, decision) is None
        assert pipelock.refuse_open_tunnel("spliced.example.com", 443, ["198.51.100.9"]) is None
        server.gate.set()
        await turns()
        for refusal in (
            pipelock.refuse_open(exchange, decision),
            pipelock.refuse_open_tunnel("spliced.example.com", 443, ["198.51.100.9"]),
        ):
            assert refusal is not None
            assert refusal.reason == "ssrf_private_ip"

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
