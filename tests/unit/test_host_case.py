"""A host in other letters is the same host (RFC 9110, 4.2.3; RFC 4343): what is judged is what is used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flows import flow, now
from mitmproxy import http
from mitmproxy.test import taddons
from test_placeholders import GH, ROUTES, TOKEN, loaded

from addons.egress.addon import Egress
from claude_bottle.manifest.model import Manifest

WAYS = ("HTTP/1.1", "HTTP/1.1 with a port", "HTTP/2", "absolute form")
# docs.github.com/en/graphql/reference/mutations: approves a deployment that waits for a person.
APPROVAL = json.dumps({"query": "mutation { approveDeployments(input: {}) { clientMutationId } }"}).encode()


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[Egress]:
    routes = [*ROUTES, {"host": "api.github.com", "path": ["/graphql"], "token_ref": "READ"}]
    addon = loaded(tmp_path, Manifest.model_validate({"egress": {"routes": routes}}))
    with taddons.context(addon):
        yield addon


def sent(egress: Egress, host: str, path: str, way: str, body: bytes = b"", **headers: str) -> http.HTTPFlow:
    """A request as mitmproxy reads it: in a tunnel that was asked for, or in absolute form to the proxy."""
    plain = way == "absolute form"
    exchange = flow(
        f"{'http' if plain else 'https'}://{host.lower()}{path}", "POST" if body else "GET", body, **headers
    )
    named = f"{host}:443" if way == "HTTP/1.1 with a port" else host
    if not plain:
        asked = flow(f"https://{host.lower()}/", "CONNECT")
        asked.client_conn, asked.request.data.host = exchange.client_conn, host
        asked.request.data.authority = f"{host}:443".encode()
        asked.request.headers["host"] = f"{host}:443"
        now(egress.http_connect(asked))
        assert asked.response is None
        assert asked.request.host == host.lower()  # which is dialled, and stands in the next CONNECT
        assert asked.request.data.authority == asked.request.headers["host"].encode() == f"{host.lower()}:443".encode()
    exchange.request.data.host, exchange.request.headers["host"] = host, named
    exchange.client_conn.sni = None if plain else host
    if way == "HTTP/2":
        exchange.request.data.http_version, exchange.request.data.authority = b"HTTP/2.0", named.encode()
        del exchange.request.headers["host"]
    elif plain:
        exchange.request.data.authority = named.encode()
    now(egress.requestheaders(exchange))
    if exchange.response is None:
        now(egress.request(exchange))
    return exchange


def reason(exchange: http.HTTPFlow) -> str:
    return str(json.loads(exchange.response.content or b"")["reason"]) if exchange.response is not None else ""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("host", ["api.github.com", "API.GitHub.com", "aPI.GITHUB.COM"])
def test_capitals_are_no_way_round_a_check(egress: Egress, host: str, way: str) -> None:
    def refused(path: str, body: bytes = b"", **headers: str) -> str:
        return reason(sent(egress, host, path, way, body, **headers))

    if way == "absolute form":  # plain HTTP goes nowhere with a credential
        assert refused("/graphql", APPROVAL, content_type="application/json") != ""
        assert refused("/repos/a", authorization="Bearer mine") != ""
        return
    assert refused("/graphql", APPROVAL, content_type="application/json") == "forge_write"
    assert refused("/repos/a", authorization="Bearer mine-0123456789") == "other_credential"
    assert refused("/repos/a", x_note=GH) == "misplaced_placeholder"
    exchange = sent(egress, host, "/repos/a", way, authorization=f"Bearer {GH}")
    assert exchange.response is None
    assert exchange.request.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("way", WAYS[:3])
def test_a_credential_of_its_own_passes_in_capitals_too(egress: Egress, way: str) -> None:
    exchange = sent(egress, "Images.Example.com", "/v2/a", way, authorization="Bearer given-by-the-registry")
    assert exchange.response is None
    assert exchange.request.headers["authorization"] == "Bearer given-by-the-registry"


@pytest.mark.parametrize("way", WAYS)
def test_what_leaves_has_one_spelling_of_the_host(egress: Egress, way: str) -> None:
    exchange = sent(egress, "OPEN.Example.org", "/", way)
    assert exchange.response is None
    spellings = {
        exchange.request.host,
        exchange.request.headers.get("host", ""),
        exchange.request.data.authority.decode(),
    }
    assert {name.removesuffix(":443") for name in spellings} <= {"open.example.org", ""}


@pytest.mark.parametrize(
    "host",
    [
        "api.github.com.", "API.GITHUB.COM.", "api%2egithub.com", "api%2Egithub.com", "api.github.com:443:443", "api.github.com:0443",
        "api.github.com:", "x@api.github.com", "api.github.com ", "api.g\u0131thub.com", "\uff41pi.github.com", "api\u3002github.com",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["host", "header", "authority"])
def test_other_spellings_are_none(egress: Egress, host: str, place: str) -> None:
    """A root dot, percent-encoding, ports that are none, user info, and letters that IDNA 2003 maps (UTS 46)."""
    exchange = flow("https://api.github.com/repos/a", authorization="Bearer mine-0123456789")
    if place == "host":
        exchange.request.data.host = host
    elif place == "header":
        exchange.request.headers.fields = ((b"host", host.encode()), *exchange.request.headers.fields[1:])
    else:
        exchange.request.data.authority = host.encode()
    now(egress.requestheaders(exchange))
    now(egress.request(exchange))
    assert reason(exchange) in ("host_mismatch", "ambiguous_request")
