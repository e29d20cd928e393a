"""Requests that are signed anew for AWS. The signatures are those that AWS publishes, and those of its own library.

S3: docs.aws.amazon.com, "Authenticating requests: using the Authorization header (AWS Signature Version 4)", the examples
with the keys AKIAIOSFODNN7EXAMPLE. Others: the test suite of Signature Version 4 (aws4_testsuite, get-vanilla).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_requests import AGENTS, BUCKET, IDENTITY, KEYS, ROUTES, SECRET, STORE, TABLE, by_the_agent, run, signing
from botocore import auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from flows import flow, now, refusal
from mitmproxy import http

from addons.egress import aws
from addons.egress.addon import Egress
from claude_bottle.manifest.checks import tokens
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.policy.routes.aws_sigv4 import Scope, scope_of
from claude_bottle.policy.routes.table import RouteTable


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[Egress]:
    with signing(tmp_path) as addon:
        yield addon


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "get_current_datetime", lambda: datetime.datetime(2013, 5, 24))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_s3_gets_the_signature_of_the_owners_keys(egress: Egress, query: str, signature: str) -> None:
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    exchange = by_the_agent(f"https://{BUCKET}/?{query}", "us-east-1", "s3", X_Amz_Content_SHA256=nothing)
    run(egress, exchange)
    assert exchange.response is None
    assert exchange.request.headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={IDENTITY}/20130524/us-east-1/s3/aws4_request,"
        f" SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )


def test_another_service_gets_the_signature_of_the_test_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "get_current_datetime", lambda: datetime.datetime(2015, 8, 30, 12, 36))
    exchange = flow("https://example.amazonaws.com/")
    keys = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    aws.sign(exchange.request, "example.amazonaws.com", Scope("us-east-1", "service"), keys, b"")
    signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    assert exchange.request.headers["authorization"].endswith(f"Signature={signature}")


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("path", ["/mine/a%20b/c~d", "/mine/%C3%BC/..b//c"])
def test_the_signature_is_that_of_awss_library_for_the_same_request(egress: Egress, path: str) -> None:
    exchange = by_the_agent(f"https://{STORE}{path}", "eu-west-1", "s3", "PUT", b"x" * 100, Content_Type="text/plain")
    run(egress, exchange)
    if exchange.response is not None:  # a path that servers read in two ways
        assert refusal(exchange)["reason"] == "ambiguous_path"
        return
    asked = AWSRequest(method="PUT", url=f"https://{STORE}{path}", data=b"x" * 100)
    asked.headers["content-type"] = "text/plain"
    S3SigV4Auth(Credentials(IDENTITY, SECRET), "s3", "eu-west-1").add_auth(asked)
    assert exchange.request.headers["authorization"] == asked.headers["Authorization"]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/mine/?list-type=2&prefix=a/b c&delimiter=/", "/mine/?delimiter=%2F&list-type=2&prefix=a%2Fb%20c"),
        ("/mine/?prefix=%c3%bc%7e+d&&x-id=a=b&versions", "/mine/?prefix=%C3%BC~%20d&versions=&x-id=a%3Db"),
        ("/mine/a:b(c)%7e%c3%bc//d", "/mine/a%3Ab%28c%29~%C3%BC//d"),
    ],
)
def test_the_signature_is_over_what_a_server_makes_of_an_address(egress: Egress, sent: str, signed: str) -> None:
    """minio, cmd/signature-v4-utils.go; ceph, rgw_auth_s3.cc, aws4_uri_recode: decoded, and encoded anew."""
    exchange = by_the_agent(f"https://{STORE}/mine/", "eu-west-1", "s3")
    exchange.request.path = sent.replace(" ", "%20")
    run(egress, exchange)
    assert exchange.response is None
    assert exchange.request.path == sent.replace(" ", "%20")
    asked = AWSRequest(method="GET", url=f"https://{STORE}{signed}")
    S3SigV4Auth(Credentials(IDENTITY, SECRET), "s3", "eu-west-1").add_auth(asked)
    assert exchange.request.headers["authorization"] == asked.headers["Authorization"]


@pytest.mark.usefixtures("clock")
def test_a_body_is_in_the_signature_where_the_service_wants_it(egress: Egress) -> None:
    body = b'{"TableName": "t"}'
    about = {"Content_Type": "application/x-amz-json-1.0", "X_Amz_Target": "DynamoDB_20120810.Query"}
    exchange = run(egress, by_the_agent(f"https://{TABLE}/", "eu-west-1", "dynamodb", "POST", body, **about))
    assert exchange.response is None
    asked = AWSRequest(
        method="POST", url=f"https://{TABLE}/", data=body, headers={k.replace("_", "-"): v for k, v in about.items()}
    )
    SigV4Auth(Credentials(IDENTITY, SECRET), "dynamodb", "eu-west-1").add_auth(asked)
    assert exchange.request.headers["authorization"] == asked.headers["Authorization"]
    other = run(egress, by_the_agent(f"https://{TABLE}/", "eu-west-1", "dynamodb", "POST", body + b" ", **about))
    assert other.request.headers["authorization"] != asked.headers["Authorization"]


def test_a_body_that_is_in_the_signature_is_read_whole_or_refused(egress: Egress) -> None:
    exchange = by_the_agent(f"https://{TABLE}/", "eu-west-1", "dynamodb", "POST", b"{}")
    exchange.request.headers["content-length"] = str(aws.HELD_BODY + 1)
    assert refusal(run(egress, exchange))["reason"] == "too_large"
    exchange = by_the_agent(
        f"https://{BUCKET}/large", "us-east-1", "s3", "PUT", X_Amz_Content_SHA256="UNSIGNED-PAYLOAD"
    )
    exchange.request.headers["content-length"] = str(aws.HELD_BODY + 1)
    now(egress.requestheaders(exchange))
    assert exchange.response is None
    assert exchange.request.stream
    assert f"Credential={IDENTITY}/" in exchange.request.headers["authorization"]


def test_what_is_for_another_region_or_service_does_not_leave(egress: Egress) -> None:
    for region, service in (("eu-central-1", "s3"), ("us-east-1", "iam"), ("us-east-1", "s3express")):
        exchange = run(egress, by_the_agent(f"https://{BUCKET}/x", region, service))
        assert refusal(exchange)["reason"] == "cannot_sign", (region, service)
        assert f"{service} in {region}" in refusal(exchange)["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", f"AWS4-ECDSA-P256-SHA256 Credential={AGENTS.access_key}/20260101/s3/aws4_request, SignedHeaders=h, Signature=0"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ("X-Amz-Copy-Source", "/otherbucket/secret"),
    ],
)  # fmt: skip
def test_what_egress_cannot_sign_or_what_reads_another_object(egress: Egress, name: str, value: str) -> None:
    exchange = by_the_agent(f"https://{BUCKET}/x", "us-east-1", "s3", "PUT")
    exchange.request.headers[name] = value
    assert refusal(run(egress, exchange))["reason"] == "cannot_sign"


def test_ranges_pass_only_where_no_secret_ever_went() -> None:
    table = RouteTable.parse(
        RouteTableFile.of(
            Manifest.model_validate({"egress": {"routes": [{**ROUTES[0], "token_ref": "KEYS"}]}})
        ).table.encode()
    )
    (slot,) = table.slots(BUCKET)
    assert aws.only_signs(table, BUCKET, frozenset([slot]))
    assert not aws.only_signs(
        table, BUCKET, frozenset([slot, "EGRESS_TOKEN_9"])
    )  # it was given one by an earlier table
    assert not aws.only_signs(table, "open.example.org", frozenset())


def test_keys_of_the_agents_own_and_signed_addresses_do_not_leave(egress: Egress) -> None:
    exchange = flow(f"https://{BUCKET}/x")
    asked = AWSRequest(method="GET", url=f"https://{BUCKET}/x")
    SigV4Auth(Credentials("AKIAAGENTSOWN0000000", "own"), "s3", "us-east-1").add_auth(asked)
    exchange.request.headers["authorization"] = asked.headers["Authorization"]
    assert refusal(run(egress, exchange))["reason"] == "other_credential"
    signed = AWSRequest(method="PUT", url=f"https://{BUCKET}/x")
    S3SigV4QueryAuth(AGENTS, "s3", "us-east-1").add_auth(signed)
    assert refusal(run(egress, flow(signed.url, "PUT")))["reason"] == "other_credential"


def test_a_placeholder_of_awss_keys_goes_to_no_other_host(egress: Egress) -> None:
    exchange = by_the_agent("https://open.example.org/x", "us-east-1", "s3")
    assert refusal(run(egress, exchange))["reason"] == "misplaced_placeholder"


def test_nothing_of_the_keys_comes_back(egress: Egress) -> None:
    exchange = run(egress, by_the_agent(f"https://{BUCKET}/x", "us-east-1", "s3"))
    assert SECRET not in str(exchange.request.headers)
    exchange.response = http.Response.make(200, f"<Secret>{SECRET}</Secret>".encode(), {"content-type": "text/xml"})
    now(egress.responseheaders(exchange))
    stream = exchange.response.stream
    assert callable(stream)
    got = b"".join(bytes(p) for part in (exchange.response.raw_content or b"", b"") for p in stream(part))
    assert SECRET.encode() not in got


def test_ranges_pass_for_no_secret_goes_there(egress: Egress) -> None:
    """The aws command reads a large object in ranges, several at a time, and does not look at what status they have."""
    exchange = by_the_agent(f"https://{BUCKET}/large", "us-east-1", "s3", Range="bytes=0-8388607")
    assert run(egress, exchange).request.headers["range"] == "bytes=0-8388607"


def test_a_scheme_names_one_region_and_one_service() -> None:
    assert scope_of("aws-sigv4:eu-west-1/s3") == Scope("eu-west-1", "s3")
    for wrong in (
        "aws-sigv4",
        "aws-sigv4:/s3",
        "aws-sigv4:eu-west-1/",
        "aws-sigv4:*/s3",
        "aws-sigv4:eu/s3/x",
        "bearer",
        None,
    ):
        assert scope_of(wrong) is None


def test_a_secret_that_is_no_pair_of_keys_is_told_of() -> None:
    route = Manifest.model_validate({"egress": {"routes": [{**ROUTES[0], "token_ref": "KEYS"}]}}).egress.routes[0]
    (finding,) = tokens([(0, route)], lambda _: "AKIAIOSFODNN7EXAMPLE", "s", ["KEYS"])
    assert "ACCESS_KEY_ID:SECRET_ACCESS_KEY" in finding.message
    assert not list(tokens([(0, route)], lambda _: KEYS, "s", ["KEYS"]))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("host", [f"{BUCKET}:443", BUCKET.upper(), BUCKET])
def test_the_host_that_is_signed_is_the_host_that_is_sent(egress: Egress, host: str) -> None:
    """S3 compares with the Host that it gets, and answers with the signature where they differ (aws/aws-cli, issue 2883)."""
    exchange = by_the_agent(f"https://{BUCKET}/a", "us-east-1", "s3")
    exchange.request.headers["host"] = host
    run(egress, exchange)
    assert exchange.response is None
    assert exchange.request.headers["host"] == BUCKET


def test_an_operation_is_not_done_twice_for_want_of_its_token(egress: Egress) -> None:
    """botocore's models: X-Amz-Client-Token and X-Amzn-Client-Token make a retry the same call."""
    for name in ("X-Amz-Client-Token", "X-Amzn-Client-Token"):
        exchange = by_the_agent(f"https://{TABLE}/", "eu-west-1", "dynamodb", "POST", b"{}")
        exchange.request.headers[name] = "1"
        run(egress, exchange)
        assert (exchange.response, exchange.request.headers[name]) == (None, "1")
