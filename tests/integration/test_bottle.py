"""A bottle as its owner uses it: real Pulumi, real Docker, the real Claude Code, and a fake internet outside."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import world
import yaml
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

pytestmark = pytest.mark.docker

CLAUDE = "sk-ant-oat01-" + secrets.token_urlsafe(40)
KEY = "key-" + secrets.token_hex(20)
AWS_KEYS = "AKIATESTTESTTESTTEST:" + secrets.token_hex(20)
# Shaped like a credential, made up here, valid nowhere.
LEAK = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
JSON = ["-H", "Content-Type: application/json"]
ECHO = "https://echo.example.com/"
MANIFEST: dict[str, Any] = {
    "agent": {"memory": "1g"},
    "env": {"GREETING": "hello"},
    "egress": {
        "routes": [
            {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
            {"host": "keyed.example.com", "auth_scheme": "header:X-Echo-Key", "token_ref": "ECHO_KEY"},
            {"host": "echo.example.com"},
            {"host": "git.example.com"},
            {"host": "plain.example.com", "path": ["/allowed"], "methods": ["GET"]},
            {"host": "xn--bcher-kva.example.com"},
            {
                "host": "s3.example.com",
                "auth_scheme": "aws-sigv4:eu-west-1/s3",
                "token_ref": "AWS_KEYS",
                "placeholder": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
            },
            {"host": "*.wild.example.com"},
        ]
    },
    "pipelock": {"ca_files": ["test-root.pem"], "dlp": {"max_body_mb": 4}},
}


def manifest(internet: world.Internet, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(MANIFEST), "network": {"external": internet.network}, **changes}


@pytest.fixture(scope="module")
def bottle(internet: world.Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.BottleUnderTest]:
    """The bottle of these tests, up; one of its tokens is a secret of the stack, the other a variable of the host."""
    folder = tmp_path_factory.mktemp("project")
    roots = {"test-root.pem": internet.ca}
    with world.bottle(folder, manifest(internet), {"ECHO_KEY": KEY, "AWS_KEYS": AWS_KEYS}, roots) as bottle:
        bottle.stack.set_config("CLAUDE_CODE_OAUTH_TOKEN", world.auto.ConfigValue(CLAUDE, secret=True))
        bottle.up()
        yield bottle


def refusal(body: str) -> tuple[str, str]:
    read = json.loads(body)
    assert read["message"]
    assert "no_approval" in read or read["ask_with"]["tool"] in ("egress-block", "pipelock-block")
    return read["refused_by"], read["reason"]


def test_what_a_host_has_said_goes_back_to_it_and_to_nobody_else(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    """As clients of a registry, of a form and of a forge's releases do; the servers say where that is written down."""
    echo, mark = "https://echo.example.com", internet.mark()
    status, _ = bottle.curl(f"{echo}/says/challenge")
    assert status == 401
    token = json.loads(bottle.curl(f"{echo}/says/token?service=r")[1])["token"]
    bearer = ["-H", f"Authorization: Bearer {token}"]
    assert bottle.curl(*bearer, f"{echo}/v2/a/manifests/1")[0] == 200
    assert refusal(bottle.curl(*bearer, "https://git.example.com/v2/")[1]) == ("pipelock", "dlp_match")
    assert refusal(bottle.curl(*bearer, "http://echo.example.com/v2/")[1]) == ("pipelock", "dlp_match")

    page = bottle.agent(f"curl -s --compressed -c /tmp/jar {echo}/says/form")
    field = page.partition('value="')[2].partition('"')[0]
    assert field.startswith("ey")
    jar = ["-b", "/tmp/jar"]
    assert bottle.curl(*jar, "-d", f"title=a&api_key={field}", f"{echo}/post")[0] == 200
    assert refusal(bottle.curl("-d", f"title=a&api_key={field}", "https://git.example.com/")[1])[1] == "dlp_match"
    xsrf = unquote(bottle.agent("awk '/XSRF/ {print $7}' /tmp/jar").strip())
    assert bottle.curl(*jar, "-H", f"X-XSRF-TOKEN: {xsrf}", "-d", "a=1", f"{echo}/post")[0] == 200

    headers = bottle.agent(f"curl -s -D - -o /dev/null {echo}/says/release | tr -d '\\r'")
    url = re.search(r"(?i)^location: (.*)$", headers, re.MULTILINE)
    assert url is not None
    assert refusal(bottle.curl(f"{url[1]}&more=1")[1]) == ("pipelock", "dlp_match")
    assert refusal(bottle.curl("-d", "a=1", url[1])[1]) == ("pipelock", "dlp_match")
    assert refusal(bottle.curl(url[1].replace("sub.wild", "git"))[1]) == ("pipelock", "dlp_match")
    assert bottle.curl(url[1])[0] == 200
    assert bottle.curl("-L", f"{echo}/says/release")[0] == 200
    assert len([r for r in internet.since(mark) if r["host"] == "sub.wild.example.com"]) == 2


# Sends a word when the one before it was answered, and tells what it hears.
TALK = """
coproc C { openssl s_client -quiet -proxy egress:8080 -connect echo.example.com:443 -servername echo.example.com 2>&1; }
trap "" PIPE
exec 3<&${C[0]} 4>&${C[1]} 2>/dev/null  # bash forgets the coprocess when it ends
printf 'POST /talk HTTP/1.1\\r\\nHost: echo.example.com\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n' >&4
while read -r word; do
  printf '%x\\r\\n%s\\r\\n' ${#word} "$word" >&4
  line=
  until [[ $line == heard* ]]; do IFS= read -r -t 40 line <&3 || { echo nothing; exit; }; done
  echo "$line" | tr -d '\\r'
done
"""


def test_both_sides_of_a_request_may_talk_in_turns(bottle: world.BottleUnderTest) -> None:
    """Neither the length of a body nor its end is waited for; a secret in two pieces is not whole outside."""

    def talk(*words: str) -> list[str]:
        script = f"cat > /tmp/talk <<'END'\n{TALK}END\nbash /tmp/talk <<'END'\n" + "\n".join(words) + "\nEND"
        return [line[:100] for line in bottle.agent(script, timeout=150).splitlines()]

    assert talk("one", "it is", "three") == ["heard one", "heard it is", "heard three"]
    assert talk("one", LEAK[:20], f"{LEAK[20:]} it is", "three") == ["heard one", "nothing"]
    assert talk("one", f"it is {LEAK} indeed", "three") == ["heard one", "nothing"]


def test_claude_gets_its_streamed_answer_and_only_the_model_sees_the_token(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    mark = internet.mark()
    out = bottle.agent("claude -p ping", timeout=120)
    assert "pong from the fake model" in out
    asked = [r for r in internet.since(mark) if r["path"].startswith("/v1/messages")]
    assert asked
    assert all(dict(r["headers"])["authorization"] == f"Bearer {CLAUDE}" for r in asked)
    assert json.loads(asked[-1]["end"] if asked[-1]["length"] < 4000 else "{}").get("stream", True)


def test_a_name_in_other_letters_works_as_declared(bottle: world.BottleUnderTest, internet: world.Internet) -> None:
    mark = internet.mark()
    for version in ("--http1.1", "--http2"):
        assert bottle.curl(version, "https://xn--bcher-kva.example.com/")[0] == 200
    assert bottle.curl("http://xn--bcher-kva.example.com/")[0] == 200
    assert {dict(r["headers"])["host"] for r in internet.since(mark)} == {"xn--bcher-kva.example.com"}
    log = world.docker("logs", f"claude-bottle-egress-{bottle.name}")
    assert '"host": "xn--bcher-kva.example.com"' in log


def test_tokens_are_readable_in_egress_only(bottle: world.BottleUnderTest) -> None:
    for token in (CLAUDE, KEY):
        assert token not in bottle.agent("env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null", user="0")
        search = f"grep -rl --exclude-dir=proc --exclude-dir=sys -e '{token}' / 2>/dev/null | head"
        assert "/" not in bottle.agent(search, user="0", timeout=120)
        pipelock = f"claude-bottle-pipelock-{bottle.name}"
        assert world.docker("exec", "-u", "0", pipelock, "sh", "-c", search, check=False).strip() == ""
        egress = f"claude-bottle-egress-{bottle.name}"
        assert token in world.docker("exec", egress, "cat", "/etc/claude-bottle/tokens.json")
        for role in ("agent", "egress", "pipelock"):
            assert token not in world.docker("inspect", f"claude-bottle-{role}-{bottle.name}")
            assert token not in world.docker("logs", f"claude-bottle-{role}-{bottle.name}")
        kept = [path.read_text(errors="replace") for path in bottle.folder.rglob("*") if path.is_file()]
        assert len(kept) > 3
        assert not any(token in text for text in kept)
        assert any("agent_ca_sha256" in text for text in kept)
        assert not any("PRIVATE KEY" in text for text in kept)
        assert not any(token in line for line in bottle.log)


def test_the_owners_credential_replaces_a_placeholder_and_nothing_else(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    mark = internet.mark()
    sent = [
        "-H",
        "X-Echo-Key: placeholder",
        "-H",
        "Cookie: a=mine",
    ]
    status, body = bottle.curl(*sent, "https://keyed.example.com/whoami")
    assert status == 200
    seen = dict(internet.since(mark)[-1]["headers"])
    assert seen["x-echo-key"] == KEY
    assert "cookie" not in seen
    # The upstream echoes its headers: the agent sees a mask of the same length.
    assert KEY not in body
    assert "*" * len(KEY) in body
    for header in ("X-Echo-Key: mine", "Authorization: Bearer mine", "X-Api-Key: mine"):
        status, body = bottle.curl("-H", header, "https://keyed.example.com/whoami")
        assert (status, json.loads(body)["reason"]) == (403, "other_credential")
    stray = "Authorization: Bearer placeholder-CLAUDE_CODE_OAUTH_TOKEN-for-egress"
    status, body = bottle.curl("-H", stray, "https://echo.example.com/")
    assert (status, json.loads(body)["reason"]) == (403, "misplaced_placeholder")


def test_what_curl_signs_with_placeholders_is_signed_with_the_owners_keys(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    """The signature that arrives is that of AWS's own library for the request that arrives."""
    mark = internet.mark()
    sign = '--aws-sigv4 aws:amz:eu-west-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"'
    stdout = bottle.agent(
        f"curl -sS {sign} -T /etc/hostname 'https://s3.example.com/bucket/a%20b?versionId=1&partNumber=2'"
    )
    assert internet.since(mark), stdout
    seen = dict(internet.since(mark)[-1]["headers"])
    identity, _, secret = AWS_KEYS.partition(":")
    assert secret not in stdout
    signed = re.search(r"SignedHeaders=([^,]+),", seen["authorization"])
    assert signed is not None
    url = "https://s3.example.com/bucket/a%20b?versionId=1&partNumber=2"
    asked = AWSRequest("PUT", url, headers={name: seen[name] for name in signed[1].split(";")})
    asked.context["timestamp"] = seen["x-amz-date"]
    auth = S3SigV4Auth(Credentials(identity, secret), "s3", "eu-west-1")
    signature = auth.signature(auth.string_to_sign(asked, auth.canonical_request(asked)), asked)
    assert seen["authorization"].endswith(f"Signature={signature}")
    for other in ("eu-central-1:s3", "eu-west-1:iam"):
        body = bottle.agent(f"curl -sS {sign.replace('eu-west-1:s3', other)} https://s3.example.com/bucket/x")
        assert json.loads(body)["reason"] == "cannot_sign"


@pytest.mark.parametrize("path", ["/gzip", "/sse/open"])
def test_a_token_that_comes_back_is_masked_in_compressed_bodies_and_streams(
    bottle: world.BottleUnderTest, path: str
) -> None:
    bottle.curl("https://echo.example.com/open/open")
    for extra in ([], ["--compressed"]):
        status, body = bottle.curl("-i", *extra, f"https://keyed.example.com{path}")
        assert status == 200
        assert KEY not in body
        assert base64.b64encode(KEY.encode()).decode() not in body
        assert "*" * len(KEY) in body


def test_a_token_of_the_bottle_does_not_leave_in_a_request(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    mark = internet.mark()
    tries = [
        ["-d", f"x={KEY}", "https://echo.example.com/"],
        ["-H", f"X-Note: {KEY}", "https://echo.example.com/"],
        [f"https://echo.example.com/?q={base64.b64encode(KEY.encode()).decode().rstrip('=')}"],
    ]
    for argv in tries:
        status, body = bottle.curl(*argv)
        assert (status, refusal(body)) == (403, ("egress", "token_in_request"))
    assert internet.since(mark) == []


@pytest.mark.parametrize(
    ("argv", "by", "reason"),
    [
        (["https://undeclared.example.com/"], "egress", "host_not_declared"),
        (["http://undeclared.example.com/"], "egress", "host_not_declared"),
        (["https://plain.example.com/other"], "egress", "path_not_declared"),
        (["--path-as-is", "https://plain.example.com/allowed/../other"], "egress", "ambiguous_path"),
        (["-X", "POST", "https://plain.example.com/allowed"], "egress", "method_not_declared"),
        (["http://keyed.example.com/"], "egress", "tls_required"),
        (["-H", "Host: keyed.example.com", "https://echo.example.com/"], "egress", "host_mismatch"),
        (["https://wild.example.com/"], "egress", "host_not_declared"),
        ([*JSON, "-d", f'{{"a": "{LEAK}"}}', ECHO], "pipelock", "dlp_match"),
        ([f"https://echo.example.com/?q={LEAK}"], "pipelock", "dlp_match"),
        (["-H", f"X-Note: {LEAK}", "https://echo.example.com/"], "pipelock", "dlp_match"),
        (["-H", f"Authorization: Bearer {LEAK}", "https://echo.example.com/"], "pipelock", "dlp_match"),
        (["-d", base64.b64encode(f"note {LEAK}".encode()).decode(), ECHO], "pipelock", "dlp_match"),
        (["-H", "Content-Encoding: snappy", "-d", "x", "https://echo.example.com/"], "pipelock", "unreadable_encoding"),
    ],
)  # fmt: skip
def test_what_is_not_declared_or_holds_a_secret_is_refused_and_arrives_nowhere(
    bottle: world.BottleUnderTest, internet: world.Internet, argv: list[str], by: str, reason: str
) -> None:
    mark = internet.mark()
    status, body = bottle.curl(*argv)
    assert (status, refusal(body)) == (403, (by, reason))
    assert internet.since(mark) == []


def test_what_is_declared_passes(bottle: world.BottleUnderTest) -> None:
    for argv in (
        ["https://plain.example.com/allowed/x"],
        ["http://echo.example.com/"],
        ["https://sub.wild.example.com/"],
        ["-d", "an ordinary body", "https://echo.example.com/"],
        ["-T", "/etc/ssl/certs/ca-certificates.crt", "https://echo.example.com/upload"],
    ):
        assert bottle.curl(*argv)[0] == 200


def test_git_push_is_refused_with_words_and_fetch_is_not(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    mark = internet.mark()
    out = bottle.agent(
        "cd $(mktemp -d) && git init -q && git -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m x"
        " && git push https://git.example.com/a/b.git HEAD:main"
    )
    assert "403" in out or "git-gate" in out
    assert not [r for r in internet.since(mark) if "git-receive-pack" in r["path"]]
    status, body = bottle.curl("https://git.example.com/a/b.git/info/refs?service=git-receive-pack")
    assert status == 403
    assert "git://git-gate/" in body
    bottle.agent("git ls-remote https://git.example.com/a/b.git")
    assert [r for r in internet.since(mark) if "git-upload-pack" in r["path"]]


def test_events_arrive_one_by_one_and_a_route_edit_cuts_no_stream(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    agent, egress, pipelock = (bottle.container_id(role) for role in ("agent", "egress", "pipelock"))
    name = secrets.token_hex(4)
    argv = [
        "docker",
        "exec",
        f"claude-bottle-agent-{bottle.name}",
        "curl",
        "-sN",
        f"https://echo.example.com/sse/{name}",
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as stream:
        assert stream.stdout is not None
        # The server sends the second event only once it is told to: the first came through on its own.
        assert stream.stdout.readline() == b"event: first\n"
        assert bottle.curl("https://new.example.com/")[0] == 403
        edited = manifest(internet)
        edited["egress"]["routes"].append({"host": "new.example.com"})
        bottle.write(edited)
        bottle.up()
        assert bottle.curl(f"https://new.example.com/open/{name}")[0] == 200
        rest = stream.stdout.read()
        assert b"event: second" in rest
        assert b'"opened": true' in rest
    assert stream.returncode == 0
    assert (agent, egress, pipelock) == tuple(bottle.container_id(role) for role in ("agent", "egress", "pipelock"))
    bottle.write(manifest(internet))
    bottle.up()
    assert bottle.curl("https://new.example.com/")[0] == 403


def test_what_is_open_ends_with_its_route_and_nothing_else_does(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    edited = manifest(internet)
    edited["egress"]["routes"].append({"host": "new.example.com"})
    bottle.write(edited)
    bottle.up()
    run, agent = secrets.token_hex(4), f"claude-bottle-agent-{bottle.name}"
    curl = ["docker", "exec", agent, "curl", "-sN", "-m", "300"]
    slow = f"(for i in $(seq 600); do echo {run} $i; sleep 0.5; done) | curl -sf -m 300 -T - https://new.example.com/up"
    mark = internet.mark()
    with (
        subprocess.Popen([*curl, f"https://new.example.com/sse/{run}a"], stdout=subprocess.PIPE) as taken_away,
        subprocess.Popen([*curl, f"https://echo.example.com/sse/{run}b"], stdout=subprocess.PIPE) as kept,
        subprocess.Popen(["docker", "exec", agent, "bash", "-c", slow], stdout=subprocess.PIPE) as upload,
    ):
        for stream in (taken_away, kept):
            assert stream.stdout is not None
            assert stream.stdout.readline() == b"event: first\n"
        bottle.write(manifest(internet))
        bottle.up()
        assert taken_away.wait(60) != 0
        assert upload.wait(60) != 0
        assert kept.poll() is None
        assert bottle.curl(f"https://echo.example.com/open/{run}b")[0] == 200
        assert kept.stdout is not None
        assert b"event: second" in kept.stdout.read()
    # Both proxies are given the new policy at once. Whoever has it first ends the two, and says so.
    ended = [d for part in ("egress", "pipelock") for d in bottle.decisions(part) if d.get("ended")]
    assert {d["host"] for d in ended} == {"new.example.com"}
    assert {d["reason"] for d in ended} <= {"host_not_declared", "domain_not_allowed"}
    assert {d["path"] for d in ended} == {f"/sse/{run}a", "/up"}
    assert not [r for r in internet.since(mark) if r["path"] == "/up" and r["whole"]]


def test_a_second_up_changes_nothing(bottle: world.BottleUnderTest) -> None:
    bottle.up(expect_no_changes=True)


def test_large_bodies_stream_and_a_secret_in_one_does_not_get_through(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    size = 30 << 20
    body = hashlib.shake_256(b"noise").digest(size).hex()[:size].replace("0", "\n").encode()
    world.docker("exec", "-i", f"claude-bottle-agent-{bottle.name}", "sh", "-c", "cat > /tmp/clean", stdin=body)
    spoilt = body[: size // 2] + f"\n{LEAK}\n".encode() + body[size // 2 :]
    world.docker("exec", "-i", f"claude-bottle-agent-{bottle.name}", "sh", "-c", "cat > /tmp/spoilt", stdin=spoilt)
    mark = internet.mark()
    assert bottle.curl("-T", "/tmp/clean", "https://echo.example.com/clean")[0] == 200
    arrived = internet.since(mark)[-1]
    assert (arrived["sha256"], arrived["whole"]) == (hashlib.sha256(body).hexdigest(), True)
    for form in (["-T", "/tmp/spoilt"], ["-H", "Transfer-Encoding: chunked", "-T", "/tmp/spoilt"]):
        mark = internet.mark()
        assert bottle.curl(*form, "https://echo.example.com/spoilt")[0] != 200
        assert not any(r["whole"] or LEAK in r["end"] for r in internet.since(mark))
    assert [d for d in bottle.decisions("pipelock") if d.get("streamed") and d["reason"] == "dlp_match"]
    assert bottle.curl("-o", "/tmp/big", f"https://echo.example.com/big/{40 << 20}")[0] == 200
    assert bottle.agent("stat -c %s /tmp/big; rm /tmp/big /tmp/clean /tmp/spoilt").strip() == str(40 << 20)


def test_there_is_no_way_round_the_proxy(bottle: world.BottleUnderTest, internet: world.Internet) -> None:
    mark = internet.mark()
    gateways = world.docker(
        "network", "inspect", "bridge", "--format", "{{range .IPAM.Config}}{{.Gateway}}{{end}}"
    ).strip()
    own = json.loads(world.docker("inspect", f"claude-bottle-agent-{bottle.name}"))[0]["NetworkSettings"]["Networks"]
    assert len(own) == 1
    network = next(iter(own.values()))
    neighbour = network["IPAddress"].rpartition(".")[0] + ".1"
    with world.host_listener() as port:
        # The listener answers on every address of the host, so only the missing way to it can explain a failure.
        for address, door in ((internet.address, 443), (gateways, port), (neighbour, port), ("169.254.169.254", 80)):
            out = bottle.agent(f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{door}' && echo CONNECTED", timeout=30)
            assert "CONNECTED" not in out, address
    for name in ("echo.example.com", "pipelock", f"pipelock-{bottle.name}"):
        assert bottle.agent(f"timeout 5 getent hosts {name} || echo NONE").strip() == "NONE"
    assert bottle.agent("timeout 5 getent hosts egress || echo NONE").strip() != "NONE"
    assert internet.since(mark) == []


def test_names_that_lead_inside_are_refused(bottle: world.BottleUnderTest, sidecar_image: str) -> None:
    listing = ["network", "ls", "-q", "--filter", f"label=claude-bottle.stack={bottle.name}"]
    chain = world.docker(*listing, "--filter", "label=claude-bottle.role=chain-network").strip()
    name = f"claude-bottle-test-inside-{secrets.token_hex(4)}"
    alias = ["--network", chain, "--network-alias", "inside.wild.example.com"]
    argv = ["run", "-d", "--name", name, "--label", f"{world.LABEL}=inside", *alias, "--entrypoint", "sleep"]
    try:
        world.docker(*argv, sidecar_image, "120")
        status, body = bottle.curl("https://inside.wild.example.com/")
        assert (status, refusal(body)) == (403, ("pipelock", "ssrf_private_ip"))
    finally:
        world.docker("rm", "-f", name, check=False)


def test_a_bad_route_table_never_replaces_a_good_one(bottle: world.BottleUnderTest) -> None:
    egress = f"claude-bottle-egress-{bottle.name}"
    put = ["docker", "exec", "-i", "-u", "0", egress, "/opt/proxy/bin/python", "/app/put.py", "routes"]
    done = subprocess.run(put, input=b'{"version": 1, "routes": [{"host": "*"}]}', capture_output=True, check=False)
    assert done.returncode == 1
    assert b"refused" in done.stderr
    # Also when somebody writes the file past put.py: the proxy keeps the last good table, and says so.
    break_it = "cp /etc/claude-bottle/routes.json /tmp/good; echo '{' > /etc/claude-bottle/routes.json"
    world.docker("exec", "-u", "0", egress, "sh", "-c", break_it)

    def broken() -> bool:
        return "not JSON" in bottle.curl("http://_egress.local/health")[1]

    try:
        world.eventually(broken, "the proxy says that the file is broken")
        assert bottle.curl("https://echo.example.com/")[0] == 200
    finally:
        world.docker("exec", "-u", "0", egress, "sh", "-c", "cp /tmp/good /etc/claude-bottle/routes.json")
    world.eventually(lambda: not broken(), "the proxy has the file again")
    assert bottle.curl("https://undeclared.example.com/")[0] == 403


def test_the_agent_learns_its_routes_and_no_slot(bottle: world.BottleUnderTest) -> None:
    status, body = bottle.curl("http://_egress.local/routes")
    assert status == 200
    assert [r["host"] for r in json.loads(body)["routes"]][:2] == ["api.anthropic.com", "keyed.example.com"]
    assert "EGRESS_TOKEN" not in body


def test_outputs_and_the_agents_ca(bottle: world.BottleUnderTest) -> None:
    outputs = {key: output.value for key, output in bottle.stack.outputs().items()}
    expected = {"plan", "attach", "agent_container", "egress_container", "pipelock_container", "agent_ca_sha256"}
    assert set(outputs) == expected
    assert outputs["attach"] == f"docker exec -it -u node {outputs['agent_container']} claude"
    assert [route["host"] for route in outputs["plan"]["egress"]["routes"]][-1] == "*.wild.example.com"
    installed = "/usr/local/share/ca-certificates/claude-bottle-mitm-ca.crt"
    seen = bottle.agent(f"openssl x509 -noout -fingerprint -sha256 -in {installed}")
    assert outputs["agent_ca_sha256"] in seen
    assert bottle.agent("echo $GREETING; id -un; grep CapEff /proc/self/status").split() == [
        "hello", "node", "CapEff:", "0000000000000000",
    ]  # fmt: skip


def test_a_token_rotation_applies_without_a_new_agent(bottle: world.BottleUnderTest, internet: world.Internet) -> None:
    agent, rotated = bottle.container_id("agent"), "sk-ant-oat01-" + secrets.token_urlsafe(40)
    bottle.stack.set_config("CLAUDE_CODE_OAUTH_TOKEN", world.auto.ConfigValue(rotated, secret=True))
    bottle.up()
    assert bottle.container_id("agent") == agent
    mark = internet.mark()
    assert "pong" in bottle.agent("claude -p ping", timeout=120)
    seen = {dict(r["headers"]).get("authorization") for r in internet.since(mark) if "/v1/messages" in r["path"]}
    assert seen == {f"Bearer {rotated}"}


def test_a_rotated_token_is_forgotten_on_demand(bottle: world.BottleUnderTest) -> None:
    """Pulumi's passphrase secrets: PBKDF2 of SHA-256 with 1,000,000 rounds, AES-256-GCM (sdk/go/common/resource/config)."""
    config = yaml.safe_load(bottle.file.read_text())
    key = hashlib.pbkdf2_hmac(
        "sha256", b"test", base64.b64decode(config["encryptionsalt"].split(":")[1]), 1_000_000, 32
    )

    def kept() -> str:
        plaintexts = []
        files = [file for file in (bottle.folder / "state").rglob("*") if file.is_file()]
        for file in files:
            for nonce, text in re.findall(r"v1:([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)", file.read_text()):
                with contextlib.suppress(InvalidTag, ValueError):
                    plaintexts.append(
                        AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(text), None).decode()
                    )
        return "\n".join(plaintexts)

    assert CLAUDE in kept(), "the search would find it"
    done = bottle.bottle("forget", bottle.name)
    assert done.returncode == 0, done.stderr
    assert CLAUDE not in kept()
    assert kept(), "the current state is there"
    bottle.up(expect_no_changes=True)


def test_a_part_that_was_killed_or_removed_comes_back(bottle: world.BottleUnderTest) -> None:
    agent = bottle.container_id("agent")
    world.docker("rm", "-f", f"claude-bottle-egress-{bottle.name}")
    assert bottle.curl("https://echo.example.com/")[0] == 0
    bottle.up()
    assert bottle.curl("https://echo.example.com/")[0] == 200
    assert bottle.container_id("agent") == agent


def test_a_fork_bomb_has_an_end_and_the_sidecars_go_on(bottle: world.BottleUnderTest) -> None:
    """proc(5), pid_max: 32,768 processes is a machine's usual limit for everybody.

    Tried with a tenth of the agent's limit, for a bottle of this size has no memory for all of them.
    """
    egress, agent = (f"claude-bottle-{role}-{bottle.name}" for role in ("egress", "agent"))
    limits = [world.docker("inspect", "-f", "{{.HostConfig.PidsLimit}}", part).strip() for part in (egress, agent)]
    assert limits == ["1024", "4096"]
    assert bottle.agent("cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null").split() == ["4096"]
    world.docker("update", "--pids-limit", "400", agent)
    try:
        bomb = "while [ $n -lt 1000 ]; do (read x < f) & n=$((n+1)); echo $n > n; done"
        script = f"cd $(mktemp -d); mkfifo f; sh -c 'trap \": > f\" EXIT; n=0; {bomb}'; sleep 1; cat n"
        said = bottle.agent(script, timeout=80)
        assert "Cannot fork" in said
        assert 300 < int(said.split()[-1]) < 400
        assert world.docker("exec", egress, "/app/healthy.sh", "8080", "_egress.local") == ""
    finally:
        world.docker("update", "--pids-limit", "4096", agent)
    assert bottle.curl("https://echo.example.com/")[0] == 200


def test_open_files_have_an_end_that_no_one_inside_moves(bottle: world.BottleUnderTest) -> None:
    """getrlimit(2), RLIMIT_NOFILE: a hard limit is raised by CAP_SYS_RESOURCE alone. proc(5), file-max: one for all."""
    for role, user in (("agent", "node"), ("agent", "0"), ("egress", "65534"), ("pipelock", "0")):
        container = f"claude-bottle-{role}-{bottle.name}"
        script = "ulimit -Hn; ulimit -n 16385 2>/dev/null && echo raised; exec 3<&0"
        assert world.docker("exec", "-u", user, container, "sh", "-c", script, check=False).split() == ["16384"], role


def test_what_a_sidecar_can_take_of_the_disk_has_a_size(bottle: world.BottleUnderTest) -> None:
    """hier(7), /var/tmp, /run/lock, /dev/shm: folders that everybody may write to on an ordinary system."""
    own = ("/proc/*", "/run/claude-bottle*", "/run/git-gate*", "/var/lib/claude-bottle/*")
    others = " ".join(f"-not -path '{path}'" for path in own)
    look = f"find / -xdev -type d -writable {others} 2>/dev/null"
    label = f"label=claude-bottle.stack={bottle.name}"
    parts = world.docker("ps", "--filter", label, "--format", "{{.Names}}").split()
    assert len(parts) >= 3
    for part in [part for part in parts if "-agent-" not in part]:
        said = world.docker("exec", part, "sh", "-c", f"for d in $({look}); do df -P $d | tail -1; done").splitlines()
        on_root = {line.split()[5] for line in said if line.split()[0] == "overlay"}
        assert not on_root, (part, said)
        # Nor is there a file that it could add to, or make one: an owner changes the mode (chmod(2)).
        look_at = "find / -xdev -type f \\( -writable -o -user nobody \\)"
        mine = world.docker("exec", part, "sh", "-c", f"{look_at} {others} 2>/dev/null || true").split()
        assert mine == [], (part, mine)
        filled = world.docker(
            "exec", part, "sh", "-c", "head -c 20m /dev/zero > /var/tmp/x; stat -c %s /var/tmp/x; rm /var/tmp/x"
        )
        assert int(filled) == 16 << 20


def test_a_second_checkout_takes_the_bottle_over_only_when_told(bottle: world.BottleUnderTest, tmp_path: Path) -> None:
    second = tmp_path / "checkout"
    shutil.copytree(bottle.folder, second, symlinks=True, ignore=shutil.ignore_patterns("state"))
    argv = ["pulumi", "preview", "--non-interactive", "--stack", bottle.name]
    for taken in ("", "1"):
        env = {**os.environ, **bottle.env, "CLAUDE_BOTTLE_TAKE_OVER": taken}
        done = subprocess.run(argv, cwd=second, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode == 0) == bool(taken), done.stdout + done.stderr
        assert taken or f"{bottle.folder} on " in done.stdout + done.stderr
    bottle.up(expect_no_changes=True)


def test_no_sidecar_leaves_a_core_file(bottle: world.BottleUnderTest) -> None:
    """core(5): a process whose limit is 0 leaves none."""
    label = f"label=claude-bottle.stack={bottle.name}"
    for part in world.docker("ps", "--filter", label, "--format", "{{.Names}}").split():
        if "-agent-" in part:
            continue
        look = "for p in /proc/[0-9]*; do grep -q '[p]ython' $p/cmdline && grep 'core file' $p/limits; done; true"
        served = world.docker("exec", part, "sh", "-c", look)
        assert served.strip()
        assert all(line.split()[4:6] == ["0", "0"] for line in served.splitlines()), served


def test_destroy_leaves_nothing(bottle: world.BottleUnderTest) -> None:
    """Last in this file: the bottle is gone after it."""
    assert world.leftovers(bottle.name)
    bottle.stack.destroy()
    assert world.leftovers(bottle.name) == []
