"""Bottles of other shapes, and manifests that must not become one."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import pytest
import world

from components import images

pytestmark = pytest.mark.docker


def test_without_routes_the_agent_works_through_pipelock(internet: world.Internet, tmp_path: Path) -> None:
    manifest = {
        "agent": {"memory": "1g"},
        "pipelock": {"allow": ["echo.example.com"], "upstream_roots": ["root.pem"]},
        "network": {"outside": internet.network},
    }
    with world.bottle(tmp_path / "p", manifest, files={"root.pem": internet.ca}) as bottle:
        bottle.up()
        assert bottle.curl("https://echo.example.com/")[0] == 200
        status, body = bottle.curl("https://plain.example.com/")
        assert (status, json.loads(body)["reason"]) == (403, "domain_not_allowed")
        assert bottle.agent("timeout 5 getent hosts egress || echo NONE").strip() == "NONE"
        assert "egress_container" not in bottle.stack.outputs()  # a null output is none
        agent, pipelock = bottle.container_id("agent"), bottle.container_id("pipelock")
        bottle.write({**manifest, "pipelock": {**manifest["pipelock"], "allow": ["*.example.com"]}})  # type: ignore[dict-item]
        bottle.up()
        assert bottle.curl("https://plain.example.com/")[0] == 200
        assert (bottle.container_id("agent"), bottle.container_id("pipelock")) == (agent, pipelock)
        bottle.stack.destroy()
        assert world.leftovers(bottle.name) == []


def test_a_bad_manifest_is_told_whole_and_creates_nothing(tmp_path: Path) -> None:
    manifest = {
        "colour": "blue",
        "cred_proxy": {},
        "egress": {
            "routes": [
                {"host": "api.example.com", "path": ["/a"]},
                {"host": "api.example.com", "path": ["/a"]},
                {"host": "https://api.example.com"},
                {"host": "b.example.com", "token_ref": "NO_SUCH_TOKEN"},
            ]
        },
    }
    with world.bottle(tmp_path / "p", manifest) as bottle:
        for verb in (bottle.stack.preview, bottle.stack.up):
            with pytest.raises(world.auto.CommandError) as failed:
                verb()
            assert "unhandled" not in str(failed.value)
            lines = [line.strip() for line in str(failed.value).splitlines()]
            for path in (
                "colour:",
                "cred_proxy:",
                "egress.routes[1]:",
                "egress.routes[2].host:",
                "egress.routes[3].token_ref:",
            ):
                assert any(line.startswith(path) for line in lines), (path, lines)
        assert world.leftovers(bottle.name) == []


def small(internet: world.Internet, **changes: Any) -> dict[str, Any]:
    """A bottle with one open host."""
    rest = {"egress": {"routes": [{"host": "echo.example.com"}]}, "pipelock": {"upstream_roots": ["root.pem"]}}
    return {"agent": {"memory": "1g"}, **rest, "network": {"outside": internet.network}, **changes}


def address(container: str) -> list[str]:
    shown = world.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", container)
    return shown.split()


def test_two_bottles_cannot_see_one_another(internet: world.Internet, tmp_path: Path) -> None:
    files = {"root.pem": internet.ca}
    with (
        world.bottle(tmp_path / "a", small(internet), files=files) as one,
        world.bottle(tmp_path / "b", small(internet), files=files) as other,
    ):
        one.up()
        other.up()
        assert (one.curl("https://echo.example.com/")[0], other.curl("https://echo.example.com/")[0]) == (200, 200)
        serve = (
            "perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(LocalPort=>7000,Listen=>5,ReuseAddr=>1);sleep 600'"
        )
        world.docker("exec", "-d", "-u", "node", f"claude-bottle-agent-{other.name}", "sh", "-c", serve)
        (own,) = address(f"claude-bottle-agent-{other.name}")
        reach = "timeout 3 bash -c 'exec 3<>/dev/tcp/{}/{}' && echo CONNECTED || echo NOTHING"
        assert other.agent(reach.format(own, 7000)).strip() == "CONNECTED"
        doors = [(own, 7000), *((ip, 8080) for ip in address(f"claude-bottle-egress-{other.name}"))]
        doors += [(ip, 8888) for ip in address(f"claude-bottle-pipelock-{other.name}")]
        for ip, door in doors:
            assert "CONNECTED" not in one.agent(reach.format(ip, door), timeout=30), (ip, door)
        for role in ("agent", "egress", "pipelock"):
            name = f"claude-bottle-{role}-{other.name}"
            assert one.agent(f"timeout 5 getent hosts {name} || echo NONE").strip() == "NONE"
        assert "NONE" not in one.agent("getent hosts egress || echo NONE")
        volumes = [
            json.loads(world.docker("inspect", f"claude-bottle-agent-{b.name}"))[0]["Mounts"] for b in (one, other)
        ]
        assert volumes[0][0]["Name"] != volumes[1][0]["Name"]


def test_a_mounted_workspace_is_written_to_and_its_git_is_not(internet: world.Internet, tmp_path: Path) -> None:
    with world.bottle(tmp_path / "p", {}, files={"root.pem": internet.ca}) as bottle:
        project = tmp_path / "project"
        (project / ".git/hooks").mkdir(parents=True)
        for path in (project, *project.rglob("*")):
            os.chown(path, 1000, 1000)
        (tmp_path / "p/stacks/own").mkdir()
        (tmp_path / "p/stacks/own/Dockerfile").write_text(f"FROM {images.tag('agent')}\nENV OWN=yes\n")
        agent = {"memory": "1g", "dockerfile": "own/Dockerfile"}
        bottle.write(small(internet, agent=agent, workspace={"path": str(project), "mode": "mount"}))
        bottle.up()
        assert bottle.agent("echo $OWN; echo made > ~/workspace/made && echo OK").split() == ["yes", "OK"]
        assert (project / "made").read_text() == "made\n"
        assert "Read-only" in bottle.agent("echo x > ~/workspace/.git/hooks/pre-commit")
        assert "Read-only" in bottle.agent("rm -rf ~/workspace/.git; true") or (project / ".git/hooks").is_dir()
        bottle.up(expect_no_changes=True)
        done = bottle.run("python3", "-m", "components.pull", bottle.name)
        assert (done.returncode, "nothing to pull" in done.stderr) == (1, True)


def test_an_image_of_the_owner_and_its_packages(internet: world.Internet, tmp_path: Path) -> None:
    agent = {"memory": "1g", "image": images.tag("agent"), "npm": ["is-number@7.0.0"]}
    with world.bottle(tmp_path / "p", small(internet, agent=agent), files={"root.pem": internet.ca}) as bottle:
        bottle.up()
        assert bottle.agent("ls /usr/local/lib/node_modules; node -e 'console.log(6*7)'").split() == ["is-number", "42"]
        assert bottle.stack.outputs()["plan"].value["agent"]["npm"] == ["is-number@7.0.0"]
        bottle.write(small(internet, agent={"memory": "1g", "image": "claude-bottle/none:1"}))
        with pytest.raises(world.auto.CommandError) as failed:
            bottle.stack.preview()
        assert "agent.image: 'claude-bottle/none:1': is neither here nor can it be pulled" in str(failed.value)


def test_what_another_left_behind_stops_a_preview_and_an_up(internet: world.Internet, tmp_path: Path) -> None:
    with world.bottle(tmp_path / "p", small(internet), files={"root.pem": internet.ca}) as bottle:
        left = f"claude-bottle-egress-{bottle.name}"
        label = ["--label", f"{world.LABEL}=orphan"]
        try:
            world.docker("create", "--name", left, *label, images.tag("egress"))
            bottle.write(
                small(internet, skills=["no-such-skill"], prompt={"file": "none.md"}, workspace={"path": "none"})
            )
            for verb in (bottle.stack.preview, bottle.stack.up):
                with pytest.raises(world.auto.CommandError) as failed:
                    verb()
                said = str(failed.value)
                for words in ("docker container rm -f " + left, "skills[0]:", "prompt.file:", "workspace.path:"):
                    assert words in said
                assert "4 errors" in said
        finally:
            world.docker("rm", "-f", left, check=False)
        assert world.leftovers(bottle.name) == []


def test_a_half_created_bottle_is_destroyed_whole(internet: world.Internet, tmp_path: Path) -> None:
    skills = {"root.pem": internet.ca, "skills/x/SKILL.md": b"x"}
    with world.bottle(tmp_path / "p", small(internet, skills=["./skills/x"]), files=skills) as bottle:
        # An image whose home cannot be written to: everything is made, then a step fails.
        (tmp_path / "p/stacks/own").mkdir()
        text = f"FROM {images.tag('agent')}\nUSER 0\nRUN chown -R 0:0 /home/node && chmod 755 /home/node\nUSER node\n"
        (tmp_path / "p/stacks/own/Dockerfile").write_text(text)
        own = {"memory": "1g", "dockerfile": "own/Dockerfile"}
        bottle.write(small(internet, agent=own, skills=["./skills/x"]))
        with pytest.raises(world.auto.CommandError) as failed:
            bottle.up()
        assert "could not be put into" in str(failed.value)
        assert len(world.leftovers(bottle.name)) > 3
        bottle.stack.destroy()
        assert world.leftovers(bottle.name) == []


def test_a_converted_file_of_the_original_tool_comes_up(internet: world.Internet, tmp_path: Path) -> None:
    old = {
        "bottles": {
            "dev": {
                "env": {"GREETING": "hello"},
                "cred_proxy": {
                    "routes": [
                        {"upstream": "https://keyed.example.com", "auth_scheme": "Bearer", "token_ref": "ECHO_KEY"},
                    ]
                },
                "egress": {"allowlist": ["echo.example.com"]},
            }
        },
        "agents": {"impl": {"bottle": "dev", "prompt": "MARK-converted"}},
    }
    token = "key-" + secrets.token_hex(20)
    with world.bottle(tmp_path / "p", {}, {"ECHO_KEY": token}, {"root.pem": internet.ca}) as bottle:
        (tmp_path / "old.json").write_text(json.dumps(old))
        done = bottle.run(
            "python3", "-m", "components.manifest", "convert", str(tmp_path / "old.json"), "--out", str(tmp_path)
        )
        assert done.returncode == 0, done.stderr
        converted = world.yaml.safe_load((tmp_path / "Pulumi.impl.yaml").read_text())["config"]["claude-bottle:bottle"]
        world_of_the_test = {"network": {"outside": internet.network}, "pipelock": {"upstream_roots": ["root.pem"]}}
        bottle.write({**converted, **world_of_the_test})
        bottle.up()
        status, body = bottle.curl("https://keyed.example.com/")
        assert (status, token in body, "*" * len(token) in body) == (200, False, True)
        assert bottle.curl("https://echo.example.com/")[0] == 200
        assert bottle.agent("cat ~/.claude/rules/*; echo $GREETING").split() == ["MARK-converted", "hello"]
