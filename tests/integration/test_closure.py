"""The closure proof on real networks: what is closed passes; a host, a way out, a stranger or a name server does not."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import world
from pulumi import automation as auto

from claude_bottle.engines.docker.live.look import PYTHON
from claude_bottle.engines.docker.steps.prove import _PROBE

pytestmark = pytest.mark.docker
INHIBITED = ("--internal", "-o", "com.docker.network.bridge.inhibit_ipv4=true")
CLOSED = ("--dns", "127.0.0.1")
LISTEN = "import socket; s = socket.create_server(('', 8080)); [s.accept() for _ in iter(int, 1)]"
# Answers every question with NXDOMAIN (RFC 1035, 4.1.1), as a resolver of the outside does below .invalid.
NXDOMAIN = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 53))
while True:
    data, peer = s.recvfrom(512)
    s.sendto(data[:2] + b'\\x81\\x83' + data[4:], peer)
"""

TAKE = """
import contextlib, resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (12000, 12000))
held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range({first}, {end})]
for port, one in enumerate(held, {first}):
    with contextlib.suppress(OSError):  # Docker's name server has one of them
        one.bind(('', port))
time.sleep(600)
"""


@dataclass
class Place:
    """A network of the test's own with a workload `peer` that listens on 8080, and one to prove from."""

    image: str
    name: str = field(default_factory=lambda: f"claude-bottle-test-closure-{secrets.token_hex(4)}")
    addresses: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, program: str, *options: str) -> str:
        """Start a container; its address."""
        marks = ["--label", f"{world.LABEL}=closure", "--entrypoint", "/usr/bin/python3"]
        argv = ["run", "-d", "--name", f"{self.name}-{name}", "--network", self.name, "--network-alias", name]
        world.docker(*argv, *marks, *options, self.image, "-c", program)
        shape = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        self.addresses[name] = world.docker("inspect", "-f", shape, f"{self.name}-{name}").strip()
        return self.addresses[name]

    def inside(self, program: str) -> None:
        """What the agent may do in the network that the probe runs in."""
        world.docker("exec", "-d", "-u", "0", f"{self.name}-inside", "/usr/bin/python3", "-c", program)

    def prove(self, *peers: str, reach: Sequence[tuple[str, int]] = (), servers: Sequence[str] = ()) -> list[str]:
        """The lines of the probe in the workload `inside`."""
        known = {name: [self.addresses[name]] if name in self.addresses else [] for name in peers}
        spec = {"peers": known, "leaving": [], "reach": reach, "servers": servers}
        argv = ["docker", "exec", "-i", f"{self.name}-inside", *PYTHON, json.dumps(spec)]
        done = subprocess.run(argv, input=_PROBE.read_bytes(), capture_output=True, timeout=120, check=False)
        lines = done.stdout.decode().splitlines()
        assert not done.stderr, done.stderr.decode()
        assert done.returncode == (1 if lines else 0)
        return lines


@contextlib.contextmanager
def place(image: str, *options: str, dns: Sequence[str] = CLOSED) -> Iterator[Place]:
    network = Place(image)
    marks = ("--label", f"{world.LABEL}=closure")
    for subnet in ipaddress.ip_network("203.0.113.128/25").subnets(new_prefix=28):  # as large as a bottle's own
        if world.docker("network", "create", *marks, "--subnet", str(subnet), *options, network.name, check=False):
            break
    try:
        network.run("peer", LISTEN, *CLOSED)
        network.run("inside", "import time; time.sleep(600)", *dns)
        yield network
    finally:
        for name in world.docker("ps", "-aq", "--filter", f"name={network.name}-").split():
            world.docker("rm", "-f", name, check=False)
        world.docker("network", "rm", network.name, check=False)


def test_a_closed_network_is_proven_closed(sidecar_image: str) -> None:
    with place(sidecar_image, *INHIBITED) as network:
        assert network.prove("peer", reach=[("peer", 8080)], servers=["127.0.0.11"]) == []
        (line,) = network.prove("peer", reach=[("peer", 8081)])
        assert line.startswith("does not reach peer:8081")


def test_a_host_on_an_internal_network_is_seen(sidecar_image: str) -> None:
    """docs.docker.com/reference/cli/docker/network/create: an internal network has the host's address all the same."""
    with place(sidecar_image, "--internal") as network:
        lines = network.prove("peer")
        assert lines and all("which is no workload of this bottle" in line for line in lines)


def test_a_way_out_and_its_name_server_are_seen(sidecar_image: str) -> None:
    with place(sidecar_image) as network:
        server = network.run("server", NXDOMAIN, "--user", "0", *CLOSED)
        lines = network.prove("peer", "server", servers=[server])
        assert any(line.endswith("its gateway, so it has a way out") for line in lines)
        assert f"gets an answer about names of the outside from the name server {server}" in lines


def test_a_name_server_that_forwards_is_seen(sidecar_image: str) -> None:
    with place(sidecar_image, *INHIBITED) as network:
        server = network.run("server", NXDOMAIN, "--user", "0", *CLOSED)
        assert network.prove("peer", "server", servers=["127.0.0.11"]) == []
        world.docker("rm", "-f", f"{network.name}-inside")
        network.run("inside", "import time; time.sleep(600)", "--dns", server)
        (line,) = network.prove("peer", "server", servers=["127.0.0.11"])
        assert "from the name server 127.0.0.11" in line


def test_a_stranger_is_seen_and_a_silent_peer_proves_nothing(sidecar_image: str) -> None:
    with place(sidecar_image, *INHIBITED) as network:
        address = network.run("stranger", LISTEN, *CLOSED)
        (line,) = network.prove("peer")
        assert line == (
            f"gets an answer from {address}, which is no workload of this bottle: the host or a stranger on its network"
        )
        assert "is on no network with missing" in network.prove("peer", "missing", "stranger")
        network.inside(f"open('/etc/hosts', 'a').write('{address} peer\\n')")  # the agent calls it one
        assert network.prove("peer") == [line]


def test_one_that_has_just_left_is_no_stranger(sidecar_image: str) -> None:
    """The kernel believes for up to 45 seconds that it is there, and then asks only if something is sent to it."""
    with place(sidecar_image, *INHIBITED) as network:
        network.run("gone", LISTEN, *CLOSED)
        assert network.prove("peer", "gone", reach=[("gone", 8080)]) == []
        world.docker("rm", "-f", f"{network.name}-gone")
        assert network.prove("peer") == []


def test_an_agent_that_takes_every_port_makes_no_proof_pass(sidecar_image: str) -> None:
    with place(sidecar_image, *INHIBITED) as network:
        network.run("stranger", LISTEN, *CLOSED)
        for first in range(32768, 61000, 10000):  # ip_local_port_range(ip(7)), in processes of few enough open files
            network.inside(TAKE.format(first=first, end=min(first + 10000, 61000)))
        sockets = ("exec", f"{network.name}-inside", "cat", "/proc/net/udp")
        until = time.monotonic() + 60
        while len(world.docker(*sockets).splitlines()) < 60999 - 32768 and time.monotonic() < until:
            time.sleep(0.5)
        with pytest.raises(AssertionError, match="Resource temporarily unavailable"):
            network.prove("peer")


def test_a_bottle_that_is_not_closed_gets_nothing_of_the_owners(internet: world.Internet, tmp_path: Path) -> None:
    """With the layer taken away that keeps the host off the bottle's networks."""
    open_ = tmp_path / "open"
    left_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(world.ROOT, open_, ignore=left_out)
    file = open_ / "claude_bottle/engines/docker/resources/network.py"
    text = file.read_text()
    assert text.count("options = _NO_HOST if internal else {}") == 1
    file.write_text(text.replace("options = _NO_HOST if internal else {}", "options: dict[str, str] = {}"))
    (tmp_path / "w").mkdir()
    (tmp_path / "w/private.txt").write_text("of the owner")
    manifest: dict[str, Any] = {
        "workspace": {"path": str(tmp_path / "w")},
        "network": {"external": internet.network},
        "pipelock": {"allow": ["echo.example.com"]},
    }
    with world.bottle(tmp_path / "p", manifest, root=open_) as bottle:
        with pytest.raises(auto.CommandError) as failed:
            bottle.up()
        words = str(failed.value)
        assert "the bottle is not closed, so its agent was stopped" in words
        assert "agent gets an answer from" in words
        name = f"claude-bottle-agent-{bottle.name}"
        assert world.docker("inspect", "-f", "{{.State.Running}}", name).strip() == "false"
        copied = world.docker("cp", f"{name}:/home/node/workspace/private.txt", "-", check=False)
        assert "of the owner" not in copied
