"""Bodies that are judged by what they say, in an encoding that a server may not undo: it reads what the decoder skips.

Each is what a look from outside got past egress: chunk lines and trailers of aws-chunked (docs.aws.amazon.com/AmazonS3/
latest/API/sigv4-streaming.html), a comment in gzip's head (RFC 1952, 2.3), a skippable frame of zstd (RFC 8878, 3.1.2).
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flows import flow, now
from mitmproxy.test import taddons
from test_placeholders import loaded

from addons.egress.addon import Egress
from claude_bottle.manifest.model import Manifest

ROUTES = [
    {"host": "gitlab.example.com", "methods": ["POST"]},
    {"host": "api.github.com", "path": ["/graphql"], "repositories": ["acme/project"]},
    {"host": "forms.example.com", "methods": ["POST"]},
]
FORM, STREAMED = "application/x-www-form-urlencoded", {"x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
CHUNKED = {"content_encoding": "aws-chunked"}


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[Egress]:
    addon = loaded(tmp_path, Manifest.model_validate({"egress": {"routes": ROUTES}}))
    with taddons.context(addon):
        yield addon


def refused(egress: Egress, url: str, body: bytes, kind: str, **headers: str) -> str:
    exchange = flow(url, "POST", body, content_type=kind, **headers)
    now(egress.requestheaders(exchange))
    if exchange.response is None:
        now(egress.request(exchange))
    return str(json.loads(exchange.response.content or b"")["reason"]) if exchange.response is not None else ""


def with_comment(text: bytes) -> bytes:
    """An empty gzip file with a comment."""
    return b"\x1f\x8b\x08\x10" + b"\0" * 6 + text + b"\0" + zlib.compress(b"")[2:-4] + struct.pack("<II", 0, 0)


def skipped(text: bytes) -> bytes:
    """A skippable frame before an empty one."""
    return b"P*M\x18" + struct.pack("<I", len(text)) + text + bytes.fromhex("28b52ffd2000010000")


MERGE = b"&body=%2Fmerge&x="
NOTES = "https://gitlab.example.com/api/v4/projects/1/merge_requests/2/notes"
GRAPHQL = "https://gitlab.example.com/api/graphql"
MUTATION = b"&query=mutation{mergeRequestAccept(input:{}){clientMutationId}}&x="
OTHER = b'&query={repository(owner:"acme",name:"other"){id}}&x='


@pytest.mark.parametrize("headers", [STREAMED, CHUNKED])
@pytest.mark.parametrize(
    ("url", "said"),
    [(NOTES, MERGE), (GRAPHQL, MUTATION), ("https://api.github.com/graphql", OTHER),
     ("https://forms.example.com/x", b"&_method=DELETE&x=")],
)  # fmt: skip
def test_what_stands_behind_the_last_chunk(egress: Egress, url: str, said: bytes, headers: dict[str, str]) -> None:
    for body in (b"0\r\n" + said + b"\r\n", b"0;" + said + b"\r\n\r\n", b"1;x" + said + b"\r\na\r\n0\r\n\r\n"):
        assert refused(egress, url, body, FORM, **headers) == "ambiguous_request"


@pytest.mark.parametrize(("url", "said"), [(NOTES, MERGE), ("https://forms.example.com/x", b"&_method=DELETE&x=")])
def test_what_a_decoder_skips(egress: Egress, url: str, said: bytes) -> None:
    assert refused(egress, url, with_comment(said), FORM, content_encoding="gzip") == "ambiguous_request"
    assert refused(egress, url, skipped(said), FORM, content_encoding="zstd") == "ambiguous_request"


def test_other_bodies_may_be_packed(egress: Egress) -> None:
    body = gzip.compress(b'{"a": 1}')
    assert refused(egress, "https://forms.example.com/x", body, "application/json", content_encoding="gzip") == ""
    assert refused(egress, "https://forms.example.com/x", b"a=1", FORM) == ""
    assert refused(egress, NOTES, b"body=hello", FORM) == ""
