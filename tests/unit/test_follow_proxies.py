"""`follow` in both proxies: what answers name is reached, exactly, without a credential, and nothing besides."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flows import flow
from loaded import loaded_pipelock
from mitmproxy import http
from mitmproxy.test import taddons, tutils

from addons.egress.addon import Egress
from claude_bottle.checks.validation import examine
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.policy.routes.table import RouteTable, TableError

READS = ["GET", "HEAD"]
ROUTES: list[dict[str, Any]] = [
    {"host": "index.example.com", "path": ["/simple"], "methods": READS, "follow": True},
    {"host": "index.example.com", "path": ["/"], "methods": READS, "follow": "redirects"},
    {"host": "moves.example.com", "methods": READS, "follow": "redirects"},
    {"host": "plain.example.com", "methods": READS},
    {"host": "keyed.example.com", "token_ref": "T"},
    {"host": "over.example.com", "until": "2026-01-31T12:00:00Z"},
    {"host": "*.wild.example.com", "methods": READS, "follow": "links"},
]
PIPELOCK = {"allow_private_addresses": ["*.corp.example.com"], "internal_exempt": ["10.9.0.0/16"]}
MANIFEST = Manifest.model_validate({"egress": {"routes": ROUTES}, "pipelock": PIPELOCK})
SIMPLE = "https://index.example.com/simple/requests/"
FILE = "https://files.example.org/ab/requests-2.whl"
ADDRESSES = {"db.corp.example.com": "10.0.0.7", "nine.example.org": "10.9.0.7", "meta.example.org": "169.254.169.254"}


class Proxy:
    """One of both, driven as mitmproxy drives it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.folder, self.kind = folder, kind
        if kind == "egress":
            (folder / "routes.json").write_text(RouteTableFile.of(MANIFEST).table)
            self.addon: Any = Egress(folder / "routes.json", folder / "tokens.json", folder)
            self.addon.use_tokens({"EGRESS_TOKEN_0": "real-token-0123456789"})
            self.addon._file.poll()
            return
        self.addon = loaded_pipelock(folder, MANIFEST)
        lookup = self.addon._names.lookup

        async def resolver(host: str, port: int) -> list[Any]:
            answers = await lookup(host, port)
            return [(*one[:4], (ADDRESSES.get(host, one[4][0]), port)) for one in answers]

        self.addon._names.lookup = resolver

    def load(self, **changes: Any) -> None:
        manifest = MANIFEST.model_copy(update=changes)
        name, text = (
            ("routes.json", RouteTableFile.of(manifest).table)
            if self.kind == "egress"
            else ("pipelock.yaml", render(manifest))
        )
        (self.folder / name).write_text(text)
        self.addon._file.poll()
        assert self.addon._file.error is None

    def ask(self, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> http.HTTPFlow:
        exchange = flow(url, method, body, **headers)
        exchange.request.has_content = bool(body)

        async def both() -> None:
            await self.addon.requestheaders(exchange)
            await self.addon.request(exchange)

        with taddons.context(self.addon):
            asyncio.run(both())
        return exchange

    def answer(
        self, exchange: http.HTTPFlow, text: str | bytes, kind: str = "text/html", status: int = 200, **fields: str
    ) -> None:
        assert exchange.response is None, exchange.response.content
        headers = [(b"content-type", kind.encode())]
        headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        exchange.response = tutils.tresp(status_code=status, headers=http.Headers(headers))
        with taddons.context(self.addon):
            asyncio.run(self.addon.responseheaders(exchange))
        body = text.encode() if isinstance(text, str) else text
        out = [body]
        if callable(exchange.response.stream):
            cut = len(body) // 2
            out = [p for piece in (body[:cut], body[cut:], b"") for p in exchange.response.stream(piece)]  # type: ignore[union-attr]
        assert b"".join(out) == body, "what passes is what came"

    def names(self, url: str, *, by: str = SIMPLE, **headers: str) -> None:
        self.answer(self.ask(by, **headers), f'<a href="{url}#sha256=00">x</a>')

    def moves(self, to: str, *, by: str = "https://moves.example.com/a", status: int = 302) -> None:
        self.answer(self.ask(by), "", status=status, location=to)

    def passes(self, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> bool:
        return self.ask(url, method, body, **headers).response is None


@pytest.fixture(params=["egress", "pipelock"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxy]:
    yield Proxy(request.param, tmp_path)


def test_a_file_that_the_index_names_is_read_and_its_neighbours_are_not(proxy: Proxy) -> None:
    assert not proxy.passes(FILE), "before the index has named it"
    proxy.names(FILE)
    assert proxy.passes(FILE) and proxy.passes(FILE, "HEAD") and proxy.passes(f"{FILE}.metadata")
    for url in (f"{FILE}?a=1", f"{FILE}/", "https://files.example.org/", "https://other.example.org/ab/requests-2.whl",
                FILE.replace("https", "http"), "https://sub.files.example.org/ab/requests-2.whl", FILE.upper()):  # fmt: skip
        assert not proxy.passes(url), url
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert not proxy.passes(FILE, method), method
    assert not proxy.passes(FILE, body=b"data")


def test_nothing_of_the_agents_goes_along(proxy: Proxy) -> None:
    proxy.names(FILE)
    exchange = proxy.ask(FILE, authorization="Bearer mine", cookie="a=b", user_agent="data", range="bytes=7-", accept="data/x",
                     x_data="data", upgrade="websocket", connection="upgrade", if_none_match="data")  # fmt: skip
    assert exchange.response is None
    assert list(exchange.request.headers.items()) == [
        ("host", "files.example.org"), ("user-agent", "claude-bottle"), ("accept", "*/*"), ("accept-encoding", "identity"),
    ]  # fmt: skip


def test_json_and_packed_answers_are_heard_too(proxy: Proxy) -> None:
    exchange = proxy.ask(SIMPLE)
    body = gzip.compress(
        json.dumps({"files": [{"url": f"https://files.example.org/{n}"} for n in range(3000)]}).encode()
    )
    proxy.answer(exchange, body, "application/vnd.pypi.simple.v1+json", content_encoding="gzip")
    assert proxy.passes("https://files.example.org/0") and proxy.passes("https://files.example.org/2999")


def test_an_answer_names_so_many_and_no_more(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addons.follow.answers._MOST", 10)
    links = "".join(f'<a href="https://files.example.org/{n}">' for n in range(20))
    proxy.answer(proxy.ask(SIMPLE), links)
    assert proxy.passes("https://files.example.org/9") and not proxy.passes("https://files.example.org/10")


def test_who_names_what_does_not_count(proxy: Proxy) -> None:
    proxy.names(FILE, by="https://plain.example.com/simple/x/")
    proxy.names(FILE, by="https://index.example.com/other/")  # there, redirects alone
    proxy.names(FILE, by="https://moves.example.com/")
    proxy.answer(proxy.ask(SIMPLE), f'<a href="{FILE}">x</a>', status=404)
    proxy.answer(proxy.ask(SIMPLE), f"see {FILE}", "text/plain")
    proxy.answer(proxy.ask(SIMPLE), "", link=f"<{FILE}>; rel=next", content_location=FILE)
    proxy.answer(proxy.ask(SIMPLE), "", location=FILE)  # no redirect
    assert not proxy.passes(FILE)
    proxy.names(FILE, by="https://a.wild.example.com/")
    assert proxy.passes(FILE)


def test_what_the_agent_asks_an_index_to_echo_is_not_named(proxy: Proxy) -> None:
    data = "what-was-read-in-the-workspace"
    evil = f"https://evil.example.org/{data}"
    proxy.names(evil, by=f"{SIMPLE}?q={data}")
    proxy.moves(evil, by=f"https://moves.example.com/a?to={data}")
    assert not proxy.passes(evil)
    proxy.names(f"https://{data}.example.org/", by=f"https://index.example.com/simple/{data}/")
    assert not proxy.passes(f"https://{data}.example.org/")
    long = "0123456789" * 25
    proxy.names(f"https://evil.example.org/{long}", by=f"https://index.example.com/simple/{long}/")
    proxy.names(f"https://evil.example.org/{long}", by="https://index.example.com/simple/x/", user_agent=long)
    assert not proxy.passes(f"https://evil.example.org/{long}")


def test_a_redirect_is_followed_and_those_behind_it_to_an_end(proxy: Proxy) -> None:
    proxy.moves("https://one.example.org/x?sig=abc")
    assert proxy.passes("https://one.example.org/x?sig=abc") and not proxy.passes("https://one.example.org/x")
    at = "https://one.example.org/x?sig=abc"
    for number in range(2, 6):
        to = f"https://h{number}.example.org/"
        if proxy.passes(at):
            proxy.moves(to, by=at)
        at = to
    assert proxy.passes("https://h4.example.org/") and not proxy.passes("https://h5.example.org/")


def test_what_stands_below_a_wildcard_was_sent(proxy: Proxy) -> None:
    data = ".".join(f"secret-of-the-workspace-number-{number}" for number in range(6))
    by = f"https://{data}.wild.example.com/"
    for to in (f"https://{data}.example.org/", f"https://evil.example.org/{data * 2}"):
        proxy.moves(to, by=by)
        proxy.names(to, by=by)
        assert not proxy.passes(to), to
    passed = []
    for number in range((16 << 10) // len(data) + 10):
        proxy.moves(f"https://evil.example.org/{number}/{data}", by=by)
        passed.append(proxy.passes(f"https://evil.example.org/{number}/{data}"))
    assert passed[0] and not passed[-1], "it counts"
    proxy.names(FILE, by="https://ab.wild.example.com/")
    assert proxy.passes(FILE)


@pytest.mark.parametrize("to", ["https://x.io/a", "https://files.exa\tmple.org/a"])
def test_no_redirect_leads_where_the_agent_says(proxy: Proxy, to: str) -> None:
    proxy.moves(to, by=f"https://moves.example.com/out/{quote(to, safe=':/')}")
    assert not proxy.passes(to.replace("\t", ""))
    proxy.moves("https://one.example.org/x.io", by="https://moves.example.com/b")
    proxy.moves("https://x.io/a", by="https://one.example.org/x.io")
    assert not proxy.passes("https://x.io/a"), "nor one behind it"


def test_a_request_that_says_too_much_is_not_followed(proxy: Proxy) -> None:
    more = {f"x_{number}": "some words " * 300 for number in range(6)}
    proxy.answer(proxy.ask("https://moves.example.com/a", **more), "", status=302, location=FILE)
    assert not proxy.passes(FILE)


def test_a_large_page_is_heard_and_one_that_is_made_to_be_heard_for_long_is_not(proxy: Proxy) -> None:
    urls = [f"https://files.example.org/{number:064x}/a-{number}.tar.gz" for number in range(12_000)]
    proxy.answer(proxy.ask(SIMPLE), "".join(f'<a href="{url}#sha256={"0" * 64}">a</a>' for url in urls))
    assert proxy.passes(urls[0]) and proxy.passes(urls[-1])
    packed = gzip.compress(b'<a href="https://evil.example.org/x">' * 900_000, 9)
    begun = time.process_time()
    proxy.answer(proxy.ask(SIMPLE), packed, content_encoding="gzip")
    assert time.process_time() - begun < 1


def test_what_a_followed_answer_names_is_not_followed(proxy: Proxy) -> None:
    proxy.names(FILE)
    proxy.names("https://evil.example.org/", by=FILE)
    assert not proxy.passes("https://evil.example.org/")


def test_what_is_declared_holds_and_what_has_ended_too(proxy: Proxy) -> None:
    for url in ("https://over.example.com/a", "https://keyed.example.com/a"):
        proxy.names(url)
    assert not proxy.passes("https://over.example.com/a")
    exchange = proxy.ask("https://keyed.example.com/a")
    assert exchange.metadata["decision"].named is None, "by its own route"


def test_the_end_of_a_route_ends_what_it_has_named_and_what_is_under_way(proxy: Proxy) -> None:
    proxy.names(FILE)
    proxy.moves("https://one.example.org/x", by="https://index.example.com/simple/y/")
    open_one = proxy.ask(FILE)
    proxy.load()
    assert proxy.addon.refuse_open(open_one, open_one.metadata["decision"]) is None
    routes = list(MANIFEST.egress.routes)
    proxy.load(
        egress=MANIFEST.egress.model_copy(
            update={"routes": [routes[0].model_copy(update={"follow": "redirects"}), *routes[1:]]}
        )
    )
    assert not proxy.passes(FILE) and proxy.passes("https://one.example.org/x")
    assert proxy.addon.refuse_open(open_one, open_one.metadata["decision"]) is not None
    proxy.load(egress=MANIFEST.egress.model_copy(update={"routes": routes[1:]}))
    assert not proxy.passes("https://one.example.org/x")


def test_an_inner_address_is_not_reached_however_it_is_trusted_otherwise(tmp_path: Path) -> None:
    proxy = Proxy("pipelock", tmp_path)
    for host in ADDRESSES:
        proxy.names(f"https://{host}/latest/meta-data")
        exchange = proxy.ask(f"https://{host}/latest/meta-data")
        assert json.loads(exchange.response.content or b"")["reason"] == "ssrf_private_ip", host  # type: ignore[union-attr]


def test_a_signed_address_passes_dlp_as_it_was_named_and_what_was_sent_does_not(tmp_path: Path) -> None:
    proxy = Proxy("pipelock", tmp_path)
    token = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
    proxy.moves(f"https://one.example.org/x?token={token}")
    assert proxy.passes(f"https://one.example.org/x?token={token}")
    other = token.replace("A1b2", "B1b2")
    assert not proxy.passes(f"https://one.example.org/x?token={other}")


def test_a_table_that_follows_more_is_refused() -> None:
    for more in (
        {"methods": ["GET", "POST"]},
        {"auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0", "methods": ["GET"]},
        {"follow": "all"},
    ):
        route = {"host": "a.example.com", "methods": READS, "follow": "links", **more}
        with pytest.raises(TableError, match="follow"):
            RouteTable.parse(json.dumps({"version": 1, "routes": [route]}).encode())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ["GET", "POST"]}, "write methods: [GET, HEAD] beside follow"),
        ({"token_ref": "T"}, "follow is for routes without token_ref"),
        ({"follow": "all"}, "write links or redirects"),
    ],
)
def test_a_route_that_cannot_be_followed_is_one_error(changes: dict[str, Any], words: str) -> None:
    raw = {"egress": {"routes": [{"host": "a.example.com", "methods": READS, "follow": True, **changes}]}}
    (finding,) = examine(raw, lambda _: "a-secret-value-0123456789").findings
    assert words in str(finding)


@pytest.mark.parametrize(
    ("routes", "pipelock", "words"),
    [
        (
            [{"host": "a.example.com", "path": ["/w"]}],
            {},
            "all routes of a.example.com must be for GET and HEAD",
        ),
        (
            [{"host": "a.example.com", "path": ["/w"], "methods": READS, "token_ref": "T"}],
            {},
            "all routes of",
        ),
        ([], {"passthrough": ["a.example.com"]}, "so its answers cannot be read"),
        (
            [],
            {"engine": "upstream", "image": "pipelock@sha256:" + "a" * 64},
            "the upstream engine does not support follow",
        ),
    ],
)
def test_what_stands_in_the_way_of_following_is_said(routes: list[Any], pipelock: dict[str, Any], words: str) -> None:
    own = {"host": "a.example.com", "methods": READS, "follow": True}
    findings = examine(
        {"egress": {"routes": [own, *routes]}, "pipelock": pipelock}, lambda _: "a-secret-value-0123456789"
    ).findings
    assert [str(one) for one in findings if one.path == "egress.routes[0].follow" and words in str(one)], findings
