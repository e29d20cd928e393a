"""Kills between the steps of an approval: of the owner's process, of supervise, of the engine. Nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world
from second_engine import AGENT, SecondEngine, asking, second_engine

pytestmark = pytest.mark.docker

DRIVER = Path(__file__).with_name("kill_at.py")
STEPS = ("begun", "edited", "up-started", "up-done", "replayed", "audited", "decided")
# Every step with CLAUDE_BOTTLE_ALL_KILLS=1 (six minutes); the unit tests cut at every step too, without an engine.
ALL = bool(os.environ.get("CLAUDE_BOTTLE_ALL_KILLS"))


@pytest.fixture(scope="module")
def engine() -> Iterator[SecondEngine]:
    with second_engine("egress", "pipelock", "supervise") as engine:
        yield engine


@pytest.fixture(scope="module")
def bottle(engine: SecondEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.BottleUnderTest]:
    engine.docker("network", "create", "--internal", "--subnet", "203.0.113.0/27", "claude-bottle-test-outside")
    manifest: dict[str, Any] = {
        "agent": {"memory": "512m", "image": AGENT},
        "egress": {"routes": [{"host": "first.example.com"}]},
        "supervise": True,
        "network": {"external": "claude-bottle-test-outside"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.host)  # of all that this module runs, its clean-up too
        with world.bottle(tmp_path_factory.mktemp("project"), manifest, {"DOCKER_HOST": engine.host}) as bottle:
            bottle.up()
            yield bottle


def propose(bottle: world.BottleUnderTest, host: str) -> str:
    """File a proposal as a program of the agent would, without waiting for its answer; its id."""
    said = world.docker("exec", "-i", f"claude-bottle-agent-{bottle.name}", "python3", "-", stdin=asking(host).encode())
    proposals = [line for line in bottle.ask("list").stdout.splitlines() if host in line and " pending " in line]
    assert len(proposals) == 1, said
    return proposals[0].split()[0]


def until_approved(bottle: world.BottleUnderTest, identity: str) -> None:
    """What the owner does: say yes again until it is done."""
    said = ""
    for _ in range(6):
        done = bottle.ask("approve", identity)
        said += done.stdout + done.stderr
        if done.returncode == 0 or "already approved" in done.stderr:
            return
        time.sleep(2)
    raise AssertionError(said[-3000:])


def judge(bottle: world.BottleUnderTest, identity: str, host: str) -> None:
    listed = bottle.ask("list").stdout
    assert f"{identity}" in listed
    assert next(line for line in listed.splitlines() if identity in line).split()[3] == "approved"
    assert bottle.file.read_text().count(f"host: {host}") == 1
    log = bottle.folder / "state/claude-bottle/audit" / f"{bottle.name}.jsonl"
    kinds = [
        record["event"] for record in map(json.loads, log.read_text().splitlines()) if record.get("id") == identity
    ]
    assert kinds.count("approved") == 1, kinds
    assert bottle.audit("verify").returncode == 0
    table = world.docker("exec", f"claude-bottle-egress-{bottle.name}", "cat", "/etc/claude-bottle/routes.json")
    assert table.count(f'"{host}"') == 1
    assert not (bottle.folder / "state/claude-bottle/approvals" / f"{bottle.name}.json").exists()


def cut(bottle: world.BottleUnderTest, identity: str, step: str, *what: str) -> str:
    done = bottle.run("python3", str(DRIVER), bottle.name, identity, step, *what)
    return done.stdout + done.stderr


@pytest.mark.parametrize("step", STEPS if ALL else ("up-started", "audited"))
def test_the_owners_process_is_killed(bottle: world.BottleUnderTest, step: str) -> None:
    host = f"self-{step}.example.com"
    identity = propose(bottle, host)
    assert "REACHED" not in cut(bottle, identity, step, "self")
    bottle.until_pulumi_ends()
    until_approved(bottle, identity)
    judge(bottle, identity, host)


@pytest.mark.parametrize("step", STEPS if ALL else ("up-started", "audited"))
def test_supervise_is_killed(bottle: world.BottleUnderTest, step: str) -> None:
    host = f"supervise-{step}.example.com"
    identity = propose(bottle, host)
    container = f"claude-bottle-supervise-{bottle.name}"
    assert "NOT REACHED" not in cut(bottle, identity, step, "docker", "kill", container)
    world.docker("start", container)
    for _ in range(300):
        if bottle.ask("list").returncode == 0:
            break
        time.sleep(0.2)
    until_approved(bottle, identity)
    judge(bottle, identity, host)


@pytest.mark.parametrize("step", STEPS if ALL else ("up-started", "replayed"))
def test_the_engine_is_killed(bottle: world.BottleUnderTest, engine: SecondEngine, step: str) -> None:
    host = f"engine-{step}.example.com"
    identity = propose(bottle, host)
    assert "NOT REACHED" not in cut(bottle, identity, step, "kill", "-9", str(engine.pid))
    engine.kill()
    engine.start()
    bottle.up()
    for _ in range(300):
        if bottle.ask("list").returncode == 0:
            break
        time.sleep(0.2)
    until_approved(bottle, identity)
    judge(bottle, identity, host)
