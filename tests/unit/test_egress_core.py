from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from addons.egress_core import (
    RouteTable,
    TableError,
    is_git_push_request,
)
from addons.injection import TokenFileError, auth_header, auth_value, parse_tokens
from addons.refusal import Refusal
from addons.until import parse_until, write_until


def table(*routes: dict[str, Any]) -> RouteTable:
    return RouteTable.parse(json.dumps({"version": 1, "routes": list(routes)}).encode())


ROUTES = table(
    {"host": "api.example.com", "paths": ["/repos/acme"], "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"},
    {"host": "api.example.com", "paths": ["/repos/acme/secret"], "methods": ["GET"]},
    {"host": "api.example.com", "paths": ["/public/"], "methods": ["GET", "HEAD"]},
    {"host": "*.example.com"},
    {"host": "*.deep.example.com", "methods": ["GET"]},
    {"host": "open.example.org"},
)


def decide(host: str, path: str = "/", method: str = "GET", scheme: str = "https", port: int = 443) -> str:
    verdict = ROUTES.decide(scheme=scheme, host=host, port=port, method=method, path=path)
    return verdict.reason if isinstance(verdict, Refusal) else f"{verdict.host} {','.join(verdict.paths)}".strip()


@pytest.mark.parametrize(
    ("host", "path", "method", "expected"),
    [
        ("api.example.com", "/repos/acme", "GET", "api.example.com /repos/acme"),
        ("api.example.com", "/repos/acme?x=1", "POST", "api.example.com /repos/acme"),
        ("api.example.com", "/repos/acme/x/y", "POST", "api.example.com /repos/acme"),
        ("api.example.com", "/repos/acme/secret/x", "GET", "api.example.com /repos/acme/secret"),
        ("api.example.com", "/repos/acme/secret/x", "POST", "method_not_declared"),
        ("api.example.com", "/repos/acmeevil", "GET", "path_not_declared"),
        ("api.example.com", "/repos", "GET", "path_not_declared"),
        ("api.example.com", "/public/x", "GET", "api.example.com /public/"),
        ("api.example.com", "/public", "GET", "path_not_declared"),
        ("api.example.com", "/%72epos/acme", "GET", "api.example.com /repos/acme"),
        ("api.example.com", "/repos/acme/../../user", "GET", "ambiguous_path"),
        ("api.example.com", "/repos/acme/%2e%2e/user", "GET", "ambiguous_path"),
        ("api.example.com", "/repos/acme/..%2fuser", "GET", "ambiguous_path"),
        ("api.example.com", "/repos/acme/%252e%252e/user", "GET", "ambiguous_path"),
        ("api.example.com", "/repos/acme/..;/user", "GET", "ambiguous_path"),
        ("api.example.com", "/repos/acme\\..\\user", "GET", "ambiguous_path"),
        ("api.example.com", "/repos/acme/%5c..", "GET", "ambiguous_path"),
        ("api.example.com", "/repos/acme%00/x", "GET", "ambiguous_path"),
        ("api.example.com", "/repos/acme%zz", "GET", "ambiguous_path"),
        ("api.example.com", "repos/acme", "GET", "ambiguous_path"),
        # An exact name is never widened by a wildcard, and the longest wildcard decides.
        ("api.example.com", "/other", "GET", "path_not_declared"),
        ("x.example.com", "/any/../thing", "DELETE", "*.example.com"),
        ("x.deep.example.com", "/", "POST", "method_not_declared"),
        ("x.deep.example.com", "/", "GET", "*.deep.example.com"),
        ("example.com", "/", "GET", "host_not_declared"),
        ("open.example.org", "/", "TRACE", "method_not_declared"),
        ("open.example.org", "/", "get", "method_not_declared"),
        ("open.example.org.evil.net", "/", "GET", "host_not_declared"),
    ],
)
def test_route_match(host: str, path: str, method: str, expected: str) -> None:
    assert decide(host, path, method) == expected


def test_ports_and_schemes() -> None:
    assert decide("open.example.org", port=8443) == "port_not_allowed"
    assert decide("open.example.org", scheme="http", port=80) == "open.example.org"
    assert decide("open.example.org", scheme="http", port=443) == "port_not_allowed"
    assert decide("open.example.org", scheme="ftp", port=21) == "port_not_allowed"
    # An injected credential never goes over a plain connection.
    assert decide("api.example.com", "/repos/acme", scheme="http", port=80) == "tls_required"


@pytest.mark.parametrize(
    "path",
    ["/a/b.git/info/refs?service=git-receive-pack", "/a/b.git/git-receive-pack", "/git-receive-pack",
     "/a/git-receive-pack?x=1", "/a/git-receive-pack/", "/a//git-receive-pack", "/a/git%2Dreceive-pack",
     "/a/git%252Dreceive-pack", "/a/GIT-RECEIVE-PACK", "/a/x/../git-receive-pack", "/a/git-receive-pack;x=1",
     "/a/git-receive-pack%3fx", "/a/git-receive-pack/.", "/a\\git-receive-pack", "/a/info/refs?service=git%2dreceive-pack",
     "/a/info/refs?x=1&service=git-receive-pack", "/a/info/refs?service=a&service=git-receive-pack",
     "/a/info/refs/?service=git-receive-pack", "/a/info%2frefs?service=git-receive-pack",
     "/a/info/refs%3fservice=git-receive-pack", "/a/info/refs?SERVICE=GIT-RECEIVE-PACK",
     "/a/info/refs;x?service=git-receive-pack"],
)  # fmt: skip
def test_a_push_is_a_push_however_it_is_spelled(path: str) -> None:
    assert is_git_push_request(path)
    assert decide("open.example.org", path, "POST") == "git_push"
    assert decide("undeclared.example.net", path, "POST") == "git_push"


@pytest.mark.parametrize(
    "path",
    ["/a/b.git/info/refs?service=git-upload-pack", "/a/b.git/git-upload-pack", "/a/b.git/info/refs", "/a/HEAD", "/",
     "/docs/git-receive-pack/options", "/search?q=git-receive-pack", "/a/git-receive-packs", "/a/my-git-receive-pack.html"],
)  # fmt: skip
def test_fetch_and_ordinary_requests_are_no_push(path: str) -> None:
    assert not is_git_push_request(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "not an object"),
        (b'{"version": 2, "routes": []}', "version"),
        (b'{"version": 1, "routes": {}}', "not a list"),
        (b'{"version": 1, "routes": [], "more": 1}', "not an object"),
        (b'{"version": 1, "routes": ["x"]}', r"routes\[0\]"),
        (b'{"version": 1, "routes": [{"host": "*"}]}', r"routes\[0\].host"),
        (b'{"version": 1, "routes": [{"host": "a.com", "extra": 1}]}', "no other keys"),
        (b'{"version": 1, "routes": [{"host": "a.com", "paths": ["/../x"]}]}', "paths"),
        (b'{"version": 1, "routes": [{"host": "a.com", "methods": []}]}', "methods"),
        (b'{"version": 1, "routes": [{"host": "a.com", "slot": "EGRESS_TOKEN_0"}]}', "go together"),
        (b'{"version": 1, "routes": [{"host": "a.com", "slot": "X", "auth_scheme": "bearer"}]}', "unknown slot"),
        (b'{"version": 1, "routes": [{"host": "a.com", "slot": "EGRESS_TOKEN_0", "auth_scheme": "header:Host"}]}', "unknown"),
    ],
)  # fmt: skip
def test_a_table_is_understood_as_a_whole_or_refused(change: bytes, words: str) -> None:
    with pytest.raises(TableError, match=words):
        RouteTable.parse(change)


def test_an_empty_table_denies() -> None:
    assert isinstance(table().decide(scheme="https", host="a.com", port=443, method="GET", path="/"), Refusal)


def test_auth() -> None:
    assert (auth_header("bearer"), auth_value("bearer", "t")) == ("authorization", "Bearer t")
    assert auth_value("basic", "u:p") == "Basic " + base64.b64encode(b"u:p").decode()
    assert auth_value("basic", "t") == "Basic " + base64.b64encode(b"x-access-token:t").decode()
    assert (auth_header("header:X-Key"), auth_value("header:X-Key", "t")) == ("x-key", "t")
    for bad in (None, "", "digest", "header:", "header:a b", "header:Host", "header:Content-Length"):
        assert auth_header(bad) == ""


def test_what_the_agent_is_told_holds_no_slot() -> None:
    told = json.dumps(ROUTES.describe())
    assert "EGRESS_TOKEN" not in told
    assert '"credential": "injected"' in told


def test_token_file() -> None:
    assert parse_tokens(b'{"EGRESS_TOKEN_0": "v"}') == {"EGRESS_TOKEN_0": "v"}
    for bad in (b"nonsense-secret", b'["s3cr3t"]', b'{"X": "s3cr3t"}', b'{"EGRESS_TOKEN_0": ""}'):
        with pytest.raises(TokenFileError) as error:
            parse_tokens(bad)
        assert "s3cr3t" not in str(error.value)
        assert "nonsense" not in str(error.value)


def test_a_route_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    end = parse_until("2026-01-31T12:00:00Z")
    routes = table(
        {"host": "*.example.com"},
        {"host": "a.example.com", "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0", "until": write_until(end)},
    )
    for now, paths, injected in ((end - 1, 2, True), (end, 1, False), (end + 1e9, 1, False)):
        monkeypatch.setattr("addons.until.time.time", lambda now=now: now)
        assert len(routes.describe()["routes"]) == paths  # type: ignore[arg-type]
        assert bool(routes.injected_headers("a.example.com")) is injected
        assert (
            bool(routes.decide(scheme="https", host="a.example.com", port=443, method="GET", path="/").slot) is injected
        )  # type: ignore[union-attr]
    for wrong in ("2026-01-31", "2026-01-31T12:00:00", "2026-13-31T12:00:00Z", "x", ""):
        with pytest.raises(TableError, match="until"):
            table({"host": "a.example.com", "until": wrong})
