from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from addons.pipelock.core import KNOWN, Policy, PolicyError
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import allowlist, injected_headers, pipelock_route_hosts, policy, render
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.table import RouteTable

ROUTES = [
    {"host": "api.anthropic.com", "token_ref": "A"},
    {"host": "api.github.com", "auth_scheme": "header:X-Key", "token_ref": "B", "path": ["/a"]},
    {"host": "api.github.com", "path": ["/b"]},
    {"host": "*.example.com"},
]


def manifest(**changes: Any) -> Manifest:
    return Manifest.model_validate({"egress": {"routes": ROUTES}, **changes})


UPSTREAM = {"engine": "upstream", "image": "ghcr.io/example/pipelock@sha256:" + "a" * 64}


def test_hosts_and_allowlist() -> None:
    hosts = ["api.anthropic.com", "api.github.com", "*.example.com"]
    assert pipelock_route_hosts(manifest().egress) == hosts
    assert allowlist(manifest(pipelock={"allow": ["more.example.org"]})) == [*hosts, "more.example.org", "egress"]
    assert allowlist(Manifest.model_validate({"pipelock": {"allow": ["a.example.org"]}})) == ["a.example.org"]


def test_a_bottle_keeps_its_egress_without_a_route() -> None:
    """What has no route any more refuses all; only a file without the key `egress` has no egress."""
    allow = {"pipelock": {"allow": ["a.example.org"]}}
    for section in ({}, {"routes": []}):
        bottle = Manifest.model_validate({"egress": section, **allow})
        assert bottle.routed
        assert allowlist(bottle) == ["a.example.org", "egress"]
        verdict = RouteTable.parse(RouteTableFile.of(bottle).table.encode()).decide(
            scheme="https", host="a.example.org", port=443, method="GET", path="/"
        )
        assert isinstance(verdict, Refusal)
    assert not Manifest.model_validate(allow).routed


def test_pipelock_refuses_a_push_too() -> None:
    read = Policy.parse(render(manifest()).encode())
    for path in ("/a.git/git-receive-pack", "/a/info/refs?service=git-receive-pack"):
        refusal = read.refuse_url(path)
        assert refusal is not None
        assert refusal.reason == "git_push"
    assert read.refuse_url("/a.git/git-upload-pack") is None


def test_the_injected_header_is_not_scanned_where_egress_fills_it_in() -> None:
    assert injected_headers(manifest().egress) == {"api.anthropic.com": ["authorization"], "api.github.com": ["x-key"]}
    read = Policy.parse(render(manifest()).encode())
    assert read.unscanned_headers("api.anthropic.com") == {"authorization"}
    assert read.unscanned_headers("api.github.com") == {"x-key"}
    assert read.unscanned_headers("x.example.com") == frozenset()
    upstream = policy(manifest(pipelock=UPSTREAM))["request_body_scanning"]["sensitive_headers"]
    assert "authorization" not in upstream
    assert "x-key" not in upstream
    assert "cookie" in upstream


def test_only_keys_of_the_upstream_engine_are_rendered_for_it() -> None:
    assert set(policy(manifest(pipelock=UPSTREAM))) == set(KNOWN) - {"builtin", "explain_blocks"}
    assert set(policy(manifest())) - set(policy(manifest(pipelock=UPSTREAM))) == {"builtin"}


def test_seed_phrases_are_off_when_a_route_targets_the_model() -> None:
    assert policy(manifest())["seed_phrase_detection"] == {"enabled": False}
    assert policy(Manifest())["seed_phrase_detection"] == {"enabled": True}
    assert Policy.parse(render(Manifest()).encode()).seed_phrases
    assert policy(manifest())["tls_interception"]["passthrough_domains"] == ["api.anthropic.com"]


def changed(path: str, value: Any) -> bytes:
    content: Any = YAML(typ="safe", pure=True).load(render(manifest()))
    target, *rest = path.split(".")
    if rest:
        content[target][rest[0]] = value
    else:
        content[target] = value
    import io

    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(content, out)
    return out.getvalue().encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [("mode", "audit"), ("mode", "balanced"), ("enforce", False), ("surprise", 1), ("dlp.surprise", 1), ("dlp", []),
     ("request_body_scanning.enabled", False), ("request_body_scanning.scan_headers", False),
     ("request_body_scanning.action", "warn"), ("api_allowlist", ["*"]), ("api_allowlist", 3),
     ("internal", ["nonsense"]), ("tls_interception.passthrough_domains", ["*.com"])],
)  # fmt: skip
def test_a_policy_that_is_not_understood_or_does_not_enforce_is_refused(path: str, value: Any) -> None:
    assert Policy.parse(render(manifest()).encode())
    with pytest.raises(PolicyError):
        Policy.parse(changed(path, value))


@pytest.mark.parametrize("data", [b"", b"[]", b"a: [", b"version: 1\nmode: strict\n", b"\x00\xff"])
def test_what_is_no_policy_is_refused(data: bytes) -> None:
    with pytest.raises(PolicyError):
        Policy.parse(data)


@pytest.mark.parametrize(
    ("scheme", "host", "port", "reason"),
    [
        ("https", "api.github.com", 443, None),
        ("http", "api.github.com", 80, None),
        ("https", "api.github.com", 8443, "port_not_allowed"),
        ("https", "api.github.com", 80, "port_not_allowed"),
        ("https", "other.org", 443, "domain_not_allowed"),
        ("https", "x.example.com", 443, None),
        ("https", "example.com", 443, "domain_not_allowed"),
    ],
)
def test_targets(scheme: str, host: str, port: int, reason: str | None) -> None:
    refusal = Policy.parse(render(manifest()).encode()).refuse_target(scheme, host, port)
    assert (refusal.reason if refusal else None) == reason


def test_addresses() -> None:
    more = {
        "allow_private_addresses": ["*.corp.example"],
        "allow": ["git.corp.example"],
        "internal_exempt": ["198.18.0.0/15", "10.9.0.0/16"],
    }
    read = Policy.parse(render(manifest(pipelock=more)).encode())
    assert read.refuse_addresses("a.example.com", ["203.0.113.1"]) is None
    for bad in (["10.0.0.1"], ["203.0.113.1", "127.0.0.1"], ["::ffff:169.254.169.254"], []):
        assert read.refuse_addresses("a.example.com", bad) is not None
    assert read.refuse_addresses("git.corp.example", ["10.0.0.1"]) is None
    assert read.refuse_addresses("a.example.com", ["10.9.0.1"]) is None
    # Of a host that is on no list, which the answer of an index names, nothing inner is trusted or exempt.
    for host, inner in (
        ("db.corp.example", "10.0.0.1"),
        ("db.corp.example", "10.9.0.1"),
        ("other.example", "10.9.0.1"),
    ):
        assert read.refuse_addresses(host, [inner]) is not None
    assert read.refuse_addresses("other.example", ["198.18.0.7"]) is None, "of a proxy in fake-ip mode all are"
    assert read.refuse_url("/" + "a" * 9000) is not None
