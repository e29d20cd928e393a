from __future__ import annotations

import base64
import json
import posixpath
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.net.http import http1
from mitmproxy.test import tutils

from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.expiry import parse_until, write_until
from claude_bottle.policy.routes.injection import TokenFileError, auth_header, auth_value, parse_tokens
from claude_bottle.policy.routes.table import Route, RouteTable, TableError
from claude_bottle.policy.routes.targets import check_target, checked_path, is_git_push_request


def table(*routes: dict[str, Any]) -> RouteTable:
    return RouteTable.parse(json.dumps({"version": 1, "routes": list(routes)}).encode())


ROUTES = table(
    {"host": "api.example.com", "paths": ["/data/acme"], "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"},
    {"host": "api.example.com", "paths": ["/data/acme/secret"], "methods": ["GET"]},
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
        ("api.example.com", "/data/acme", "GET", "api.example.com /data/acme"),
        ("api.example.com", "/data/acme?x=1", "POST", "api.example.com /data/acme"),
        ("api.example.com", "/data/acme/x/y", "POST", "api.example.com /data/acme"),
        ("api.example.com", "/data/acme/secret/x", "GET", "api.example.com /data/acme/secret"),
        ("api.example.com", "/data/acme/secret/x", "POST", "method_not_declared"),
        ("api.example.com", "/data/acmeevil", "GET", "path_not_declared"),
        ("api.example.com", "/repos", "GET", "path_not_declared"),
        ("api.example.com", "/public/x", "GET", "api.example.com /public/"),
        ("api.example.com", "/public", "GET", "path_not_declared"),
        ("api.example.com", "/%64ata/acme", "GET", "api.example.com /data/acme"),
        ("api.example.com", "/data/acme/../../user", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme/%2e%2e/user", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme/..%2fuser", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme/%252e%252e/user", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme/..;/user", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme\\..\\user", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme/%5c..", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme%00/x", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme%zz", "GET", "ambiguous_path"),
        ("api.example.com", "repos/acme", "GET", "ambiguous_path"),
        # A fragment is no part of a request (RFC 9112, 3.2): who cuts there serves another path than who does not.
        ("api.example.com", "/data/acme#/../../user", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme/#", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme?x=1#y", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme/%23/../x", "GET", "ambiguous_path"),
        ("x.example.com", "/any#thing", "GET", "ambiguous_path"),
        ("x.example.com", "/?q=#", "GET", "ambiguous_path"),
        ("x.example.com", "/any\\thing", "GET", "ambiguous_path"),
        ("x.example.com", "any", "GET", "ambiguous_path"),
        ("x.example.com", "/any\xa0thing", "GET", "ambiguous_path"),
        ("x.example.com", "/any thing", "GET", "ambiguous_path"),
        ("undeclared.example.net", "/#", "GET", "host_not_declared"),
        # Overlong UTF-8 of `.` and `/` (the IIS hole of MS00-078), and no UTF-8 at all.
        ("api.example.com", "/data/acme/%c0%ae%c0%ae/user", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme/%ff", "GET", "ambiguous_path"),
        ("api.example.com", "/data/acme/caf%C3%A9", "GET", "api.example.com /data/acme"),
        # A path that some servers read as one of a narrower route.
        ("api.example.com", "/data/acme//secret", "POST", "ambiguous_path"),
        ("api.example.com", "/data/acme/secret;x/y", "POST", "ambiguous_path"),
        ("api.example.com", "/data/acme/SECRET", "POST", "ambiguous_path"),
        ("api.example.com", "/data/acme/secret./x", "POST", "ambiguous_path"),
        ("api.example.com", "/data/acme/secret%3fx", "POST", "ambiguous_path"),
        ("api.example.com", "/data/acme//other", "POST", "api.example.com /data/acme"),
        ("api.example.com", "/data/acme/Other;v=1/x.", "POST", "api.example.com /data/acme"),
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


SLASHED = table(
    {"host": "npm.example.com", "paths": ["/npm", "/npm/@own/secret"], "methods": ["GET"]},
    {"host": "lab.example.com", "paths": ["/api/v4/projects"], "methods": ["GET"], "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"},
    {"host": "lab.example.com", "paths": ["/api/v4/projects/1/issues"], "methods": ["GET", "POST"], "auth_scheme": "bearer",
     "slot": "EGRESS_TOKEN_0"},
    {"host": "lab.example.com", "paths": ["/api/v4/projects/1/other"], "methods": ["GET"], "auth_scheme": "bearer",
     "slot": "EGRESS_TOKEN_1"},
    {"host": "one.example.com", "paths": ["/api/v4/projects/1"], "methods": ["GET", "POST"]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("host", "path", "method", "expected"),
    [
        # npm-registry-fetch and libnpm: the slash of a scoped name is written %2f. docs.gitlab.com/api/rest: "Namespaced
        # paths", an ID is group%2Fproject.
        ("npm.example.com", "/npm/@types%2fnode", "GET", "passes"),
        ("npm.example.com", "/npm/@types%2Fnode?write=true", "GET", "passes"),
        ("npm.example.com", "/npm/@types%2fnode", "PUT", "method_not_declared"),
        ("lab.example.com", "/api/v4/projects/group%2Fproject/issues", "GET", "passes"),
        ("lab.example.com", "/api/v4/projects/group%2Fsub%2Fproject", "GET", "passes"),
        ("lab.example.com", "/api/v4/projects/group%2Fproject/issues", "POST", "method_not_declared"),
        # In one of the two readings it is not below the prefix, or below one that allows less or has another token.
        ("npm.example.com", "/npm%2F@types", "GET", "ambiguous_path"),
        ("npm.example.com", "/%2Fnpm/x", "GET", "path_not_declared"),
        ("npm.example.com", "/x%2Fnpm/x", "GET", "path_not_declared"),
        ("one.example.com", "/api/v4/projects/1%2Fother", "POST", "ambiguous_path"),
        ("one.example.com", "/api/v4%2Fprojects/1/issues", "GET", "ambiguous_path"),
        ("lab.example.com", "/api/v4/projects/1%2Fissues", "POST", "ambiguous_path"),
        ("lab.example.com", "/api/v4/projects/1%2Fissues/issues", "POST", "ambiguous_path"),
        ("lab.example.com", "/api/v4/projects/1%2Fissues", "GET", "passes"),
        ("lab.example.com", "/api/v4/projects/1%2Fother", "GET", "ambiguous_path"),
        ("lab.example.com", "/api/v4/projects/1%2FOTHER", "GET", "ambiguous_path"),
        ("lab.example.com", "/api/v4/projects/1;x%2Fother", "GET", "ambiguous_path"),
        ("lab.example.com", "/api/v4/projects/1%2F%2Fother", "GET", "ambiguous_path"),
        # Dots and other layers stay what they were.
        ("npm.example.com", "/npm/..%2Fx", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2F..%2F..%2Fx", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2F..", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/%2e%2e%2fx", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2F%2e%2e%2Fx", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2F..;/x", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%252fx", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2F%252e%252e", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2%66x", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%%2f2fx", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2Fb%5c..", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2Fb%00", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2Fb%c0%af..", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2Fb#c", "GET", "ambiguous_path"),
        ("npm.example.com", "/npm/a%2Fb?c#d", "GET", "ambiguous_path"),
    ],
)  # fmt: skip
def test_an_encoded_slash_passes_below_a_prefix_in_both_of_its_readings(
    host: str, path: str, method: str, expected: str
) -> None:
    verdict = SLASHED.decide(scheme="https", host=host, port=443, method=method, path=path)
    assert (verdict.reason if isinstance(verdict, Refusal) else "passes") == expected


NAMED = table(
    {"host": "lab.example.com", "paths": ["/api/v4/projects/acme%2Fsite"], "methods": ["GET", "POST"]},
    {"host": "lab.example.com", "paths": ["/api/v4/projects/acme%2Fsite/issues"], "methods": ["GET"]},
    {"host": "lab.example.com", "paths": ["/open"], "methods": ["GET"]},
)


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        # docs.gitlab.com/api/rest, "Namespaced paths": glab and python-gitlab name a project so.
        ("/api/v4/projects/acme%2Fsite", "GET", "passes"),
        ("/api/v4/projects/acme%2fsite/merge_requests", "POST", "passes"),
        ("/api/v4/projects/acme%2Fsite/issues", "POST", "method_not_declared"),
        ("/api/v4/projects/acme%2Fsite2", "GET", "path_not_declared"),
        ("/api/v4/projects/acme%2Fsite%2Fmore/issues", "GET", "path_not_declared"),
        ("/api/v4/projects/acme/site/issues", "GET", "path_not_declared"),
        ("/api/v4/projects/acme%252Fsite", "GET", "ambiguous_path"),
        ("/api/v4/projects/acme%2Fsite/..%2Fother", "GET", "ambiguous_path"),
        ("/api/v4/projects/acme%2F..%2Fother", "GET", "ambiguous_path"),
        ("/api/v4/projects/acme%2Fsite%2Fissues", "POST", "path_not_declared"),
        # For who decodes first this is below the longer prefix, which allows less.
        ("/api/v4/projects/acme%2Fsite/issues%2F1", "POST", "ambiguous_path"),
        ("/api/v4/projects/acme%2Fsite/issues%2F1", "GET", "passes"),
        ("/open%2Fapi/v4/projects/acme%2Fsite", "GET", "ambiguous_path"),
    ],
)
def test_a_prefix_with_an_encoded_slash_is_that_name_alone(path: str, method: str, expected: str) -> None:
    verdict = NAMED.decide(scheme="https", host="lab.example.com", port=443, method=method, path=path)
    assert (verdict.reason if isinstance(verdict, Refusal) else "passes") == expected


@pytest.mark.parametrize(
    "prefix", ["/a%2fb", "/a%2F", "/%2Fa", "/a%2F/b", "/a%2F%2Fb", "/a%2F..", "/a%5Cb", "/a%252Fb"]
)
def test_what_is_no_prefix(prefix: str) -> None:
    with pytest.raises(ValueError, match="paths"):
        table({"host": "lab.example.com", "paths": [prefix]})


@given(st.lists(st.sampled_from(["/", "%2F", "%2f", "a", "npm", ".", "..", "%2e", ";x", "%252f", "%5c"]), max_size=9))
def test_no_reading_of_an_encoded_slash_leaves_the_prefix(parts: list[str]) -> None:
    """Whatever a server makes of it: decode and then resolve (RFC 3986, 5.2.4), or resolve what is written."""
    path = "/npm/" + "".join(parts)
    if isinstance(SLASHED.decide(scheme="https", host="npm.example.com", port=443, method="GET", path=path), Refusal):
        return
    for read in (path, unquote(path), unquote(unquote(path)), unquote(path).replace("\\", "/")):
        assert f"{posixpath.normpath(read.lower())}/".startswith("/npm/")


ALIKE = table(
    {"host": "api.example.com", "methods": ["GET"], "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0", "allow_headers": ["x-a"]},
    {"host": "api.example.com", "paths": ["/x"], "methods": ["GET", "POST"], "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"},
    {"host": "other.example.com", "methods": ["GET"], "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"},
    {"host": "other.example.com", "paths": ["/x"], "methods": ["GET"]},
    {"host": "narrow.example.com", "paths": ["/"], "methods": ["GET"]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("host", "path", "method", "passes"),
    [
        ("api.example.com", "/X", "GET", True), ("api.example.com", "/a%5Cb", "GET", True), ("api.example.com", "*", "GET", True),
        ("api.example.com", "/X", "POST", False), ("api.example.com", "/a%5Cb", "POST", False),
        ("api.example.com", "//x", "POST", False), ("api.example.com", "/x/../y", "POST", False),
        # The readings have other credentials, or one of them is not declared.
        ("other.example.com", "/X", "GET", False), ("other.example.com", "/a%5Cb", "GET", False),
        ("narrow.example.com", "/a%5Cb", "GET", False),
    ],
)  # fmt: skip
def test_a_path_that_is_read_in_two_ways_passes_where_both_are_allowed_alike(
    host: str, path: str, method: str, passes: bool
) -> None:
    verdict = ALIKE.decide(scheme="https", host=host, port=443, method=method, path=path)
    assert isinstance(verdict, Route) is passes
    if isinstance(verdict, Route):
        assert (verdict.slot, verdict.allow_headers) == ("EGRESS_TOKEN_0", frozenset())  # the narrower of the two


@pytest.mark.parametrize(
    "path",
    ["/", "*", "/a?b=c", "/a|b", "/a{b}", '/a"b', "/a<b>", "/a^b`c", "/%7Ea", "/100%", "/a?q=a\\b", "/a?q=a/../b?c",
     "/a;v=1?x=%23", "/@types%2fnode", "//double", "/a:b@c!$&'()*+,=", "/a?filter[x]=1&y={z}|w"],
)  # fmt: skip
def test_what_clients_send_is_a_target(path: str) -> None:
    """curl and browsers leave these as they are: the URL standard's path and query percent-encode sets."""
    assert check_target(path) is None


@pytest.mark.parametrize(
    "path", ["", "a", "#", "/#", "/a?#", "*#", "**", "/\t", "/\x7f", "/\x00", "/é", "/\udcff", "/a\\b"]
)
def test_what_is_read_in_two_ways_is_none(path: str) -> None:
    assert check_target(path) is not None
    assert checked_path(path) is None


TARGETS = st.lists(
    st.sampled_from(["/", "a", "B", ".", "..", ";x", "%41", "%2f", "%2E", "%c3%a9", "%ff", "%", "#", "?", "&", "=", "\\", "|",
                     "//", "%23", "%00", " ", "\t", "é", "\udc80", "*", "@", ":"]),
    max_size=8,
).map(lambda parts: "/" + "".join(parts))  # fmt: skip


@given(TARGETS)
def test_what_is_judged_is_what_is_sent(path: str) -> None:
    """The judged path is, byte for byte and percent-decoding aside, what stands in the request line."""
    plain = checked_path(path)
    if plain is None:
        return
    request = tutils.treq(path=path.encode("utf-8", "surrogateescape"), headers=())
    sent = http1.assemble_request_head(request).split(b"\r\n")[0].split(b" ")
    assert len(sent) == 3
    assert unquote_to_bytes(sent[1].partition(b"?")[0]) == plain.encode()
    assert "#" not in path
    assert "/../" not in plain + "/"


def test_ports_and_schemes() -> None:
    assert decide("open.example.org", port=8443) == "port_not_allowed"
    assert decide("open.example.org", scheme="http", port=80) == "open.example.org"
    assert decide("open.example.org", scheme="http", port=443) == "port_not_allowed"
    assert decide("open.example.org", scheme="ftp", port=21) == "port_not_allowed"
    # An injected credential never goes over a plain connection.
    assert decide("api.example.com", "/data/acme", scheme="http", port=80) == "tls_required"


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
    description = json.dumps(ROUTES.describe())
    assert "EGRESS_TOKEN" not in description
    assert '"credential": "injected"' in description


def test_token_file() -> None:
    assert parse_tokens(b'{"EGRESS_TOKEN_0": "v"}') == {"EGRESS_TOKEN_0": "v"}
    for bad in (b"nonsense-secret", b'["s3cr3t"]', b'{"X": "s3cr3t"}', b'{"EGRESS_TOKEN_0": ""}'):
        with pytest.raises(TokenFileError) as error:
            parse_tokens(bad)
        assert "s3cr3t" not in str(error.value)
        assert "nonsense" not in str(error.value)


def asked(routes: RouteTable, method: str, host: str, path: str) -> Route | Refusal:
    return routes.decide(scheme="https", host=host, port=443, method=method, path=path)


def test_a_route_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    end = parse_until("2026-01-31T12:00:00Z")
    routes = table(
        {"host": "*.example.com"},
        {"host": "a.example.com", "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0", "until": write_until(end)},
    )
    for now, paths, passes in ((end - 1, 2, True), (end, 1, False), (end + 1e9, 1, False)):
        monkeypatch.setattr("claude_bottle.policy.routes.expiry.time.time", lambda now=now: now)
        assert len(routes.describe()["routes"]) == paths  # type: ignore[arg-type]
        assert isinstance(asked(routes, "GET", "a.example.com", "/"), Route) is passes
        # What the agent itself brings along is taken out still.
        assert routes.injected_headers("a.example.com")
    for wrong in ("2026-01-31", "2026-01-31T12:00:00", "2026-13-31T12:00:00Z", "x", ""):
        with pytest.raises(TableError, match="until"):
            table({"host": "a.example.com", "until": wrong})


def test_what_has_ended_holds_its_place_and_refuses() -> None:
    """Neither a shorter prefix nor a wildcard lends its rights to what has ended, with its token or without."""
    over = "2020-01-01T00:00:00Z"
    token = {"auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"}
    routes = table(
        {"host": "*.example.com"},
        {"host": "a.example.com", "until": over},
        {"host": "b.example.com", **token},
        {"host": "b.example.com", "paths": ["/x"], "methods": ["GET"], "until": over, **token},
    )
    for host, path, reason in (
        ("a.example.com", "/", "host_not_declared"),
        ("b.example.com", "/x/y", "path_not_declared"),
        ("b.example.com", "/X", "ambiguous_path"),
    ):
        refusal = asked(routes, "DELETE", host, path)
        assert isinstance(refusal, Refusal)
        assert refusal.reason == reason
    assert isinstance(asked(routes, "DELETE", "b.example.com", "/y"), Route)
    assert isinstance(asked(routes, "DELETE", "c.example.com", "/"), Route)
