"""What S3, and the stores that speak it, would read in a request beside an object by its path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_requests import BUCKET, STORE, by_the_agent, run, signing
from flows import refusal

from addons.egress.addon import Egress
from claude_bottle.policy.routes.aws_sigv4 import another_api


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[Egress]:
    with signing(tmp_path) as addon:
        yield addon


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("acl", {}), ("policy", {}), ("session", {}), ("delete", {}), ("renameObject", {}), ("tagging", {}), ("%61cl=", {}),
        ("list-type=2&Acl", {}), ("x-amz-copy-source=/other/secret", {}),
        ("", {"x-amz-rename-source": "/secret/key"}), ("", {"x-amz-acl": "public-read"}),
        ("", {"x-amz-grant-read": 'emailAddress="e@example.com"'}), ("", {"x_amz_meta_a": "1"}),
        ("", {"X-Amz-Copy_Source": "/other/secret"}), ("", {"x.amz.copy.source": "/other/secret"}),
        # docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html: it is in the log of the key's account.
        ("", {"x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu-west-1:111122223333:key/x"}),
        ("", {"x-amz-server-side-encryption-context": "e30="}), ("", {"x-amz-meta-a": "two  blanks"}),
        ("", {"x-amz-meta-a": "a\tb"}), ("", {"x-amz-meta-a": "\u00e9"}),
    ],
)  # fmt: skip
def test_what_asks_s3_for_more_than_an_object_by_its_path(egress: Egress, query: str, headers: dict[str, str]) -> None:
    """S3's API reference: RenameObject, CreateSession, DeleteObjects, PutObjectAcl, CopyObject."""
    exchange = by_the_agent(f"https://{BUCKET}/mine/x?{query}".rstrip("?"), "us-east-1", "s3", "PUT")
    for name, value in headers.items():
        exchange.request.headers[name] = value
    assert refusal(run(egress, exchange))["reason"] in ("cannot_sign", "ambiguous_request", "host_mismatch")


def test_what_its_owner_names_passes_and_what_programs_send_besides(egress: Egress) -> None:
    exchange = by_the_agent(f"https://{BUCKET}/x?uploads", "us-east-1", "s3", "PUT", X_Amz_Tagging="a=b")
    for name, value in {
        "x-amz-meta-a": "one two",
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-storage-class": "GLACIER",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-acl": "private",
    }.items():
        exchange.request.headers[name] = value
    assert run(egress, exchange).response is None


def test_a_header_that_is_there_twice_is_not_signed(egress: Egress) -> None:
    """It would be signed joined in one way and read joined in another, and the upstream's error holds the signature."""
    exchange = by_the_agent(f"https://{BUCKET}/x", "us-east-1", "s3", "PUT")
    exchange.request.headers.fields += ((b"x-amz-meta-a", b"1"), (b"X-Amz-Meta-A", b"2"))
    assert refusal(run(egress, exchange))["reason"] == "cannot_sign"


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        # minio, cmd/api-router.go and cmd/object-handlers.go: each entry of a tar is stored under its own name.
        ("", "X-Amz-Meta-Snowball-Auto-Extract", "true"),
        ("", "X-Amz-Meta-Minio-Snowball-Prefix", "other"),
        # OpenStack Swift's own, which its S3 let through until July 2026 (bug 2158733).
        ("", "X-Copy-From", "/other/secret"),
        ("", "X_Copy_From", "/other/secret"),
        ("", "X-Object-Manifest", "other/prefix"),
        ("", "X-Symlink-Target", "other/secret"),
        ("", "X-Minio-Force-Delete", "true"),
        ("", "X-Amz-Trailer", "x-amz-copy-source"),
        ("?x-id=PutObject;acl=", "X-Amz-Meta-A", "b"),
        ("", "X-Amz-Trailer", "x-amz-checksum-crc32, x-amz-copy-source"),
        # IBM's API reference; Cloudflare's R2, "S3 compatibility", "Extensions".
        ("", "IBM-SSE-KP-Customer-Root-Key-Crn", "crn:v1:bluemix:public:kms:eu-de:a/1:2:key:3"),
        ("", "Retention-Legal-Hold-ID", "1"),
        ("", "CF-Create-Bucket-If-Missing", "true"),
        # seaweedfs, weed/s3api/s3_metadata_util.go
        ("", "Seaweed-X-Amz-Acl", "[]"),
        ("", "Content_Type", "text/plain"),
    ],
)
def test_stores_that_speak_s3_have_orders_of_their_own(egress: Egress, query: str, name: str, value: str) -> None:
    exchange = by_the_agent(f"https://{STORE}/mine/a{query}", "eu-west-1", "s3", "PUT", b"x")
    exchange.request.headers[name] = value
    assert refusal(run(egress, exchange))["reason"] == "cannot_sign"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Amz-Meta-Token", "of-a-game"),  # what an object says of itself is no credential
        ("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled", "true"),
        ("X-Amz-Trailer", "x-amz-checksum-crc32"),
        ("X-Amz-If-Match-Size", "3"),
        ("Amz-Sdk-Invocation-Id", "1d8f2b5c"),
        ("Sec-Fetch-Mode", "cors"),
        ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793"),
    ],
)
def test_what_an_object_says_of_itself_is_kept(egress: Egress, name: str, value: str) -> None:
    exchange = by_the_agent(f"https://{STORE}/mine/a", "eu-west-1", "s3", "PUT", b"x")
    exchange.request.headers[name] = value
    run(egress, exchange)
    assert exchange.response is None
    assert exchange.request.headers[name] == value


def test_a_listing_of_buckets_goes_in_pages(egress: Egress) -> None:
    exchange = by_the_agent(
        f"https://{BUCKET}/?max-buckets=10&bucket-region=us-east-1&x-id=ListBuckets", "us-east-1", "s3"
    )
    assert run(egress, exchange).response is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        # rustfs, rustfs/src/server/layer.rs; seaweedfs, weed/s3api/s3api_server.go: AssumeRole, CreateAccessKey.
        ("/", "application/x-www-form-urlencoded"),
        ("/?uploads", "application/x-www-form-urlencoded"),
        ("//?uploads", "application/x-www-form-urlencoded"),
        ("/a", ""),
        # ceph, rgw_rest_s3.cc: RGWPostObj, which takes a form without a policy.
        ("/a?uploads", "multipart/form-data; boundary=x"),
    ],
)
def test_the_body_of_a_post_says_nothing_of_another_api(egress: Egress, path: str, kind: str) -> None:
    exchange = by_the_agent(
        f"https://{BUCKET}{path}", "us-east-1", "s3", "POST", b"Action=AssumeRole", Content_Type=kind
    )
    assert refusal(run(egress, exchange))["reason"] == "cannot_sign"


@pytest.mark.parametrize("query", ["uploads", "uploads=&x-id=CreateMultipartUpload", "uploadId=1", "restore"])
def test_an_upload_in_parts_is_posted_and_what_its_owner_names(egress: Egress, query: str) -> None:
    kind = "application/x-www-form-urlencoded; charset=utf-8"  # of Java's SDK, where the program names none
    for host, region, path in ((BUCKET, "us-east-1", "/a/b"), (STORE, "eu-west-1", "/mine/a")):
        exchange = by_the_agent(f"https://{host}{path}?{query}", region, "s3", "POST", b"<x/>", Content_Type=kind)
        assert (run(egress, exchange).response is None) == (query != "restore" or host == BUCKET), host


@pytest.mark.parametrize(
    ("method", "path"),
    [
        # minio, cmd/admin-router.go, which every host's name leads to.
        ("GET", "/minio/admin/v3/export-iam"),
        ("PUT", "/minio/admin/v3/import-iam"),
        ("GET", "//minio/admin/v3/export-iam"),
        ("GET", "/a/../minio%2Fadmin/v3/export-iam"),
        ("GET", "/rustfs/admin/v3/export-iam"),
        ("GET", "/iceberg/v1/config"),
        # zenko, cloudserver, lib/routes/routeBackbeat.js
        ("PUT", "/_/backbeat/data/other/secret"),
        # versitygw, s3api/router.go
        ("PATCH", "/create-user"),
    ],
)
def test_what_a_store_has_beside_s3_is_the_owners_to_name(egress: Egress, method: str, path: str) -> None:
    exchange = by_the_agent(f"https://{BUCKET}/a", "us-east-1", "s3", method)
    exchange.request.path = path
    assert refusal(run(egress, exchange))["reason"] == "cannot_sign"


def test_a_path_of_the_route_names_what_is_below_it_alone() -> None:
    def is_refused(path: str, *prefixes: str, method: str = "GET") -> bool:
        return bool(another_api(method, path, "", prefixes, frozenset()))

    assert not is_refused("/minio/backup/a", "/minio/backup") and not is_refused("/minio-backup/a")
    assert not is_refused("/Minio%2Fbackup/a", "/Minio%2Fbackup") and not is_refused("/mine/a", "/mine", method="PATCH")
    assert is_refused("/mine/../minio/admin/v3/info", "/mine") and is_refused("/minio/admin/v3/info", "/")
