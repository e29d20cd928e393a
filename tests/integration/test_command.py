"""A bottle's day by the `bottle` command alone: of a checkout without activate, and of an installed wheel."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import world
from installed import build, install

pytestmark = pytest.mark.docker
LEFT_OUT = (".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "Pulumi.[!y]*.yaml")


@dataclass
class Copy:
    """command: the `bottle` to call. folder: where it is called."""

    command: Path
    folder: Path
    env: dict[str, str]
    name: str

    @property
    def called(self) -> str:
        """What the person in that folder types."""
        return "bottle" if self.command.parent.name == "bin" else "../bottle"

    def bottle(self, *argv: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.command), *argv]
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=900, check=False
        )


@pytest.fixture(scope="module", params=["checkout", "wheel"])
def copy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """Of a checkout, called from a folder below it; of an installed wheel, called from an empty folder."""
    if not (world.ROOT / ".venv").exists():
        pytest.skip("no environment of the checkout")
    folder = tmp_path_factory.mktemp("copy")
    own = {key: str(folder / "home" / key) for key in ("XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    if request.param == "wheel":
        command = install(build(tmp_path_factory.mktemp("wheel")), tmp_path_factory.mktemp("env"))
    else:
        shutil.copytree(world.ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
        shutil.copytree(world.ROOT / "stacks/examples", folder / "stacks/examples", dirs_exist_ok=True)
        (folder / ".venv").symlink_to((world.ROOT / ".venv").resolve())
        command = folder / "bottle"
    (inside := folder / "docs").mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key.startswith("DOCKER_")}
    env = {
        "HOME": os.environ["HOME"],
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        **kept,
        **own,
    }
    copy = Copy(command, inside, env, f"t{secrets.token_hex(4)}")
    try:
        yield copy
    finally:
        copy.bottle("down", copy.name, "--force")
        world.leftovers(copy.name, remove=True)


def besides(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of a run that are not about something that changes."""
    return [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("  ")]


def test_a_day_by_one_command(copy: Copy) -> None:
    name = copy.name
    assert copy.bottle("up", name).returncode == 2, "no file, no bottle"
    done = copy.bottle("init", name, "--no-model")
    assert done.returncode == 0, done.stderr
    assert copy.bottle("check", name).returncode == 0
    done = copy.bottle("exec", name, "--", "true")
    assert (done.returncode, done.stderr.strip()) == (1, f"{name} is not up; {copy.called} up {name}")
    done = copy.bottle("up", name)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len(besides(done)) <= 10, done.stderr
    assert "  + agent" in done.stderr.splitlines()
    again = copy.bottle("up", name)
    assert not [line for line in again.stderr.splitlines() if line.startswith("  ")]
    assert len(besides(again)) <= 10, again.stderr
    assert "nothing to change" in again.stderr
    assert copy.bottle("exec", name, "--", "true").returncode == 0
    assert copy.bottle("exec", name, "--", "sh", "-c", "exit 7").returncode == 7
    assert copy.bottle("exec", name, "--", "id", "-un").stdout.strip() == "node"
    # A log-in that waits for its answer on loopback, as of an MCP server (RFC 8252, 7.3).
    serve = (
        "perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(LocalAddr=>q(127.0.0.1),LocalPort=>54545,Listen=>1);"
        "$c=$s->accept;print STDOUT scalar <$c>;print $c qq(HTTP/1.0 200 OK\\r\\n\\r\\n);close $c' > /tmp/heard 2>&1 &"
    )
    listens = "for _ in $(seq 600); do grep -q ' 0100007F:D511 00000000:0000 0A ' /proc/net/tcp && exit; sleep 0.1; done; exit 1"
    assert copy.bottle("exec", name, "--", "sh", "-c", f"{serve} {listens}").returncode == 0
    done = copy.bottle("callback", name, "http://localhost:54545/callback?code=abc")
    assert done.returncode == 0, done.stderr
    assert copy.bottle("exec", name, "--", "cat", "/tmp/heard").stdout.startswith("GET /callback?code=abc ")
    assert copy.bottle("callback", name, "http://localhost:54545/callback?code=abc").returncode == 1
    done = copy.bottle("ask", "list", name, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    plan = json.loads(copy.bottle("plan", name, "--json").stdout)
    assert (plan["stack"], plan["changes"], plan["drift"]) == (name, [], [])
    [bottle] = [b for b in json.loads(copy.bottle("fleet", "--json").stdout)["bottles"] if b["stack"] == name]
    assert {part["role"]: part["health"] for part in bottle["parts"]}["egress"] == "healthy"
    copy.bottle("exec", name, "--", "curl", "-s", "https://undeclared.example.com/")
    assert "host_not_declared" in copy.bottle("logs", name, "egress").stdout
    done = copy.bottle("down", name)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len(besides(done)) <= 10, done.stderr
    assert world.leftovers(name) == []
    assert copy.bottle("down", name).returncode == 3
    assert copy.bottle("audit", "verify", name).returncode == 0
    assert copy.bottle("forget", name).returncode == 0
