"""A route's `repositories` in egress: what GraphQL may name there, by real flows; policy: test_graphql_scope.py."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flows import flow, now, refusal
from mitmproxy import http
from mitmproxy.test import taddons
from test_placeholders import TOKEN, loaded

from addons.egress.addon import Egress
from addons.egress.repositories import _LONGEST
from claude_bottle.manifest.model import Manifest
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.table import Route, RouteTable

GRAPHQL = {
    "host": "api.github.com",
    "path": ["/graphql"],
    "methods": ["GET", "POST", "HEAD"],
    "token_ref": "READ",
    "repositories": ["Acme/Project"],
}
REST = {"host": "api.github.com", "path": ["/repos/acme/project"], "token_ref": "READ"}
OURS = '{ repository(owner: "acme", name: "project") { issue(number: 1) { id } } }'
OTHER = OURS.replace("project", "other")
COMMENT = 'mutation { addComment(input: {subjectId: "I_1", body: "x"}) { clientMutationId } }'
ANSWER = json.dumps({"data": {"repository": {"issue": {"id": "I_1"}}}}).encode()


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[Egress]:
    addon = loaded(tmp_path, Manifest.model_validate({"egress": {"routes": [REST, GRAPHQL]}}))
    with taddons.context(addon):
        yield addon


def asked(egress: Egress, query: str, path: str = "/graphql", method: str = "POST", **headers: str) -> http.HTTPFlow:
    body = json.dumps({"query": query}).encode() if query else b""
    exchange = flow(
        f"https://api.github.com{path}", method, body, **{"content_type": "application/json"} if body else {}, **headers
    )
    exchange.request.has_content = bool(body)  # type: ignore[attr-defined] - as addons/http/layers.py says it
    now(egress.requestheaders(exchange))
    if exchange.response is None:
        now(egress.request(exchange))
    return exchange


def answered(egress: Egress, exchange: http.HTTPFlow, body: bytes = ANSWER, status: int = 200, **headers: str) -> bytes:
    """What the client gets of an answer. It comes in pieces, and the last one is all that it waits for."""
    exchange.response = http.Response.make(status)
    exchange.response.headers.update(
        {"content-type": "application/json"} | {n.replace("_", "-"): v for n, v in headers.items()}
    )
    now(egress.responseheaders(exchange))
    stream = exchange.response.stream
    assert callable(stream)
    step = max(9, len(body) // 99)
    return b"".join(part for at in (*range(0, len(body), step), len(body)) for part in stream(body[at : at + step]))


def test_another_repository_is_refused_with_words(egress: Egress) -> None:
    passed = asked(egress, OURS)
    assert passed.response is None
    assert passed.request.headers["authorization"] == f"Bearer {TOKEN}"
    body = refusal(asked(egress, OTHER))
    assert body["reason"] == "repository_not_declared"
    assert body["message"] == "GraphQL of api.github.com is limited to acme/project here: it names another repository."
    assert "only the owner can name another" in body["no_approval"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("with_length", [False, True])
def test_a_mutation_passes_once_an_answer_gave_its_id(egress: Egress, packed: bool, with_length: bool) -> None:
    assert refusal(asked(egress, COMMENT))["reason"] == "repository_not_declared"
    body = gzip.compress(ANSWER) if packed else ANSWER
    headers = {"content_length": str(len(body))} if with_length else {}
    exchange = asked(egress, OURS, accept_encoding="gzip")
    assert answered(egress, exchange, body, **headers, **({"content_encoding": "gzip"} if packed else {})) == ANSWER
    assert asked(egress, COMMENT).response is None


def test_a_client_that_counts_the_answers_bytes_may_go_on_at_once(egress: Egress) -> None:
    exchange = asked(egress, OURS)
    exchange.response = http.Response.make(200)
    exchange.response.headers.update({"content-type": "application/json", "content-length": str(len(ANSWER))})
    now(egress.responseheaders(exchange))
    assert callable(exchange.response.stream)
    list(exchange.response.stream(ANSWER))  # and its end has not been told
    assert asked(egress, COMMENT).response is None


def test_no_other_answer_gives_an_id(egress: Egress) -> None:
    for body, status, kind in (
        (ANSWER, 500, "application/json"),
        (ANSWER, 200, "text/plain"),
        (ANSWER[:-1], 200, "application/json"),
        (ANSWER + b" " * _LONGEST, 200, "application/json"),
        (b'{"data": {"repository": {"issue": {"id": "I_1", "id": "I_1"}}}}', 200, "application/json"),
    ):
        answered(egress, asked(egress, OURS), body, status, content_type=kind)
    answered(egress, asked(egress, OURS), ANSWER, content_encoding="gzip")
    rest = asked(egress, "", "/repos/acme/project/issues/1", "GET")
    answered(egress, rest, ANSWER)
    assert refusal(asked(egress, COMMENT))["reason"] == "repository_not_declared"


def test_there_is_no_way_round(egress: Egress) -> None:
    for exchange in (
        asked(egress, "", "/graphql?query=%7Bviewer%7Brepositories%7Bid%7D%7D%7D", "GET"),
        asked(egress, "", "/graphql?query=%7Bviewer%7Brepositories%7Bid%7D%7D%7D", "HEAD"),
        asked(egress, OURS, "/graphql?query=%7Bviewer%7Brepositories%7Bid%7D%7D%7D"),
        asked(egress, OTHER, "/graphql/"),
        asked(egress, OTHER, "/graphql/x"),
        asked(egress, OTHER, "//graphql"),
        asked(egress, OTHER, "/GraphQL"),
        asked(egress, OTHER, "/graphql;a"),
        asked(egress, "", "/graphql", "GET", upgrade="websocket", connection="upgrade"),
    ):
        body = refusal(exchange)
        reasons = ("repository_not_declared", "unclear_forge_call", "forge_write", "path_not_declared")
        assert body["reason"] in reasons, body
    unknown = flow("https://api.github.com/graphql", "POST", b"", content_type="application/json")
    unknown.request.headers["transfer-encoding"] = "chunked"
    unknown.request.headers.pop("content-length", None)
    now(egress.requestheaders(unknown))
    now(egress.request(unknown))
    assert refusal(unknown)["reason"] == "too_large"  # it would pass before its end is read


def test_routes_with_one_credential_name_their_repositories_together_and_no_other_does() -> None:
    def limit(*routes: Route) -> frozenset[str] | None:
        verdict = RouteTable(routes, "").decide(
            scheme="https", host="a.example.com", port=443, method="POST", path="/graphql"
        )
        assert not isinstance(verdict, Refusal)
        return verdict.repositories

    one, two = (Route("a.example.com", ("/graphql",), repositories=frozenset([name])) for name in ("o/r", "o/s"))
    assert limit(one, two) == {"o/r", "o/s"}
    assert limit(one, Route("a.example.com", ("/graphql",), auth_scheme="bearer", slot="EGRESS_TOKEN_0")) == {"o/r"}
    assert limit(one, Route("a.example.com", ("/graphql",))) is None
    assert limit(one, Route("a.example.com", ("/",))) == {"o/r"}
