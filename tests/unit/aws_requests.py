"""A proxy with routes to AWS, and requests as AWS's programs send them, for the tests of `aws-sigv4`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from flows import flow, now
from mitmproxy import http
from mitmproxy.test import taddons

from addons.egress.addon import Egress
from addons.egress.placeholders import placeholder
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile

IDENTITY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = f"{IDENTITY}:{SECRET}"
AGENTS = Credentials(placeholder("AWS_ACCESS_KEY_ID"), placeholder("AWS_SECRET_ACCESS_KEY"))
NAMES = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
BUCKET, TABLE, STORE = (
    "examplebucket.s3.amazonaws.com",
    "dynamodb.eu-west-1.amazonaws.com",
    "s3.eu-west-1.amazonaws.com",
)
ROUTES: list[dict[str, Any]] = [
    {
        "host": BUCKET,
        "auth_scheme": "aws-sigv4:us-east-1/s3",
        "methods": ["GET", "PUT", "POST", "PATCH"],
        "allow_headers": ["lifecycle", "x-amz-tagging", "restore"],
    },
    {"host": TABLE, "auth_scheme": "aws-sigv4:eu-west-1/dynamodb", "methods": ["POST"]},
    {"host": STORE, "auth_scheme": "aws-sigv4:eu-west-1/s3", "path": ["/mine"], "methods": ["GET", "PUT", "POST"]},
]


@contextmanager
def signing(folder: Path) -> Iterator[Egress]:
    """An egress with the routes and the keys."""
    routes = [{"token_ref": "KEYS", "placeholder": NAMES, **route} for route in ROUTES]
    plan = RouteTableFile.of(Manifest.model_validate({"egress": {"routes": [*routes, {"host": "open.example.org"}]}}))
    (folder / "routes.json").write_text(plan.table)
    addon = Egress(folder / "routes.json", folder / "tokens.json", folder)
    addon.use_tokens(dict.fromkeys(plan.slots.values(), KEYS))
    addon._file.poll()
    with taddons.context(addon):
        yield addon


def by_the_agent(
    url: str, region: str, service: str, method: str = "GET", body: bytes = b"", **headers: str
) -> http.HTTPFlow:
    """A request as AWS's SDK signs it with the placeholders."""
    asked = AWSRequest(method=method, url=url, data=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
    (S3SigV4Auth if service == "s3" else SigV4Auth)(AGENTS, service, region).add_auth(asked)
    exchange = flow(url, method, body)
    for name, value in asked.headers.items():
        exchange.request.headers[name] = value
    return exchange


def run(egress: Egress, exchange: http.HTTPFlow) -> http.HTTPFlow:
    now(egress.requestheaders(exchange))
    now(egress.request(exchange))
    return exchange
