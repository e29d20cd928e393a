"""Heads and forms that make an upstream see another request or caller, and those that honest clients send."""

from __future__ import annotations

import pytest

from addons.egress.forms import FormOverrideScan, is_form, method_override_in_form
from addons.frame.request_rules import (
    CREDENTIAL_HEADERS,
    FORWARDING_HEADERS,
    OVERRIDE_HEADERS,
    judge_head,
    strip_head,
)


def head(text: str) -> list[tuple[bytes, bytes]]:
    return [
        (name.encode(), value.strip().encode())
        for name, _, value in (line.partition(":") for line in text.strip().split("\n"))
    ]


# What clients send by default, from their sources and from their own debug output (curl -v, GIT_CURL_VERBOSE, npm
# --loglevel http, GH_DEBUG=api, aws --debug, the network panel of Chromium).
HONEST = {
    "curl": "Host: example.com\nUser-Agent: curl/8.5.0\nAccept: */*\nProxy-Connection: Keep-Alive",
    "curl, cleartext HTTP/2": "Host: example.com\nAccept: */*\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    "git fetch": "Host: github.com\nUser-Agent: git/2.43.0\nAccept: */*\nAccept-Encoding: deflate, gzip, br, zstd\nPragma: no-cache\nGit-Protocol: version=2\nAuthorization: Basic eDp5\nContent-Type: application/x-git-upload-pack-request",
    "pip": 'Host: python.example.com\nUser-Agent: pip/24.0 {"ci":null}\nAccept: application/vnd.pypi.simple.v1+json\nConnection: keep-alive\nCache-Control: max-age=0\nIf-None-Match: "x"',
    "npm": "Host: npm.example.com\nuser-agent: npm/10.2.4 node/v20.11.0\nnpm-in-ci: false\nnpm-command: install\npacote-version: 17.0.4\npacote-req-type: packument\npacote-pkg-id: registry:x\nAuthorization: Bearer x\nAccept: application/json\nConnection: keep-alive",
    "go": "Host: go.example.com\nUser-Agent: Go-http-client/1.1\nAccept-Encoding: gzip\nTe: trailers",
    "cargo": 'host: cargo.example.com\naccept: text/plain\nuser-agent: cargo/1.77.0\ncargo-protocol: version=1\nif-none-match: "x"',
    "docker": "Host: images.example.com\nUser-Agent: docker/25.0.3\nAccept: application/vnd.oci.image.index.v1+json\nAuthorization: Bearer x\nX-Meta-Source-Client: docker\nConnection: close",
    "gh": "Host: api.github.com\nUser-Agent: GitHub CLI 2.45.0\nAccept: application/vnd.github+json\nAuthorization: token x\nContent-Type: application/json; charset=utf-8\nTime-Zone: Europe/Berlin\nX-Gh-Cache-Ttl: 0s\nX-Github-Api-Version: 2022-11-28\nGraphql-Features: merge_queue",
    "aws": "Host: s3.amazonaws.com\nUser-Agent: aws-cli/2.15.30\nX-Amz-Date: 20240101T000000Z\nX-Amz-Content-SHA256: UNSIGNED-PAYLOAD\nX-Amz-Security-Token: x\nAuthorization: AWS4-HMAC-SHA256 Credential=x\namz-sdk-invocation-id: x\namz-sdk-request: attempt=1\nX-Amz-Target: DynamoDB_20120810.ListTables\nExpect: 100-continue",
    "azure": "x-ms-date: Mon, 01 Jan 2024 00:00:00 GMT\nx-ms-version: 2023-11-03\nx-ms-client-request-id: x\nx-ms-blob-type: BlockBlob\nx-ms-return-client-request-id: true",
    "gcloud": "x-goog-api-client: cred-type/u\nx-goog-user-project: p\nx-goog-request-params: name=x\nx-allowed-locations: 0x0",
    "Claude Code": "Host: api.anthropic.com\nAccept: application/json\nX-Stainless-Retry-Count: 0\nX-Stainless-Timeout: 600\nX-Stainless-Lang: js\nX-Stainless-Package-Version: 0.55.1\nX-Stainless-OS: Linux\nX-Stainless-Arch: x64\nX-Stainless-Runtime: node\nX-Stainless-Helper-Method: stream\nanthropic-dangerous-direct-browser-access: true\nanthropic-version: 2023-06-01\nanthropic-beta: oauth-2025-04-20\nauthorization: Bearer x\nx-app: cli\nUser-Agent: claude-cli/1.0\ncontent-type: application/json\naccept-language: *\nsec-fetch-mode: cors",
    "Chromium": 'Host: example.com\nConnection: keep-alive\nsec-ch-ua: "Chromium";v="122"\nsec-ch-ua-mobile: ?0\nsec-ch-ua-platform: "Linux"\nUpgrade-Insecure-Requests: 1\nUser-Agent: Mozilla/5.0\nSec-Fetch-Site: none\nSec-Fetch-Mode: navigate\nSec-Fetch-User: ?1\nSec-Fetch-Dest: document\nReferer: https://example.com/\nOrigin: https://example.com\nCookie: a=b\nX-Requested-With: XMLHttpRequest\nX-CSRF-Token: x',
    "WebSocket": "Host: example.com\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: x\nSec-WebSocket-Version: 13\nSec-WebSocket-Extensions: permessage-deflate",
    "gRPC": "te: trailers\ncontent-type: application/grpc\ngrpc-timeout: 1S\ngrpc-accept-encoding: gzip\nuser-agent: grpc-go/1.60",
    "SOAP": 'SOAPAction: "urn:x"\nContent-Type: text/xml',
    "libwww-perl": "TE: deflate,gzip;q=0.3\nConnection: TE, close\nHost: example.com\nUser-Agent: lwp-request/6.77",
    "tracing": "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate: a=b\nX-Request-ID: x\nX-B3-TraceId: x\nIdempotency-Key: x",
}
PATHS = ["/", "/v1/messages?beta=true", "/repos/a/b/contents/x?ref=main&page=2", "/search?q=_method%3Dx&sort=sig",
         "/simple/pip/?format=json", "/a;v=1?key=PROJ-1&token=next&state=open&filter[method]=x&method=GET",
         "/storage/v1/b?prefix=access_token", "/x?authuser=0&author=me&signature_version=4"]  # fmt: skip


@pytest.mark.parametrize("client", HONEST)
def test_honest_clients_pass(client: str) -> None:
    sent = head(HONEST[client])
    for path in PATHS:
        assert judge_head(sent, path, has_token=False) is None
        assert judge_head(sent, path, has_token=True) is None
    kept = strip_head(sent, has_token=False, injected=frozenset())
    assert [pair for pair in sent if pair[0].lower() not in (b"proxy-connection",)] == kept


@pytest.mark.parametrize("client", HONEST)
def test_only_credentials_are_taken_out_of_what_they_send(client: str) -> None:
    sent = head(HONEST[client])
    gone = {name.lower() for name, _ in sent} - {
        n.lower() for n, _ in strip_head(sent, has_token=True, injected=frozenset(["authorization"]))
    }
    assert gone <= {b"authorization", b"cookie", b"x-amz-security-token", b"proxy-connection"}


def refused(name: str, value: str = "DELETE") -> bool:
    verdict = judge_head([(b"Host", b"example.com"), (name.encode(), value.encode())], "/", has_token=False)
    return verdict is not None and verdict[0] == "ambiguous_request"


@pytest.mark.parametrize(
    "name",
    # The spellings of the documents: Rack, ASP.NET, Express' README; PortSwigger's labs; Symfony's advisory; RFC 7239.
    ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Host",
     "X-Forwarded-Server", "X-Host", "X-HTTP-Host-Override", "Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Path",
     "X-Forwarded-Uri", "X-Original-Host", "X-Original-URI", "X-Envoy-Original-Path", "X-Forwarded-Method", "X-Original-Method",
     "X-Proxy-Url", "Request-Uri", "Base-Url", "UNENCODED-URL", "IIS-WasUrlRewritten", "X-Accel-Mapping"],
)  # fmt: skip
def test_a_header_that_changes_the_request_is_refused(name: str) -> None:
    for spelled in (
        name,
        name.lower(),
        name.upper(),
        name.replace("-", "_"),
        name.lower().replace("-", "_", 1),
        name.replace("-", "."),
    ):
        assert refused(spelled)
    assert judge_head([(name.encode(), b"x")], "/", has_token=True, allowed=frozenset({name.lower()})) is None


def test_a_connection_names_no_other_header() -> None:
    assert refused("Connection", "close, X-Key")
    assert refused("Connection", "Authorization")
    assert not refused("Connection", "keep-alive, Upgrade")


@pytest.mark.parametrize(
    ("name", "goes"),
    [("X-Forwarded-For", True), ("X-Real-IP", True), ("x_forwarded_for", True), ("True-Client-IP", True), ("CF-Connecting-IP", True),
     ("Via", True), ("X-Forwarded-Proto", True), ("Proxy-Authorization", True), ("X-Request-Id", False), ("User-Agent", False)],
)  # fmt: skip
def test_what_tells_of_the_way_is_taken_out(name: str, goes: bool) -> None:
    for has_token in (False, True):
        left = strip_head(
            [(b"A", b"1"), (name.encode(), b"x"), (b"a", b"2")], has_token=has_token, injected=frozenset()
        )
        assert left == [(b"A", b"1"), (b"a", b"2")] if goes else len(left) == 3


@pytest.mark.parametrize(
    "name",
    # Each from its vendor's page on authentication.
    ["Authorization", "Cookie", "x-api-key", "api-key", "apikey", "PRIVATE-TOKEN", "JOB-TOKEN", "Deploy-Token", "X-Auth-Token",
     "X-Access-Token", "X-Goog-Api-Key", "X-Amz-Security-Token", "X-Vault-Token", "DD-API-KEY", "DD-APPLICATION-KEY",
     "Ocp-Apim-Subscription-Key", "X-Figma-Token", "X-Shopify-Access-Token", "Circle-Token", "X-Auth-Key", "X-Auth-Email",
     "X-RapidAPI-Key", "X-Session-Token", "Authentication", "Remote-User", "X-Remote-User", "X-Forwarded-User",
     "X-Forwarded-Access-Token", "X-Amzn-Oidc-Data", "x-amzn-oidc-accesstoken", "X-MS-CLIENT-PRINCIPAL", "X-MS-CLIENT-PRINCIPAL-ID",
     "X-MS-TOKEN-AAD-ACCESS-TOKEN", "Impersonate-User", "Impersonate-Extra-scopes", "Sudo", "X-Key"],
)  # fmt: skip
def test_somebody_elses_credential_is_taken_out_where_one_is_put_in(name: str) -> None:
    for spelled in (name, name.lower(), name.replace("-", "_")):
        pair = (spelled.encode(), b"mine")
        assert strip_head([pair], has_token=True, injected=frozenset(["x-key"])) == []
        assert (strip_head([pair], has_token=False, injected=frozenset()) == []) is False


@pytest.mark.parametrize(
    "query",
    ["access_token=x", "ACCESS_TOKEN=x", "a=1&private_token=x", "job_token=x", "api_key=x", "apikey=x", "api-key=x", "auth_token=x",
     "oauth_token=x", "client_secret=x", "X-Amz-Signature=x", "X-Amz-Credential=x", "X-Goog-Signature=x", "sig=x", "jwt=x",
     "access%5Ftoken=x", "%61ccess_token=x", "access%255ftoken=x", "access_token[]=x", "a;access_token=x", "access.token=x",
     "+access_token=x", "%20access_token=x", "access_token%00=x", "access_token"],
)  # fmt: skip
def test_a_credential_in_the_query_is_refused_where_one_is_put_in(query: str) -> None:
    verdict = judge_head([], "/a?" + query, has_token=True)
    assert verdict is not None
    assert verdict[0] == "other_credential"
    assert judge_head([], "/a?" + query, has_token=False) is None


def test_what_the_owner_has_named_passes() -> None:
    assert judge_head([], "/a?sig=x&access_token=y", has_token=True, allowed=frozenset({"sig", "access_token"})) is None
    assert judge_head([], "/a?sig=x&jwt=y", has_token=True, allowed=frozenset({"sig"})) is not None


OVERRIDES = ["_method=DELETE", "_METHOD=put", "_method[]=x", "_method%00=x", "%5fmethod=x", "_m%65thod=x", ".method=x", "+_method=x",
             "_HttpMethod=PATCH", "x-http-method-override=PATCH", "X-HTTP-Method-Override=PATCH", "_method_override=x",
             "$httpMethod=DELETE", "x-tunneled-method=x"]  # fmt: skip
NO_OVERRIDES = [
    "method=x",
    "a=_method",
    "payment_method=card",
    "my_method=x",
    "_methods=x",
    "_methodology=x",
    "q=x_method=y",
]


@pytest.mark.parametrize("field", OVERRIDES)
def test_another_method_in_query_or_form(field: str) -> None:
    for path in ("/?" + field, "/a?b=c&" + field, "/a?b;" + field):
        verdict = judge_head([], path, has_token=False)
        assert verdict is not None
        assert verdict[0] == "ambiguous_request"
    for kind in ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=UTF-8", ""):
        for body in (
            field,
            "a=b&" + field,
            "a=b;" + field + "&c=d",
            "a=b& \r\n" + field,
            "a=" + "x" * 50_000 + "&" + field,
        ):
            assert method_override_in_form(body.encode(), kind)
            scan = FormOverrideScan(kind)
            assert [scan.feed(body.encode()[at : at + 3]) for at in range(0, len(body), 3)][-1]


@pytest.mark.parametrize("field", NO_OVERRIDES)
def test_other_fields(field: str) -> None:
    assert judge_head([], "/?" + field, has_token=False) is None
    assert not method_override_in_form(f"a=b&{field}&c=d".encode(), "application/x-www-form-urlencoded")
    assert not method_override_in_form(f"&{field}".encode(), "application/json")


def part(disposition: str) -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\nDELETE\r\n--b--\r\n".encode()


@pytest.mark.parametrize(
    "disposition",
    # RFC 7578, 4.2; RFC 2231; RFC 2183's parameters in any order, folded, and without quotes.
    ['name="_method"', "name=_method", "name='_method'", 'NAME="_METHOD"', 'filename="x"; name="_method"', 'name = "_method"',
     '\r\n name="_method"', '\r\n\tname=_method', "name*=utf-8''_method", "name*=UTF-8'en'%5Fmethod", 'name*0="_met"; name*1="hod"',
     'name="_method[]"', 'name="\\_method"', 'name=" _method"', 'filename="' + "x" * 5000 + '"; name="_method"',
     'name="x-http-method-override"'],
)  # fmt: skip
def test_another_method_in_a_part(disposition: str) -> None:
    body = part('name="a"') + part(disposition)
    assert method_override_in_form(body, "multipart/form-data; boundary=b")
    for step in (1, 7, 1000):
        scan = FormOverrideScan("multipart/form-data; boundary=b")
        assert [scan.feed(body[at : at + step]) for at in range(0, len(body), step)][-1]


def test_a_file_that_talks_of_it_is_no_field() -> None:
    page = b'<form method="post"><input type="hidden" name="_method" value="delete"></form> see ?a=1&_method=delete'
    body = part('name="file"; filename="_method.html"') + page
    assert not method_override_in_form(body, "multipart/form-data; boundary=b")
    assert not method_override_in_form(part('name="payment_method"'), "multipart/form-data; boundary=b")


@pytest.mark.parametrize(
    "kind", ["text/json", "application/x.y/json", "image/a+json", "text/plain; x=/json", "Text/JSON"]
)
def test_what_laravel_takes_for_json_is_read_as_such(kind: str) -> None:
    """Illuminate's InteractsWithContentTypes::isJson looks for "/json" and "+json" anywhere in the header."""
    assert method_override_in_form(b'{"a": 1, "_method": "DELETE"}', kind)
    scan = FormOverrideScan(kind)
    assert not scan.feed(b'{"_met')
    assert scan.feed(b'hod": "DELETE"}')
    assert not method_override_in_form(b'{"a": "_method"}', kind)


def test_no_part_has_letters_that_stand_for_others() -> None:
    """lib/rack/multipart/parser.rb, handle_dummy_encoding (Rack 3.2): `ESC ( B` before a name is taken out."""
    head = b'--b\r\nContent-Disposition: form-data; name="\x1b(B_method"\r\nContent-Type: text/plain; charset='
    for charset in (b"ISO-2022-JP", b'"utf-7"', b"UTF-16LE", b"CP50221"):
        assert method_override_in_form(head + charset + b"\r\n\r\nDELETE\r\n--b--", "multipart/form-data; boundary=b")
    body = head.replace(b"\x1b(B_", b"a_") + b"utf-8\r\n\r\nDELETE\r\n--b--"
    assert not method_override_in_form(body, "multipart/form-data; boundary=b")


def test_a_form_in_another_character_set_is_refused() -> None:
    # ASP.NET decodes IBM037 forms: a published way round filters (S. Dalili, "Request encoding to bypass WAFs", 2017).
    for charset in ("ibm037", "utf-16", "utf-16le", "utf-7", "x-user-defined"):
        assert method_override_in_form(b"a=b", f"application/x-www-form-urlencoded; charset={charset}")
    assert not method_override_in_form(b"a=b", "application/x-www-form-urlencoded; charset=UTF-8")


def test_blanks_before_a_name_do_not_hide_it() -> None:
    for blank in (b" ", b"+", b"%20", b"\n"):
        scan = FormOverrideScan("application/x-www-form-urlencoded")
        scan.feed(b"a=b&")
        assert not scan.feed(blank * 100)
        for _ in range(60):
            scan.feed(blank * 1000)
        assert scan.feed(b"_method=DELETE")


@pytest.mark.parametrize("name", ["[_method]", "[[_method]]", "]_method", "%5B_method%5D", "%5b%5b_method"])
def test_brackets_before_a_name_do_not_hide_it(name: str) -> None:
    """Rack::Utils.normalize_params, Rack 1 and 2: `name =~ %r(\\A[\\[\\]]*([^\\[\\]]+)\\]*)`."""
    assert judge_head([], f"/?a=b&{name}=DELETE", has_token=False) is not None
    assert method_override_in_form(f"a=b&{name}=DELETE".encode(), "application/x-www-form-urlencoded")


def test_an_encoded_word_is_no_name_of_a_part() -> None:
    """RFC 2047, which Commons FileUpload decodes there; RFC 7578, 5.1, has no use for it."""
    body = b'--b\r\nContent-Disposition: form-data; name="=?UTF-8?Q?=5Fmethod?="\r\n\r\nDELETE\r\n--b--\r\n'
    assert method_override_in_form(body, "multipart/form-data; boundary=b")


def test_a_field_of_json_asks_for_another_method() -> None:
    """Laravel: Illuminate's Request::createFromBase takes JSON's names for fields, Symfony's getMethod reads `_method`."""
    for body in (b'{"_method": "DELETE"}', b'{"a": 1, "\\u005fmethod" \n : "DELETE"}', b'{"_m\\u0065thod":"PUT"}'):
        assert method_override_in_form(body, "application/json")
        scan = FormOverrideScan("application/vnd.api+json")
        assert [scan.feed(body[at : at + 3]) for at in range(0, len(body), 3)][-1]
    for body in (b'{"method": "tools/call"}', b'{"a": "_method"}', b'["_methods"]'):
        assert not method_override_in_form(body, "application/json")


def test_forms() -> None:
    assert is_form("")
    assert is_form("Application/X-WWW-Form-Urlencoded; charset=utf-8")
    assert is_form("multipart/mixed; boundary=x")
    for other in ("application/json", "text/plain", "application/vnd.terraform+json", "application/x-sentry-envelope"):
        assert not is_form(other)


def test_the_lists_are_apart() -> None:
    assert not OVERRIDE_HEADERS & FORWARDING_HEADERS
    assert not OVERRIDE_HEADERS & CREDENTIAL_HEADERS
    assert all(
        name == name.lower() and "_" not in name for name in OVERRIDE_HEADERS | FORWARDING_HEADERS | CREDENTIAL_HEADERS
    )


def test_what_the_owner_names_stays() -> None:
    sent = [(b"Cookie", b"a=b"), (b"X-Forwarded-For", b"192.0.2.1"), (b"Authorization", b"x")]
    names = frozenset(["cookie", "authorization"])
    kept = strip_head(sent, has_token=True, injected=frozenset(["authorization"]), allowed=names)
    assert kept == [(b"Cookie", b"a=b")]
