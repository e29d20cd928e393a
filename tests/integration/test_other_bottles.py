"""Bottles of other shapes, and manifests that must not become one."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world

from components import images

pytestmark = pytest.mark.docker


def test_without_routes_the_agent_works_through_pipelock(internet: world.Internet, tmp_path: Path) -> None:
    manifest = {
        "agent": {"memory": "1g"},
        "pipelock": {"allow": ["echo.example.com"], "ca_files": ["root.pem"]},
        "network": {"external": internet.network},
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
    rest = {"egress": {"routes": [{"host": "echo.example.com"}]}, "pipelock": {"ca_files": ["root.pem"]}}
    return {"agent": {"memory": "1g"}, **rest, "network": {"external": internet.network}, **changes}


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
        world.eventually(lambda: "CONNECTED" in other.agent(reach.format(own, 7000)), "the agent listens")
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


@pytest.fixture
def without_set_id(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that honours no set-id bits, which a mount needs on this engine."""
    folder = tmp_path / "project"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,size=64m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_mounted_workspace_is_written_to_and_no_git_of_it_is(
    internet: world.Internet, tmp_path: Path, without_set_id: Path
) -> None:
    # The folder is the agent's user's, and the tests are root's.
    trust = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    with world.bottle(tmp_path / "p", {}, trust, files={"root.pem": internet.ca}) as bottle:
        project = without_set_id
        script = (
            "git init -q . && git init -q sub && git -C sub commit -q --allow-empty -m one && git add sub && rm -rf sub"
        )
        identity = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "a",
                    "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "a@example.com"}  # fmt: skip
        subprocess.run(script, shell=True, cwd=project, check=True, env={**os.environ, **identity}, capture_output=True)
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
        # A submodule that is not checked out: git looks into it by itself, so its repository is not the agent's to make.
        said = bottle.agent(
            "cd ~/workspace/sub; git init -q . ; git init -q /tmp/r; cp -r /tmp/r/.git/. .git/; rm -rf .git; mv /tmp/r/.git .git"
        )
        assert "Read-only" in said or "busy" in said, said
        assert list((project / "sub/.git").iterdir()) == []
        # Nor is a folder above it, which could be put aside with it.
        said = bottle.agent("cd ~/workspace; mv sub gone; mkdir -p sub && cd sub && git init -q .; ls -d ../gone")
        assert "busy" in said
        assert "cannot access '../gone'" in said
        # Root in the agent: what it makes set-user-id gives nobody its rights here.
        shutil.copy("/usr/bin/id", project / "host-id")
        bottle.agent("cd /home/node/workspace; cp host-id id; chmod 4755 id", user="0")
        assert (project / "id").stat().st_mode & 0o4000 and (project / "id").stat().st_uid == 0
        with (project / "id").open("rb") as file:  # by its number: the folders above are root's alone
            argv, fds = [f"/proc/self/fd/{file.fileno()}", "-u"], [file.fileno()]
            completed = subprocess.run(argv, user=1000, pass_fds=fds, capture_output=True, text=True, check=False)
        assert completed.stdout.strip() == "1000", completed.stderr
        bottle.up(expect_no_changes=True)
        done = bottle.bottle("pull", bottle.name)
        assert (done.returncode, "nothing to pull" in done.stderr) == (1, True)
        here = tmp_path / "plain"
        here.mkdir(mode=0o777)
        here.chmod(0o777)
        bottle.write(small(internet, agent=agent, workspace={"path": str(here), "mode": "mount"}))
        with pytest.raises(world.auto.CommandError, match="set-user-id"):
            bottle.stack.preview()


def test_an_image_of_the_owner_and_its_packages(internet: world.Internet, tmp_path: Path) -> None:
    agent = {"memory": "1g", "image": images.tag("agent"), "npm": ["is-number@7.0.0"]}
    with world.bottle(tmp_path / "p", small(internet, agent=agent), files={"root.pem": internet.ca}) as bottle:
        bottle.up()
        assert bottle.agent("ls /usr/local/lib/node_modules; node -e 'console.log(6*7)'").split() == ["is-number", "42"]
        assert bottle.stack.outputs()["plan"].value["agent"]["npm"] == ["is-number@7.0.0"]
        bottle.write(small(internet, agent={"memory": "1g", "image": "claude-bottle/none:1"}))
        with pytest.raises(world.auto.CommandError) as failed:
            bottle.stack.preview()
        assert "agent.image: 'claude-bottle/none:1': is not on this engine, and pulling it failed" in str(failed.value)


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
                assert "4 problems found" in said
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
        done = bottle.bottle("convert", str(tmp_path / "old.json"), "--out", str(tmp_path))
        assert done.returncode == 0, done.stderr
        converted = world.yaml.safe_load((tmp_path / "Pulumi.impl.yaml").read_text())["config"]["claude-bottle:bottle"]
        world_of_the_test = {"network": {"external": internet.network}, "pipelock": {"ca_files": ["root.pem"]}}
        bottle.write({**converted, **world_of_the_test})
        bottle.up()
        status, body = bottle.curl("https://keyed.example.com/")
        assert (status, token in body, "*" * len(token) in body) == (200, False, True)
        assert bottle.curl("https://echo.example.com/")[0] == 200
        assert bottle.agent("cat ~/.claude/rules/*; echo $GREETING").split() == ["MARK-converted", "hello"]
