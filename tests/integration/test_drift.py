"""What somebody changes by hand in a sidecar is seen by `preview`, and mended by `up`."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import world

pytestmark = pytest.mark.docker

TOKEN = "sk-ant-oat01-" + secrets.token_urlsafe(40)
OPEN = "https://undeclared.example.com/"


@pytest.fixture(scope="module")
def bottle(internet: world.Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.BottleUnderTest]:
    folder = tmp_path_factory.mktemp("drift")
    manifest = {
        "agent": {"command": ["sleep", "86400"]},
        "supervise": True,
        "network": {"external": internet.network},
        "egress": {
            "routes": [
                {"host": "echo.example.com"},
                {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
            ]
        },
        "pipelock": {"ca_files": ["root.pem"]},
        "git": [{"name": "p", "upstream": "https://git.example.com/a/p.git", "token_ref": "GIT_TOKEN"}],
    }
    tokens = {"CLAUDE_CODE_OAUTH_TOKEN": TOKEN, "GIT_TOKEN": "glpat-" + secrets.token_hex(10)}
    with world.bottle(folder, manifest, tokens, {"root.pem": internet.ca}) as bottle:
        bottle.up()
        bottle.up(expect_no_changes=True)
        yield bottle


def preview(bottle: world.BottleUnderTest) -> tuple[dict[str, str], str]:
    """What would be done to which resource, and everything that was said."""
    done = bottle.run("pulumi", "preview", "--json", "--stack", bottle.name)
    assert done.returncode == 0, done.stderr[-2000:]
    assert TOKEN not in done.stdout
    output = json.loads(done.stdout)
    steps = {s["urn"].rpartition("::")[2].removeprefix(f"{bottle.name}-"): s["op"] for s in output["steps"]}
    return {name: op for name, op in steps.items() if op not in ("same", "refresh", "read")}, done.stdout


def inside(bottle: world.BottleUnderTest, role: str, *argv: str, stdin: str = "", user: str = "0") -> str:
    name = f"claude-bottle-{role}-{bottle.name}"
    return world.docker("exec", "-i", "-u", user, name, *argv, stdin=stdin.encode())


def put(bottle: world.BottleUnderTest, role: str, kind: str, policy: str) -> None:
    inside(bottle, role, "/opt/proxy/bin/python", "/app/put.py", kind, stdin=policy)


def replace(bottle: world.BottleUnderTest, role: str, path: str, content: str) -> None:
    """As an owner with root in the container would; the folder is root's, the file is not."""
    inside(bottle, role, "sh", "-c", f"cat > {path}.hand; chmod 444 {path}.hand; mv {path}.hand {path}", stdin=content)


def mended(bottle: world.BottleUnderTest, *words: str, **expected: str) -> None:
    """`preview` shows it, `up` says it, does it and writes it into the audit log; a second `up` has nothing to do."""
    steps, said = preview(bottle)
    for name, op in expected.items():
        assert steps.get(name.replace("_", "-")) == op, (name, steps)
    assert [word for word in words if word not in said] == []
    bottle.up()
    log = "".join(bottle.log)
    audit = (bottle.folder / "state/claude-bottle/audit" / f"{bottle.name}.jsonl").read_text()
    assert json.loads(audit.splitlines()[-1])["event"] == "drift"
    assert [word for word in words if word not in log or word not in audit] == []
    assert TOKEN not in log + audit
    bottle.up(expect_no_changes=True)


def routes(bottle: world.BottleUnderTest) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(inside(bottle, "egress", "cat", "/etc/claude-bottle/routes.json"))
    return document


@pytest.mark.parametrize("time", [1, 2])
def test_wider_policies_are_taken_back(bottle: world.BottleUnderTest, time: int) -> None:
    """Both, for a host must be known to egress and to pipelock; twice, for the same drift can come again."""
    wide = routes(bottle)
    wide["routes"].append({**wide["routes"][0], "host": "undeclared.example.com"})
    put(bottle, "egress", "routes", json.dumps(wide))
    rules = inside(bottle, "pipelock", "cat", "/etc/pipelock/pipelock.yaml")
    put(
        bottle,
        "pipelock",
        "policy",
        rules.replace("- echo.example.com", "- echo.example.com\n- undeclared.example.com"),
    )
    assert bottle.curl(OPEN)[0] == 200
    before = [bottle.container_id(role) for role in ("agent", "egress", "pipelock")]
    steps, said = preview(bottle)
    assert steps == {"egress-routes-put": "update", "pipelock-policy-put": "update"}
    assert "pipelock has another policy in force than this stack's" in said
    if time == 1:
        assert "corrected by pulumi up: egress has" in bottle.bottle("plan", bottle.name).stdout
    mended(bottle, "egress has other routes in force than this stack's", egress_routes_put="update")
    assert bottle.curl(OPEN)[0] == 403
    assert [bottle.container_id(role) for role in ("agent", "egress", "pipelock")] == before


def test_a_policy_that_is_only_on_the_disk_is_taken_back(bottle: world.BottleUnderTest) -> None:
    replace(bottle, "egress", "/etc/claude-bottle/routes.json", "{}")
    mended(bottle, "egress: /etc/claude-bottle/routes.json is not this stack's", egress_routes_put="update")
    assert routes(bottle)["routes"]


def test_changed_files_make_new_containers(bottle: world.BottleUnderTest) -> None:
    """Tokens, a CA, a remote, a certificate, a hook: one `up` mends all."""
    changed = [
        ("egress", "/etc/claude-bottle/tokens.json"),
        ("pipelock", "/etc/pipelock/ca.pem"),
        ("git-gate", "/etc/git-gate/remotes.json"),
        ("git-gate", "/app/hooks/update"),
        ("supervise", "/etc/supervise/ca.pem"),
    ]
    before = [inside(bottle, role, "cat", path, user="65534") for role, path in changed]
    for (role, path), content in zip(changed, before, strict=True):
        replace(bottle, role, path, content + "\n")
    words = [f"{role}: {'/app' if 'app' in path else path} was changed by hand" for role, path in changed]
    mended(bottle, *words, **{f"{role}-container": "replace" for role, _ in changed})
    assert [inside(bottle, role, "cat", path, user="65534") for role, path in changed] == before
    assert bottle.curl("https://echo.example.com/")[0] == 200


@pytest.mark.parametrize(("how", "refresh"), [("kill", True), ("kill", False), ("pause", False)])
def test_a_part_that_does_not_run_is_ready_when_up_is_done(
    bottle: world.BottleUnderTest, how: str, refresh: bool
) -> None:
    world.docker(how, f"claude-bottle-pipelock-{bottle.name}")
    up = ["pulumi", "up", "--yes", "--skip-preview", "--stack", bottle.name, *(["--refresh"] if refresh else [])]
    done = subprocess.run(up, cwd=bottle.folder, env={**world.os.environ, **bottle.env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert bottle.curl("https://echo.example.com/")[0] == 200
    assert "pipelock is stopped" in done.stdout + done.stderr
    bottle.up(expect_no_changes=True)
