"""Programs as they come, in a bottle with nothing set besides: what docs/programs.md says was tried.

The image of bench/dlp_traffic.py has them. `make tools` builds it; where it is not there, its tests are skipped
otherwise, and what needs none is run.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world

from bench import dlp_traffic
from claude_bottle.manifest.agent_env import JAVA_STORE, PROGRAMS

pytestmark = pytest.mark.docker

_JAVA = """cat > T.java <<'J'
class T { public static void main(String[] a) throws Exception { java.net.URI.create("@URL").toURL().openStream().close(); } }
J
java T.java"""
_ROOTS = """import javax.net.ssl.*;
class T { public static void main(String[] a) throws Exception {
  TrustManagerFactory f = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
  f.init((java.security.KeyStore) null);
  System.out.println(((X509TrustManager) f.getTrustManagers()[0]).getAcceptedIssuers().length); } }"""
_MAVEN = """mkdir -p ~/.m2 && echo '<settings><mirrors><mirror><id>m</id><mirrorOf>*</mirrorOf>
<url>@URL</url></mirror></mirrors></settings>' > s.xml && mvn -q -B -s s.xml a:b:1:c"""
_BROWSER = """python3 - <<'P'
from playwright.sync_api import sync_playwright
with sync_playwright() as made:
    browser = made.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    browser.new_page().goto("@URL"); browser.close()
P"""
_GRPC = """python3 - <<'P'
import grpc
with grpc.secure_channel("grpc.example.com:443", grpc.ssl_channel_credentials()) as channel:
    list(channel.stream_stream("/echo.Echo/Each")(iter([b"x"])))
P"""
_NODE = """node --input-type=module -e 'import { setGlobalDispatcher, EnvHttpProxyAgent }
from "/usr/share/nodejs/undici/index.js"; setGlobalDispatcher(new EnvHttpProxyAgent()); await fetch("@URL")'"""
_NIX = """export NIX_STORE_DIR=$PWD/s NIX_STATE_DIR=$PWD/v NIX_LOG_DIR=$PWD/l NIX_CONF_DIR=$PWD
nix-prefetch-url @URL"""
_PHP = """php -r '$c = stream_context_create(["http" => ["proxy" => str_replace("http", "tcp", getenv("http_proxy"))]]);
file_get_contents("@URL", false, $c);'"""
AWS_KEYS = "AKIATESTTESTTESTTEST:" + secrets.token_hex(20)
AWS: dict[str, Any] = {
    "host": "s3.example.com",
    "methods": ["GET", "HEAD", "PUT", "POST", "DELETE"],
    "auth_scheme": "aws-sigv4:eu-west-1/s3",
    "token_ref": "AWS_KEYS",
    "placeholder": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
}
# What writes a small and a large object and reads them again, with nothing set but a region.
S3 = {
    # moto tells another checksum of what came in parts than that of the whole.
    "aws": """export AWS_RESPONSE_CHECKSUM_VALIDATION=when_required; aws="aws --endpoint-url https://s3.example.com"; head -c 20000000 /dev/urandom > large
$aws s3 mb s3://by-aws; echo small > small
$aws s3 cp --only-show-errors small s3://by-aws/a/small && $aws s3 cp --only-show-errors large s3://by-aws/large
$aws s3 cp --only-show-errors s3://by-aws/large back && cmp large back && $aws s3 cp s3://by-aws/a/small -""",
    "boto3": """python3 - <<'P'
import boto3, os
s3 = boto3.client("s3", endpoint_url="https://s3.example.com")
s3.create_bucket(Bucket="by-boto", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
s3.put_object(Bucket="by-boto", Key="a b/ü", Body=b"small")
open("large", "wb").write(os.urandom(20_000_000)); s3.upload_file("large", "by-boto", "large")
assert s3.head_object(Bucket="by-boto", Key="large")["ContentLength"] == 20_000_000
print(s3.get_object(Bucket="by-boto", Key="a b/ü")["Body"].read().decode())
P""",
    "rclone": """export RCLONE_S3_PROVIDER=Other RCLONE_S3_ENDPOINT=https://s3.example.com RCLONE_S3_ENV_AUTH=true
export RCLONE_S3_REGION=eu-west-1; echo small > f; rclone copyto f :s3:by-rclone/f && rclone cat :s3:by-rclone/f""",
}
# A program of the table to what asks for @URL once; other answers than its own make most fail after that.
ASKS: dict[str, tuple[str, ...]] = {
    "curl": ("curl -fsS @URL",),
    "git": ("git ls-remote @URL",),
    "Python: requests": ("python3 -c 'import requests; requests.get(\"@URL\")'",),
    "Python: urllib, httpx": (
        "python3 -c 'import urllib.request; urllib.request.urlopen(\"@URL\")'",
        "python3 -c 'import httpx; httpx.get(\"@URL\")'",
    ),
    "pip": ("pip download -q --no-deps --index-url @URL x",),
    "uv": ("uv pip install --target t --index-url @URL x",),
    "gRPC: Python, C++, Node": (_GRPC,),
    "aws, boto3": ("AWS_ACCESS_KEY_ID=p AWS_SECRET_ACCESS_KEY=p aws --region x --endpoint-url @URL s3 ls",),
    "rclone, gh, Go": (
        "rclone lsf --http-url @URL/ :http:",
        "GH_HOST=api.example.com GH_ENTERPRISE_TOKEN=p gh api @URL",
    ),
    "Node.js": (_NODE, "/opt/node24/bin/node -e 'fetch(\"@URL\")'"),
    "Deno": ("deno eval 'await fetch(\"@URL\")'",),
    "Yarn 2 to 4": (
        "echo {} > package.json; touch yarn.lock; YARN_NPM_REGISTRY_SERVER=@URL /opt/yarn4/bin/yarn npm info x",
    ),
    "Nix": (_NIX,),
    "npm": ("npm view @x/y --registry @URL --fetch-retries=0",),
    "Java: Maven, Gradle, sbt": (_JAVA, _MAVEN),
    "cargo": ("cargo info --index sparse+@URL/ x",),
    "Ruby": ("ruby -ropen-uri -e 'URI.open(\"@URL\")'",),
    "PHP, Composer": (_PHP,),
    "Chromium, Chrome, Playwright": (_BROWSER, "chromium --headless --no-sandbox --dump-dom @URL"),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, sidecar_image: str) -> Iterator[world.BottleUnderTest]:
    image = dlp_traffic.image() if os.environ.get("CLAUDE_BOTTLE_TOOLS") else dlp_traffic.existing_image()
    if image is None:
        pytest.skip(f"{dlp_traffic.tag()} is not there; make tools builds it")
    folder = tmp_path_factory.mktemp("programs")
    with dlp_traffic.servers(image) as internet:
        manifest = dlp_traffic.manifest(image, ["api.example.com", "grpc.example.com"], internet.network)
        manifest["egress"]["routes"][0]["path"] = ["/tried"]
        manifest["egress"]["routes"].append(AWS)
        manifest["env"] = {"AWS_DEFAULT_REGION": "eu-west-1"}
        with world.bottle(folder / "p", manifest, {"AWS_KEYS": AWS_KEYS}, {"root.pem": internet.ca}) as bottle:
            bottle.up()
            yield bottle


def arrived(bottle: world.BottleUnderTest, path: str) -> bool:
    """Whether a request was let through: it was made over TLS, so that the program trusted the CA."""
    decisions = bottle.decisions("egress")
    return any(one.get("decision") == "allowed" and path in str(one.get("path")) for one in decisions)


def test_every_program_that_was_tried_is_run() -> None:
    assert set(ASKS) == {one.name for one in PROGRAMS if one.tried}


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, all_ in ASKS.items() for n in range(len(all_))])
def test_a_program_reaches_a_declared_host(programs: world.BottleUnderTest, name: str, number: int) -> None:
    path = "/echo.Echo/Each" if "gRPC" in name else f"/tried/{list(ASKS).index(name)}-{number}"
    script = ASKS[name][number].replace("@URL", f"https://api.example.com{path}")
    said = programs.agent(f"cd $(mktemp -d) && timeout 80 bash -c {quoted(script)}", timeout=100)
    assert arrived(programs, path), said


@pytest.mark.parametrize("program", S3)
def test_programs_of_aws_work_with_placeholders(programs: world.BottleUnderTest, program: str) -> None:
    said = programs.agent(f"cd $(mktemp -d) && timeout 80 bash -c {quoted(S3[program])} 2>&1", timeout=100)
    assert said.strip().endswith("small"), said
    decisions = [one for one in programs.decisions("egress") if one.get("host") == "s3.example.com"]
    assert decisions and all(one["decision"] == "allowed" and one["injected"] for one in decisions)


def quoted(script: str) -> str:
    return "'" + script.replace("'", "'\\''") + "'"


def test_an_agent_as_it_comes(internet: world.Internet, tmp_path: Path) -> None:
    """Without any of these programs: they may be put in later."""
    manifest: dict[str, Any] = {
        "agent": {"memory": "1g"},
        "egress": {"routes": [{"host": "echo.example.com"}]},
        "pipelock": {"ca_files": ["root.pem"]},
        "network": {"external": internet.network},
    }
    with world.bottle(tmp_path / "p", manifest, files={"root.pem": internet.ca}) as bottle:
        bottle.up()
        mark = internet.mark()
        # 2: no such name (getent(1)). 124: it waited for longer, as it did for 20 seconds.
        assert bottle.agent("timeout 10 getent hosts nosuch.example.com; echo $?").strip() == "2"
        assert internet.since(mark) == []
        assert int(bottle.agent("df --output=size -m /dev/shm | tail -n 1")) == 1024
        roots = int(bottle.agent("grep -c BEGIN /etc/ssl/certs/ca-certificates.crt"))
        store = world.docker("exec", agent_of(bottle), "base64", JAVA_STORE)
        assert trusted_by_java(store) in (None, str(roots))
        assert (
            bottle.agent(f"openssl pkcs12 -in {JAVA_STORE} -nokeys -passin pass:").count("BEGIN CERTIFICATE") == roots
        )
        read = "jq -r '.CACertificates[0]' /etc/chromium/policies/managed/claude-bottle.json | base64 -d"
        pem = "openssl x509 -outform DER -in /usr/local/share/ca-certificates/claude-bottle-mitm-ca.crt"
        assert bottle.agent(f"cmp <({read}) <({pem}) && echo SAME").strip() == "SAME"
        agent = bottle.container_id("agent")
        bottle.up()
        assert bottle.container_id("agent") == agent


def agent_of(bottle: world.BottleUnderTest) -> str:
    return f"claude-bottle-agent-{bottle.name}"


def trusted_by_java(store: str) -> str | None:
    """How many roots a JDK takes from a store, where there is one to ask: it is told of no password and no type."""
    if (image := dlp_traffic.existing_image()) is None:
        return None
    script = f"base64 -d > /tmp/store; cat > /tmp/T.java <<'J'\n{_ROOTS}\nJ\njava -Djavax.net.ssl.trustStore=/tmp/store /tmp/T.java"
    argv = ["run", "--rm", "-i", "--network", "none", *dlp_traffic.LABEL, image, "bash", "-c", script]
    return world.docker(*argv, stdin=store.encode()).strip()
