"""A bottle on an engine that is reached over ssh or TLS: all that Pulumi, provisioning, dashboard and pull do goes there;
and a bottle that moves from one engine to another."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import world
import yaml
from second_engine import AGENT, SecondEngine, asking, second_engine

from components import images

pytestmark = pytest.mark.docker

HOST_IMAGE = "claude-bottle/test-git-host:1"  # has an sshd
SECRET = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"


@dataclass
class Far:
    """The engine, its address over ssh, a folder with the `ssh` that knows its key, one with the TLS client's files."""

    engine: SecondEngine
    address: str
    bin: Path
    certificates: Path


def put_pair(pair: tuple[Any, Any], certificate: Path, key: Path) -> None:
    """A certificate and its key, as files that end with .pem."""
    certificate.with_suffix(".pem").write_bytes(world._pem(pair[0]))
    key.with_suffix(".pem").write_bytes(world._key_pem(pair[1]))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _log(container: str) -> str:
    argv = ["docker", "logs", "--tail", "200", container]
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    """sshd on loopback, in a container that has nothing but the other engine's socket and the docker command."""
    world.build_git_host(HOST_IMAGE)
    keys, port, name = tmp_path_factory.mktemp("keys"), _free_port(), f"claude-bottle-test-ssh-{secrets.token_hex(4)}"
    docker, real_ssh = shutil.which("docker"), shutil.which("ssh")
    assert docker
    assert real_ssh
    for key in ("client", "server"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key)], check=True)
    (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {(keys / 'server.pub').read_text()}")
    (keys / "bin").mkdir()
    options = f"-i {keys}/client -o UserKnownHostsFile={keys}/known_hosts -o StrictHostKeyChecking=yes -o BatchMode=yes"
    (keys / "bin/ssh").write_text(f'#!/bin/sh\nexec {real_ssh} {options} "$@"\n')
    (keys / "bin/ssh").chmod(0o755)
    ca = world._certificate("claude-bottle test engines")
    (keys / "tls").mkdir()
    (keys / "tls/ca.pem").write_bytes(world._pem(ca[0]))
    put_pair(world._certificate("server", issuer=ca, names=["localhost"]), keys / "tls/server", keys / "tls/server-key")
    put_pair(world._certificate("owner", issuer=ca), keys / "tls/cert", keys / "tls/key")
    with second_engine("egress", "pipelock", "supervise", certificates=keys / "tls") as engine:
        path = engine.host.removeprefix("unix://")
        argv = ["create", "--name", name, "--label", f"{world.LABEL}=ssh", "--network", "host", "--user", "0"]
        argv += ["-v", f"{path}:/var/run/docker.sock", "-v", f"{os.path.realpath(docker)}:/usr/local/bin/docker:ro"]
        serve = f"exec /usr/sbin/sshd -D -e -p {port} -o ListenAddress=127.0.0.1 -h /ssh/server -o PermitRootLogin=yes "
        serve += (
            "-o AuthorizedKeysFile=/ssh/client.pub -o PasswordAuthentication=no -o StrictModes=no -o MaxStartups=100 "
        )
        # All connections are from one address. By default an sshd since 9.8 refuses an address for a while if a few
        # of its connections end before they are authenticated (sshd_config(5), PerSourcePenalties).
        serve += "-o MaxSessions=100 -o PerSourcePenalties=no -o LogLevel=VERBOSE"
        world.docker(*argv, "--entrypoint", "sh", HOST_IMAGE, "-c", serve)
        try:
            files = {f"ssh/{file}": (keys / file).read_bytes() for file in ("server", "client.pub")}
            world.docker("cp", "-", f"{name}:/", stdin=world.tar(files, mode=0o600))
            world.docker("start", name)
            address = f"ssh://root@127.0.0.1:{port}"
            env = {**os.environ, "PATH": f"{keys / 'bin'}:{os.environ['PATH']}"}
            for _ in range(300):
                done = subprocess.run(["docker", "-H", address, "version"], env=env, capture_output=True, check=False)
                if done.returncode == 0:
                    break
                time.sleep(0.2)
            assert done.returncode == 0, (done.stderr, _log(name))
            yield Far(engine, address, keys / "bin", keys / "tls")
        finally:
            print(_log(name))  # pytest shows it if the last test fails
            world.docker("rm", "-f", "-v", name, check=False)


@pytest.fixture(scope="module")
def bottle(far: Far, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.BottleUnderTest]:
    far.engine.docker("network", "create", "--internal", "--subnet", "203.0.113.32/27", "claude-bottle-test-outside")
    folder = tmp_path_factory.mktemp("project")
    work = tmp_path_factory.mktemp("work")
    (work / "notes.txt").write_text("from the owner\n")
    manifest: dict[str, Any] = {
        "agent": {"memory": "512m", "image": AGENT},
        "egress": {"routes": [{"host": "first.example.com"}]},
        "supervise": True,
        "workspace": {"path": str(work), "copy_git": False},
        "network": {"external": "claude-bottle-test-outside"},
    }
    env = {"PATH": f"{far.bin}:{os.environ['PATH']}"}
    with world.bottle(folder, manifest, env) as bottle:
        configure(bottle, {"docker:host": far.address})
        bottle.up()
        yield bottle


def configure(bottle: world.BottleUnderTest, config: dict[str, str | None]) -> None:
    """Set keys of the stack file, or take them away (None)."""
    content = yaml.safe_load(bottle.file.read_text())
    merged = {**content["config"], **config}
    content["config"] = {key: value for key, value in merged.items() if value is not None}
    bottle.file.write_text(yaml.safe_dump(content))


def far_exec(far: Far, bottle: world.BottleUnderTest, script: str) -> str:
    return far.engine.docker("exec", f"claude-bottle-agent-{bottle.name}", "sh", "-c", f"{{ {script}\n}} 2>&1", check=False)  # fmt: skip


def test_it_is_there_and_nothing_is_here(far: Far, bottle: world.BottleUnderTest) -> None:
    label = f"label=claude-bottle.stack={bottle.name}"
    assert len(far.engine.docker("ps", "-q", "--filter", label).split()) == 4
    assert world.leftovers(bottle.name) == []
    assert far_exec(far, bottle, "cat $(find / -name notes.txt -not -path '/proc/*' 2>/dev/null)") == "from the owner\n"
    assert far.address in str(bottle.stack.outputs()["attach"].value)
    assert bottle.stack.preview().change_summary.keys() == {"same"}


def test_its_policy_holds_there(far: Far, bottle: world.BottleUnderTest) -> None:
    ask = "curl -sk -m 20 -o /dev/null -D - {} | tr -d '\\r' | grep -i block-reason || true"
    if "not found" in far_exec(far, bottle, "curl --version"):
        program = (
            "import sys,urllib.request as u,ssl\nc=ssl._create_unverified_context()\n"
            "o=u.build_opener(u.ProxyHandler({'https':'http://egress:8080'}),u.HTTPSHandler(context=c))\n"
            "try: o.open(u.Request(sys.argv[1],sys.argv[2].encode() if len(sys.argv)>2 else None),timeout=20)\n"
            "except Exception as e: print(getattr(e,'headers',{}).get('x-pipelock-block-reason',e))"
        )
        far_exec(far, bottle, f"cat > /tmp/ask.py <<'E'\n{program}\nE")
        ask = "python3 /tmp/ask.py {}"
    assert "host_not_declared" in far_exec(far, bottle, ask.format("https://second.example.com/"))
    reason = far_exec(far, bottle, ask.format(f"https://first.example.com/ {SECRET}"))
    assert "dlp_match" in reason


def test_the_owner_edits_pulls_and_is_asked_as_on_the_own_machine(far: Far, bottle: world.BottleUnderTest) -> None:
    far_exec(far, bottle, f"python3 - <<'E'\n{asking('third.example.com')}\nE")
    identity = bottle.pending("third.example.com")
    done = bottle.ask("approve", identity)
    assert done.returncode == 0, done.stderr[-2000:]
    routes = far.engine.docker("exec", f"claude-bottle-egress-{bottle.name}", "cat", "/etc/claude-bottle/routes.json")
    assert "third.example.com" in routes
    assert far.address in bottle.bottle("resume", bottle.name, "--print").stdout
    pulled = bottle.bottle("pull", bottle.name, "--dry-run")
    assert pulled.returncode == 0, pulled.stderr


def test_destroy_takes_it_away_there(far: Far, bottle: world.BottleUnderTest) -> None:
    bottle.stack.destroy()
    label = f"label=claude-bottle.stack={bottle.name}"
    assert far.engine.docker("ps", "-aq", "--filter", label) == ""
    assert images.tag("egress") in far.engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")


def test_it_comes_up_there_by_tls_too_but_for_nobody_without_a_certificate(
    far: Far, bottle: world.BottleUnderTest, tmp_path: Path
) -> None:
    put_pair(world._certificate("stranger"), tmp_path / "cert", tmp_path / "key")
    shutil.copy(far.certificates / "ca.pem", tmp_path)
    configure(bottle, {"docker:host": far.engine.tcp_host, "docker:certPath": str(tmp_path)})
    refused = bottle.run("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", bottle.name)
    assert refused.returncode != 0
    assert "Docker cannot be reached" in refused.stdout
    assert "certificate" in refused.stdout
    configure(bottle, {"docker:certPath": str(far.certificates)})
    bottle.up()
    label = f"label=claude-bottle.stack={bottle.name}"
    assert len(far.engine.docker("ps", "-q", "--filter", label).split()) == 4
    assert "DOCKER_TLS_VERIFY=1" in str(bottle.stack.outputs()["attach"].value)
    assert bottle.stack.preview().change_summary.keys() == {"same"}


def test_it_moves_to_another_engine_as_the_page_says(far: Far, bottle: world.BottleUnderTest) -> None:
    page = (world.ROOT / "docs/fleet.md").read_text().partition("**Moving a bottle**")[2]
    script = page.split("```")[1].removeprefix("sh")
    here = {
        "S=my-bottle; OLD=ssh://me@one.example.com; NEW=ssh://me@two.example.com": (
            f"set -eux; S={bottle.name}; OLD={far.engine.host}; NEW=unix:///var/run/docker.sock"
        ),
        "make pull STACK=$S ": f"{shlex.join([*world.BOTTLE, 'pull'])} $S ",
        "debian:trixie-slim": images.tag("egress"),
        "pulumi destroy -s $S ": "pulumi destroy --yes --skip-preview --non-interactive -s $S ",
        "pulumi config set docker:host $NEW -s $S && pulumi up -s $S": (
            "pulumi config rm docker:certPath -s $S && pulumi config set docker:host $NEW -s $S"
            " && pulumi up --yes --skip-preview --non-interactive -s $S"
        ),
        "bottle resume $S ": f"{shlex.join([*world.BOTTLE, 'resume'])} $S ",
    }
    for said, done in here.items():
        assert said in script, said
        script = script.replace(said, done)
    name = f"claude-bottle-agent-{bottle.name}"
    far.engine.docker("exec", "-u", "node", name, "sh", "-c", "echo remembered > /home/node/memory")
    # The agent's image and the outside network are this test's own, and have to be on the other engine too.
    subprocess.run(f"docker -H {far.engine.host} save {AGENT} | docker load -q", shell=True, check=True)
    world.docker("network", "create", "--internal", "--subnet", "203.0.113.64/27", "claude-bottle-test-outside")
    try:
        moved = bottle.run("bash", "-c", script)
        assert moved.returncode == 0, moved.stdout[-3000:] + moved.stderr[-3000:]
        assert world.docker(
            "exec", "-u", "node", name, "sh", "-c", "cd /home/node; echo more >> memory; cat memory"
        ) == ("remembered\nmore\n")
        assert bottle.stack.preview().change_summary.keys() == {"same"}
        assert far.engine.docker("ps", "-aq") == ""
        assert far.engine.docker("volume", "ls", "-q", "--filter", f"label=claude-bottle.stack={bottle.name}") == ""
        bottle.stack.destroy()
    finally:
        world.leftovers(bottle.name, remove=True)
        world.docker("network", "rm", "claude-bottle-test-outside", check=False)
        world.docker("image", "rm", AGENT, check=False)


def test_an_address_that_is_none_is_told_before_anything_is_made(bottle: world.BottleUnderTest) -> None:
    configure(bottle, {"docker:host": "tcp://build.example.com:2375", "docker:certPath": None})
    done = bottle.run("pulumi", "preview", "--non-interactive", "--stack", bottle.name)
    assert done.returncode != 0
    assert "without docker:certPath" in done.stdout + done.stderr
