"""A bottle in a company's network, from which nothing leads outside but a forward proxy that wants a login."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world
from forge import HOST, TOKEN, git_forge

pytestmark = pytest.mark.docker
LOGIN = "me:corp-login-1234"


@pytest.fixture
def company(internet: world.Internet, sidecar_image: str) -> Iterator[tuple[str, str]]:
    """The network, and the container of its forward proxy, which is on the fake internet too."""
    name = f"claude-bottle-test-company-{secrets.token_hex(4)}"
    label = ["--label", f"{world.LABEL}=company"]
    try:
        world.outside_network(name, *label)
        argv = [
            "create",
            "--name",
            name,
            *label,
            "--network",
            name,
            "--network-alias",
            "proxy.corp.example.com",
            "--user",
            "0",
        ]
        world.docker(
            *argv, "--entrypoint", "/opt/proxy/bin/python", sidecar_image, "-u", "/fake/forward_proxy.py", "3128"
        )
        source = Path(__file__).with_name("forward_proxy.py").read_bytes()
        world.docker("cp", "-", f"{name}:/", stdin=world.tar({"fake/forward_proxy.py": source}))
        world.docker("network", "connect", internet.network, name)
        world.docker("start", name)
        yield name, name
    finally:
        world.docker("rm", "-f", "-v", name, check=False)
        world.docker("network", "rm", name, check=False)


def manifest(network: str, **pipelock: Any) -> dict[str, Any]:
    routes = [{"host": "echo.example.com", "token_ref": "ECHO_TOKEN"}, {"host": "plain.example.com"}]
    proxy = {"upstream_proxy": "http://proxy.corp.example.com:3128", **pipelock}
    return {
        "agent": {"memory": "1g"},
        "egress": {"routes": [*routes, {"host": "*.wild.example.com"}]},
        "pipelock": {"ca_files": ["root.pem"], **proxy},
        "network": {"external": network},
    }


def test_everything_goes_by_the_forward_proxy(
    company: tuple[str, str], internet: world.Internet, tmp_path: Path
) -> None:
    network, proxy = company
    env = {"PROXY_LOGIN": LOGIN, "ECHO_TOKEN": "an-ordinary-token-value-1"}
    raw = manifest(network, upstream_proxy_ref="PROXY_LOGIN", passthrough=["plain.example.com"])
    with world.bottle(tmp_path / "p", raw, env, files={"root.pem": internet.ca}) as bottle:
        bottle.up()
        mark = internet.mark()
        assert bottle.curl("https://echo.example.com/read")[0] == 200
        assert bottle.curl("https://plain.example.com/spliced")[0] == 200
        assert [one["path"] for one in internet.since(mark)][:1] == ["/read"]
        asked = world.docker("logs", proxy)
        assert "CONNECT echo.example.com:443" in asked and "CONNECT plain.example.com:443" in asked
        # DLP and the allowlist are before it, and what is below a wildcard is not for the proxy to resolve.
        assert json.loads(bottle.curl("https://other.example.com/")[1])["reason"] == "host_not_declared"
        assert json.loads(bottle.curl("https://sub.wild.example.com/")[1])["reason"] == "unresolvable"
        leak = "ghp_" + secrets.token_hex(18)
        assert json.loads(bottle.curl("-d", f"token={leak}", "https://echo.example.com/")[1])["reason"] == "dlp_match"
        assert "wild.example.com" not in world.docker("logs", proxy)
        # The login is pipelock's alone, and in no state in clear.
        assert "corp-login" not in bottle.agent("env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")
        assert "corp-login" not in bottle.run("pulumi", "stack", "export", "--stack", bottle.name).stdout
        # Without it, the answer says what is missing.
        bottle.write(manifest(network))
        bottle.up()
        status, body = bottle.curl("https://echo.example.com/")
        assert status == 502, body
        assert "upstream_proxy_ref" in body


def test_git_gate_reaches_its_upstreams_by_the_forward_proxy(
    company: tuple[str, str], internet: world.Internet, git_host_image: str, tmp_path: Path
) -> None:
    network, proxy = company
    env = {"PROXY_LOGIN": LOGIN, "FORGE_TOKEN": TOKEN}
    with git_forge(internet, git_host_image, tmp_path) as forge:
        forge.repository("ssh")
        forge.repository("https")
        ssh = {"identity_file": str(forge.key), "known_hosts": forge.known_hosts}
        urls = {"ssh": f"git@{HOST}:/srv/acme/ssh.git", "https": f"https://{HOST}/acme/https.git"}
        raw = {
            "agent": {"memory": "1g"},
            "pipelock": {
                "ca_files": ["root.pem"],
                "upstream_proxy": "http://proxy.corp.example.com:3128",
                "upstream_proxy_ref": "PROXY_LOGIN",
            },
            "git": [
                {"name": "ssh", "upstream": urls["ssh"], **ssh},
                {"name": "late", "upstream": f"git@{HOST}:/srv/acme/late.git", **ssh},
                {"name": "https", "upstream": urls["https"], "token_ref": "FORGE_TOKEN"},
                {"name": "moved", "upstream": f"https://{HOST}/acme/moved", "token_ref": "FORGE_TOKEN"},
            ],
            "network": {"external": network},
        }
        elsewhere = {"/acme/moved": "https://echo.example.com/acme/https.git"}
        forge.run("cat > /srv/acme/moves.json", stdin=json.dumps(elsewhere).encode())
        with world.bottle(tmp_path / "p", raw, env, files={"root.pem": internet.ca}) as bottle:
            bottle.up()
            bottle.agent("git config --global user.name A; git config --global user.email a@example.com")
            for kind, url in urls.items():
                work = f"git clone -q {url} {kind} && cd {kind} && echo {kind} > f && git add f && git commit -qm f"
                said = bottle.agent(f"cd ~ && {work} && git push -q origin HEAD:main && echo PUSHED")
                assert said.strip().endswith("PUSHED"), said
                assert forge.run(f"git -C /srv/acme/{kind}.git show main:f") == kind
            asked = world.docker("logs", proxy)
            assert f"CONNECT {HOST}:22" in asked and f"CONNECT {HOST}:443" in asked
            moved = bottle.agent(f"git ls-remote https://{HOST}/acme/moved 2>&1 || true")
            assert "it reports its new address https://echo.example.com/acme/https.git" in moved, moved
            gate = f"claude-bottle-git-gate-{bottle.name}"
            seen = world.docker("exec", gate, "sh", "-c", "cat /proc/*/cmdline | tr '\\0' '\\n'")
            assert "corp-login" not in seen
            bottle.write({**raw, "pipelock": {k: v for k, v in raw["pipelock"].items() if k != "upstream_proxy_ref"}})
            bottle.up()
            # Of these there is no mirror, so the agent is told.
            for url in (f"git@{HOST}:/srv/acme/late.git", f"https://{HOST}/acme/moved"):
                said = bottle.agent(f"git ls-remote {url} 2>&1 || true")
                assert "407" in said, said
