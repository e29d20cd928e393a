"""An agent that takes what its engine has, processes and disk: other bottles, git-gate and the page go on.

The engine is the test's own, on a small disk. Sources: fork(2), EAGAIN; write(2), ENOSPC; df(1) of POSIX.1-2017.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import world
from forge import HOST, Forge, git_forge
from second_engine import AGENT, SecondEngine, second_engine

from claude_bottle.approvals.audit.log import Audit
from claude_bottle.engines.docker.engine import Engine
from components import images
from dashboard.disk import look_at_disk
from dashboard.event_bus import EventBus
from dashboard.monitor import Monitor

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give an engine a disk of its own"),
]


HOST_IMAGE = "claude-bottle/test-git-host:1"
ROLES = ("egress", "pipelock", "supervise", "git-gate")


@dataclass
class Two:
    """Two bottles on one engine: `greedy` takes all it can get."""

    engine: SecondEngine
    greedy: world.BottleUnderTest
    other: world.BottleUnderTest
    forge: Forge


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    world.build_git_host(HOST_IMAGE)
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(second_engine(*ROLES, others=(HOST_IMAGE,), disk_mb=3000))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DOCKER_HOST", engine.host)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        internet = stack.enter_context(world.fake_internet(images.tag("egress")))
        forge = stack.enter_context(git_forge(internet, HOST_IMAGE, tmp_path_factory.mktemp("keys")))
        remote = {"name": "project", "upstream": f"git@{HOST}:{forge.repository('project')}"}
        git = [{**remote, "identity_file": str(forge.key), "known_hosts": forge.known_hosts}]
        bottles = []
        for name, more in (("greedy", {}), ("other", {"git": git})):
            folder = tmp_path_factory.mktemp(name)
            files = {"roots.pem": internet.ca}
            env = {"DOCKER_HOST": engine.host}
            bottle = stack.enter_context(world.bottle(folder, manifest(internet) | more, env, files))
            bottle.up()
            bottles.append(bottle)
        yield Two(engine, *bottles, forge)


def manifest(internet: world.Internet) -> dict[str, Any]:
    return {
        "agent": {"memory": "256m", "image": AGENT},
        "egress": {"routes": [{"host": "echo.example.com"}]},
        "pipelock": {"allow_private_addresses": ["*.example.com"], "ca_files": ["roots.pem"]},
        "supervise": True,
        "network": {"external": internet.network},
    }


def ask(bottle: world.BottleUnderTest, method: str) -> int:
    """Status of a request from the agent, by Python: the small image has no curl."""
    body = "b'x'" if method == "POST" else "None"
    program = (
        "import ssl, urllib.request as u, urllib.error as e\n"
        "c = ssl._create_unverified_context()\n"
        f"r = u.Request('https://echo.example.com/ok', {body}, method='{method}')\n"
        "try: print(u.urlopen(r, timeout=100, context=c).status)\n"
        "except e.HTTPError as error: print(error.code)\n"
    )
    said = world.docker("exec", "-i", f"claude-bottle-agent-{bottle.name}", "python3", "-", stdin=program.encode())
    return int(said)


def greedy(two: Two, script: str) -> str:
    return world.docker("exec", "-u", "1000", f"claude-bottle-agent-{two.greedy.name}", "sh", "-c", script, check=False)


def fill(two: Two) -> None:
    """Take what is left of the disk, once the agent has room for a process again."""
    for _ in range(200):
        said = greedy(two, "dd if=/dev/zero of=/home/node/all bs=1M 2>&1")
        if "No space left" in said:
            return
        time.sleep(1)
    raise AssertionError(said)


def git(two: Two, script: str) -> str:
    """Run git in the other bottle, on memory: its own disk is full."""
    agent = f"claude-bottle-agent-{two.other.name}"
    return world.docker("exec", "-u", "1000", agent, "sh", "-c", f"cd /dev/shm && {{ {script}; }} 2>&1", check=False)


def test_three_thousand_processes(two: Two) -> None:
    said = greedy(two, "n=0; while [ $n -lt 3000 ]; do sleep 30 & n=$((n+1)); done 2>&1; ls /proc | grep -c '^[0-9]'")
    assert ask(two.other, "POST") == 200, said
    assert two.other.ask("list").returncode == 0


def test_a_full_disk(two: Two) -> None:
    watch = Monitor(two.other.folder, EventBus())
    owned = {two.greedy.name, two.other.name}
    assert look_at_disk(Engine(), owned).words == ""
    one = "git -c user.name=A -c user.email=a@example.com -C project commit -q --allow-empty -m"
    assert "error" not in git(two, f"git clone -q git@{HOST}:/srv/acme/project.git && {one} first"), two.forge.log()
    fill(two)
    assert ask(two.other, "GET") == 200
    assert ask(two.other, "POST") in (200, 503)  # what cannot be put on record does not leave
    # Reading goes on, and a push is refused before anything of it is sent.
    read = f"git -C project fetch origin && git clone -q git@{HOST}:/srv/acme/project.git again; echo exit $?"
    assert "exit 0" in (said := git(two, read)), said
    before = two.forge.refs("project")
    said = git(two, "git -C project push origin HEAD:full; echo exit $?")
    assert "git-gate accepts no push now" in said
    assert "exit 0" not in said
    assert two.forge.refs("project") == before
    verdict = look_at_disk(Engine(), owned)
    assert verdict.stop == two.greedy.name
    assert f"the agent of {two.greedy.name} was stopped" in verdict.words
    (stopped,) = [r for r in Audit(two.greedy.name).records() if r["event"] == "stopped"]
    assert two.greedy.name in stopped["found"]
    asyncio.run(watch._look_at_disks())
    asyncio.run(watch._look())
    assert "the engine's disk has" in json.dumps(watch.state())
    assert two.other.ask("list").returncode == 0
    state = world.docker("inspect", "-f", "{{.State.Running}}", f"claude-bottle-agent-{two.other.name}")
    assert state.strip() == "true"
    two.greedy.stack.destroy()
    assert look_at_disk(Engine(), owned).words == ""
    assert ask(two.other, "POST") == 200
    said = git(two, f"{one} second && git -C project push origin HEAD:after; echo exit $?")
    assert "exit 0" in said, said
    assert "refs/heads/after" in two.forge.refs("project")


def test_another_projects_bottle_is_never_stopped(two: Two) -> None:
    world.docker("exec", f"claude-bottle-agent-{two.other.name}", "sh", "-c", "dd if=/dev/zero of=/all bs=1M || true")
    verdict = look_at_disk(Engine(), {two.greedy.name})
    assert verdict.words.startswith("the engine's disk has")
    assert verdict.stop is None
