"""Placeholders in the agent's environment, and requests that bring a credential of their own."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flows import flow, now, refusal
from mitmproxy import http
from mitmproxy.test import taddons

from addons.egress.addon import Egress
from addons.egress.placeholders import placeholder
from claude_bottle.checks.validation import examine
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile, placeholders
from components.agent import agent_env

TOKEN, ADMIN, PAIR = "real-token-0123456789", "admin-token-0123456789", "puller:real-pass-0123456789"
GH, GLAB = placeholder("GH_TOKEN"), placeholder("GITLAB_TOKEN")
ROUTES: list[dict[str, Any]] = [
    {"host": "api.github.com", "path": ["/repos"], "token_ref": "READ", "placeholder": "GH_TOKEN"},
    {"host": "api.github.com", "path": ["/admin"], "token_ref": "ADMIN"},
    {"host": "api.github.com", "path": ["/free"]},
    {
        "host": "git.example.com",
        "token_ref": "ADMIN",
        "auth_scheme": "header:Private-Token",
        "placeholder": ["GITLAB_TOKEN", "GL_TOKEN"],
    },
    {"host": "images.example.com", "token_ref": "PULL", "auth_scheme": "basic", "own_credentials": "pass"},
    {"host": "open.example.org"},
]
MANIFEST = Manifest.model_validate({"egress": {"routes": ROUTES}})


def loaded(folder: Path, manifest: Manifest) -> Egress:
    plan = RouteTableFile.of(manifest)
    (folder / "routes.json").write_text(plan.table)
    addon = Egress(folder / "routes.json", folder / "tokens.json", folder)
    values = {"READ": TOKEN, "ADMIN": ADMIN, "PULL": PAIR}
    addon.use_tokens({slot: values[ref] for ref, slot in plan.slots.items()})
    addon._file.poll()
    return addon


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[Egress]:
    addon = loaded(tmp_path, MANIFEST)
    with taddons.context(addon):
        yield addon


def run(egress: Egress, url: str, **headers: str) -> http.HTTPFlow:
    exchange = flow(url, **headers)
    now(egress.requestheaders(exchange))
    now(egress.request(exchange))
    return exchange


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    "sent",
    # `token` is gh's and Octokit's scheme (docs.github.com, "Authenticating to the REST API"); a user name is git's.
    [f"token {GH}", f"Bearer {GH}", f"bearer  {GH}", basic(f"x-access-token:{GH}"), basic(f"{GH}:"), GH, "",
     "Bearer placeholder", "token placeholder"],
)  # fmt: skip
def test_the_owners_token_takes_the_place_of_a_placeholder(egress: Egress, sent: str) -> None:
    exchange = run(egress, "https://api.github.com/repos/a", authorization=sent)
    assert exchange.response is None
    assert exchange.request.headers.get_all("authorization") == [f"Bearer {TOKEN}"]


def test_by_path_another_token_and_none(egress: Egress) -> None:
    exchange = run(egress, "https://api.github.com/admin", authorization=f"token {GH}")
    assert exchange.request.headers["authorization"] == f"Bearer {ADMIN}"
    assert (
        "authorization" not in run(egress, "https://api.github.com/free", authorization=f"token {GH}").request.headers
    )


def test_in_a_header_of_its_own(egress: Egress) -> None:
    exchange = run(egress, "https://git.example.com/api", private_token=GLAB)
    assert exchange.request.headers["private-token"] == ADMIN


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("https://open.example.org/", {"authorization": f"token {GH}"}),
        ("https://open.example.org/", {"authorization": basic(f"x:{GH}")}),
        ("https://open.example.org/", {"x_note": f"a{GH}b"}),
        (f"https://open.example.org/?token={GH}", {}),
        (f"https://open.example.org/?token={GH.replace('-', '%2D')}", {}),
        ("https://git.example.com/api", {"private_token": GH}),
        ("https://git.example.com/api", {"authorization": f"Bearer {GLAB}"}),
        ("https://api.github.com/repos/a", {"x_note": GH}),
        (f"https://api.github.com/repos/a?q={GH}", {}),
        ("https://images.example.com/v2/", {"authorization": f"Bearer {GH}"}),
    ],
)
def test_elsewhere_a_placeholder_is_refused_with_words(egress: Egress, url: str, headers: dict[str, str]) -> None:
    body = refusal(run(egress, url, **headers))
    assert body["reason"] == "misplaced_placeholder"
    assert ("GITLAB_TOKEN" if GLAB in str(headers) else "GH_TOKEN") in body["message"]
    assert "no_approval" in body


def test_a_body_that_quotes_the_environment_passes(egress: Egress) -> None:
    exchange = flow("https://open.example.org/", "POST", f"GH_TOKEN={GH}".encode())
    now(egress.requestheaders(exchange))
    now(egress.request(exchange))
    assert exchange.response is None


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer mine"},
        {"authorization": basic("me:mine")},
        {"authorization": basic("mine:")},
        {"private_token": "mine"},
        {"x_api_key": "mine"},
        {"x_auth_token": "mine"},
        {"authorization": f"Bearer {GH}x"},
        {"authorization": "Bearer placeholder-of-mine"},
    ],
)
def test_a_credential_of_its_own_is_never_overwritten_in_silence(egress: Egress, headers: dict[str, str]) -> None:
    for path in ("/repos/a", "/free"):
        body = refusal(run(egress, f"https://api.github.com{path}", **headers))
        assert body["reason"] in ("other_credential", "misplaced_placeholder")
    assert run(egress, "https://open.example.org/", **headers).response is None or GH in str(headers)


def test_with_pass_a_request_goes_with_its_own_and_without_the_owners(egress: Egress) -> None:
    """The registry's token flow: basic at /token, and the bearer that it gave at /v2 (distribution's auth/token spec)."""
    first = run(egress, "https://images.example.com/token")
    assert first.request.headers["authorization"] == basic(PAIR)
    exchange = run(
        egress, "https://images.example.com/v2/a", authorization="Bearer given-by-the-registry", cookie="a=b"
    )
    assert exchange.response is None
    assert exchange.request.headers["authorization"] == "Bearer given-by-the-registry"
    assert exchange.request.headers["cookie"] == "a=b"
    assert "x-claude-bottle-injected" not in exchange.request.headers
    assert base64.b64encode(PAIR.encode()).decode() not in str(exchange.request.headers)


def test_an_approved_pass_ends_with_its_key(egress: Egress, tmp_path: Path) -> None:
    exchange = run(egress, "https://images.example.com/v2/a", authorization="Bearer given")
    decision = exchange.metadata["decision"]
    assert egress.refuse_open(exchange, decision) is None
    narrowed = [{k: v for k, v in route.items() if k != "own_credentials"} for route in ROUTES]
    later = loaded(tmp_path, Manifest.model_validate({"egress": {"routes": narrowed}}))
    refusal = later.refuse_open(exchange, decision)
    assert refusal is not None
    assert refusal.reason == "credential_ended"


def test_the_environment_has_each_name_once() -> None:
    env = agent_env("egress:8080", {}, placeholders=placeholders(MANIFEST.egress), supervise=False)
    assert {name: env[name] for name in ("GH_TOKEN", "GITLAB_TOKEN", "GL_TOKEN")} == {
        "GH_TOKEN": GH, "GITLAB_TOKEN": GLAB, "GL_TOKEN": placeholder("GL_TOKEN"),
    }  # fmt: skip
    assert not {TOKEN, ADMIN, PAIR} & set(env.values())


def findings(**changes: Any) -> list[str]:
    route = {"host": "api.github.com", "token_ref": "READ", "placeholder": "GH_TOKEN", **changes.pop("route", {})}
    raw = {"egress": {"routes": [route]}, **changes}
    return [str(finding) for finding in examine(raw, lambda _: TOKEN).findings]


def test_conflicts_are_refused_in_preview() -> None:
    assert findings() == []
    assert "remove env.GH_TOKEN" in findings(env={"GH_TOKEN": "x"})[0]
    for name in ("HTTPS_PROXY", "https_proxy", "JAVA_TOOL_OPTIONS", "PATH"):
        assert "is set by the bottle" in findings(route={"placeholder": [name]})[0]
    assert "name of an environment variable" in findings(route={"placeholder": ["GH-TOKEN"]})[0]
    assert "needs a token_ref" in findings(route={"token_ref": None})[0]
