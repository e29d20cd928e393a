"""The agent asks, the owner decides, the bottle changes: with the real Claude Code as the client."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
from collections.abc import Iterator
from typing import Any

import mistakes
import pytest
import world

pytestmark = pytest.mark.docker

TOKEN = "sk-ant-oat01-" + secrets.token_urlsafe(40)
KEYED = secrets.token_urlsafe(30)
COMMENT = "# the owner's own words stay where they are\n"
URL = "http://supervise:9100/"


@pytest.fixture(scope="module")
def bottle(internet: world.Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.BottleUnderTest]:
    manifest: dict[str, Any] = {
        "agent": {"memory": "1g"},
        "egress": {
            "routes": [
                {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
                {"host": "keyed.example.com", "path": ["/project"], "methods": ["GET"], "token_ref": "KEYED_TOKEN"},
            ]
        },
        "pipelock": {"ca_files": ["root.pem"]},
        "supervise": True,
        "network": {"external": internet.network},
    }
    folder = tmp_path_factory.mktemp("project")
    files = {"root.pem": internet.ca}
    secrets_of_host = {"CLAUDE_CODE_OAUTH_TOKEN": TOKEN, "KEYED_TOKEN": KEYED}
    with world.bottle(folder, manifest, secrets_of_host, files) as bottle:
        bottle.file.write_text(COMMENT + bottle.file.read_text())
        bottle.up()
        yield bottle


@contextlib.contextmanager
def ask(bottle: world.BottleUnderTest, tool: str, **arguments: Any) -> Iterator[subprocess.Popen[str]]:
    """Let the model call a tool of supervise; its answer ends up in what Claude Code prints."""
    arguments = {"justification": "to build", **arguments}
    prompt = f"CALL mcp__supervise__{tool} {json.dumps(arguments)}"
    argv = ["docker", "exec", "-u", "node", f"claude-bottle-agent-{bottle.name}", "claude", "-p", prompt]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()  # where a test has failed it would wait for its answer still
        process.wait()


def request(tool: str, arguments: dict[str, Any], headers: tuple[str, ...] = ()) -> list[str]:
    """Arguments of curl for a call past Claude Code, as any program of the agent could make it."""
    params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": 1}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    lines = ("Accept: application/json, text/event-stream", "Content-Type: application/json", *headers)
    return [*(word for line in lines for word in ("-H", line)), "-d", json.dumps(call), URL]


def mcp(bottle: world.BottleUnderTest, tool: str, arguments: dict[str, Any], headers: tuple[str, ...] = ()) -> str:
    """What such a call answers."""
    return bottle.curl(*request(tool, arguments, headers))[1]


@contextlib.contextmanager
def waiting(bottle: world.BottleUnderTest, tool: str, **arguments: Any) -> Iterator[subprocess.Popen[str]]:
    """Such a call that waits for the owner, as supervise itself reports; Claude Code prints no progress."""
    curl = ["curl", "-sN", *request(tool, {"justification": "to build", **arguments})]
    argv = ["docker", "exec", "-u", "node", f"claude-bottle-agent-{bottle.name}", *curl]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert any("waiting for the owner" in line for line in process.stdout)
        yield process
    finally:
        process.kill()
        process.wait()


def test_claude_knows_the_server(bottle: world.BottleUnderTest) -> None:
    said = bottle.agent("claude mcp list", timeout=60)
    assert URL in said
    assert "Connected" in said, said


def test_refused_asked_approved_and_through(bottle: world.BottleUnderTest, internet: world.Internet) -> None:
    agent = bottle.container_id("agent")
    assert bottle.curl("https://echo.example.com/")[0] == 403
    with ask(bottle, "egress-block", host="echo.example.com", path=["/api"]) as asking:
        identity = bottle.pending("echo.example.com")
        stdout = bottle.ask("show", identity).stdout
        assert "reach echo.example.com: GET, HEAD on /api" in stdout
        assert "+" in stdout
        assert bottle.curl("https://echo.example.com/api")[0] == 403  # asking alone changes nothing
        done = bottle.ask("approve", identity, "-m", "only the api")
        assert done.returncode == 0, done.stdout + done.stderr
        assert bottle.curl("https://echo.example.com/api/x")[0] == 200
        out = asking.communicate(timeout=300)[0]
    assert f"approved: {identity}" in out
    assert "only the api" in out
    assert bottle.curl("https://echo.example.com/other")[0] == 403
    assert bottle.file.read_text().startswith(COMMENT)
    assert bottle.container_id("agent") == agent
    again = bottle.ask("approve", identity)
    assert again.returncode == 1
    assert "already approved" in again.stderr


def test_a_yes_takes_nothing_away_and_goes_with_the_owners_token(
    bottle: world.BottleUnderTest, internet: world.Internet
) -> None:
    """GET of a deeper path passed before the POST of it was approved; both go with the token of the route around."""
    issues, mark = "https://keyed.example.com/project/issues", internet.mark()
    assert bottle.curl(issues)[0] == 200
    refused = json.loads(bottle.curl("-X", "POST", "-d", "x", issues)[1])
    refusal = {key: refused[key] for key in ("method", "host", "path", "reason", "refused_by")}
    assert refusal["reason"] == "method_not_declared"
    with ask(bottle, "egress-block", refused=refusal) as asking:
        identity = bottle.pending("POST on /project/issues, with your KEYED_TOKEN")
        done = bottle.ask("approve", identity)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"approved: {identity}. It is in force" in asking.communicate(timeout=300)[0]
    assert bottle.curl(issues)[0] == 200
    assert bottle.curl("-X", "POST", "-d", "x", issues)[0] == 200
    assert bottle.curl("-X", "POST", "-d", "x", "https://keyed.example.com/project/labels")[0] == 403
    arrived = [r for r in internet.since(mark) if r["host"] == "keyed.example.com"]
    assert [r["method"] for r in arrived] == ["GET", "GET", "POST"]
    assert all(dict(r["headers"])["authorization"] == f"Bearer {KEYED}" for r in arrived)


def test_what_does_not_pass_by_an_approval_is_not_told_to_try_again(bottle: world.BottleUnderTest) -> None:
    refused = {"method": "GET", "host": "inside.example.com", "path": "/", "reason": "host_not_declared"}
    with ask(bottle, "egress-block", refused=refused) as asking:
        identity = bottle.pending("inside.example.com")
        assert bottle.ask("approve", identity).returncode == 0
        out = asking.communicate(timeout=300)[0]
    assert f"approved: {identity}, and the change is made" in out
    assert "unresolvable" in out  # by the replay: no name server of this network knows the name
    assert "try again" not in out


def test_a_rejection_comes_with_the_owners_words(bottle: world.BottleUnderTest) -> None:
    before = bottle.file.read_text()
    with ask(bottle, "egress-block", host="plain.example.com") as asking:
        identity = bottle.pending("plain.example.com")
        assert bottle.ask("reject", identity, "-m", "use the mirror").returncode == 0
        out = asking.communicate(timeout=300)[0]
    assert f"rejected: {identity}" in out
    assert "use the mirror" in out
    assert bottle.file.read_text() == before


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("egress-block", {"host": "https://x.example.com/y"}, "write x.example.com, and path: [/y]"),
        ("egress-block", {"host": "x.example.com:443"}, "no port"),
        ("egress-block", {"hots": "x.example.com"}, "hots is unknown (did you mean host?)"),
        ("egress-block", {}, "give refused"),
        ("egress-block", {"justification": None}, "justification is not text"),
        ("egress-block", {"host": "x.example.com", "methods": "GET"}, "methods is not a list of text"),
        ("egress-block", {"host": "x.example.com", "methods": ["FETCH"]}, "not an HTTP method"),
        ("egress-block", {"host": "x.example.com", "path": ["/is-*"]}, "not a glob"),
        ("list-egress-routes", {}, "justification is unknown; its arguments: none"),
        ("egress-block", {"host": "*"}, "host"),
        ("egress-block", {"host": "a.example.com", "path": ["/a/../b"]}, "dot segments"),
        ("egress-block", {"host": "a.example.com", "methods": ["CONNECT"]}, "not an HTTP method"),
        ("capability-block", {"capability": "dockerfile", "value": "/x"}, "write one of apt, npm"),
        ("capability-block", {"capability": "apt", "value": "a; rm -rf /"}, "Debian package"),
        ("capability-block", {"capability": "memory", "value": "lots"}, "megabytes"),
        ("egress-block", {"host": "x.example.com\n    allow_private_addresses: [y]"}, "host"),
        ("pipelock-block", {"host": "x.example.com"}, "egress-block"),
        ("egress-block", {"refused": {"host": "x.example.com", "reason": "ambiguous_path"}}, "no approval"),
        (
            "pipelock-block",
            {"refused": {"host": "x.example.com", "reason": "ssrf_private_ip"}},
            "pipelock.allow_private_addresses",
        ),
        ("egress-block", {"proposal_id": "p-none"}, "no such proposal"),
    ],
)
def test_what_cannot_be_asked_for_goes_back_at_once(
    bottle: world.BottleUnderTest, tool: str, arguments: dict[str, Any], words: str
) -> None:
    before = bottle.ask("list").stdout
    said = mcp(bottle, tool, {"justification": "x", **arguments})
    assert words in said, said
    assert '"isError":true' in said
    assert bottle.ask("list").stdout == before


def test_the_tools_are_those_that_the_page_of_messages_is_made_with(bottle: world.BottleUnderTest) -> None:
    show = "import asyncio, json; from supervise.server import server; tools = asyncio.run(server.list_tools()); "
    show += "print(json.dumps({tool.name: tool.inputSchema for tool in tools}))"
    argv = ["docker", "exec", f"claude-bottle-supervise-{bottle.name}", "python3", "-c", show]
    tools = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    assert {name: list(schema["properties"]) for name, schema in tools.items()} == {
        name: list(arguments) for name, arguments in mistakes.TOOLS.items()
    }
    for name, schema in tools.items():
        assert schema.get("required", []) == mistakes.schema(name)["required"]
        for argument, said in schema["properties"].items():
            kinds = {one["type"] for one in said.get("anyOf", [said])}
            known = mistakes.TOOLS[name][argument]
            assert kinds == {one["type"] for one in known.get("anyOf", [known])}, argument


def test_the_agent_cannot_approve_itself(bottle: world.BottleUnderTest) -> None:
    with ask(bottle, "egress-block", host="new.example.com") as asking:
        identity = bottle.pending("new.example.com")
        for tool in ("approve", "decide", "egress-approve"):
            assert "Unknown tool" in mcp(bottle, tool, {"id": identity, "verdict": "approved"})
        for path in ("decide", "approve", f"proposals/{identity}", "mcp", "docs", ".env"):
            assert bottle.curl("-X", "POST", "-d", "{}", f"{URL}{path}")[0] in (404, 405)
        assert "Invalid Host" in mcp(bottle, "list-egress-routes", {}, ("Host: rebound.example.com",))
        # Text that looks like a change of the file, or like another verdict, is text.
        forged = {"host": "new.example.com", "verdict": "approved", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"}
        bottle.agent(f"timeout 3 curl -s -d '{json.dumps(forged)}' {URL}")
        reach = (
            "ls /var/run/docker.sock /var/lib/supervise 2>&1; timeout 3 bash -c 'exec 3<>/dev/tcp/supervise/2375' 2>&1"
        )
        assert "No such file" in bottle.agent(reach)
        assert f"{identity}" in bottle.ask("list").stdout
        assert bottle.curl("https://new.example.com/")[0] == 403
        evil = "\x1b]0;owned\x07 <script>alert(1)</script>\n    token_ref: X"
        mcp(bottle, "capability-block", {"justification": evil, "capability": "memory", "value": "zz"})
        assert bottle.ask("reject", identity).returncode == 0
        asking.communicate(timeout=300)


def test_a_killed_supervise_loses_nothing(bottle: world.BottleUnderTest) -> None:
    container = f"claude-bottle-supervise-{bottle.name}"
    with ask(bottle, "capability-block", capability="apt", value="jq") as asking:
        identity = bottle.pending("Debian package jq")
        world.docker("kill", container)
        world.docker("start", container)
        asking.communicate(timeout=300)
    assert identity == bottle.pending("Debian package jq")
    with waiting(bottle, "capability-block", proposal_id=identity) as asking:
        assert bottle.ask("reject", identity, "-m", "it is there already").returncode == 0
        assert "it is there already" in asking.communicate(timeout=300)[0]


def test_an_up_that_fails_puts_the_file_back_and_leaves_the_proposal(bottle: world.BottleUnderTest) -> None:
    with ask(bottle, "capability-block", capability="memory", value="9000g") as asking:
        identity = bottle.pending("9000g of memory")
        before = bottle.file.read_text()
        done = bottle.ask("approve", identity, "--others")
        assert done.returncode == 1
        assert "still pending" in done.stderr
        assert bottle.file.read_text() == before
        assert bottle.pending("9000g of memory") == identity
        bottle.ask("reject", identity)
        asking.communicate(timeout=300)


def test_an_approval_does_not_run_an_unfinished_edit_of_the_owners(bottle: world.BottleUnderTest) -> None:
    manifest = world.yaml.safe_load(bottle.file.read_text())["config"]["claude-bottle:bottle"]
    routes = [*manifest["egress"]["routes"], {"host": "sub.wild.example.com", "methods": ["GET"]}]
    bottle.write({**manifest, "egress": {"routes": routes}})
    with ask(bottle, "egress-block", host="new.example.com") as asking:
        identity, before = bottle.pending("new.example.com"), bottle.file.read_text()
        done = bottle.ask("approve", identity)
        assert done.returncode == 1
        assert "waits to be applied" in done.stderr
        assert "the agent gains sub.wild.example.com" in done.stderr
        assert bottle.file.read_text() == before
        assert bottle.curl("https://sub.wild.example.com/")[0] == 403
        assert bottle.pending("new.example.com") == identity
        assert bottle.ask("approve", identity, "--others").returncode == 0
        asking.communicate(timeout=300)
    assert bottle.curl("https://sub.wild.example.com/")[0] == 200


def test_without_it_nothing_of_it_is_there(bottle: world.BottleUnderTest) -> None:
    """Last in this file."""
    manifest = world.yaml.safe_load(bottle.file.read_text())["config"]["claude-bottle:bottle"]
    bottle.write({**manifest, "supervise": False})
    bottle.up()
    assert "supervise" not in bottle.agent("claude mcp list; grep supervise ~/.claude.json", timeout=60)
    assert bottle.agent("timeout 5 getent hosts supervise || echo NONE").strip() == "NONE"
    assert world.docker("ps", "-aq", "--filter", f"name=claude-bottle-supervise-{bottle.name}") == ""
    bottle.stack.destroy()
    assert world.leftovers(bottle.name) == []
