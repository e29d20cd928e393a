"""Pulumi and the engine killed at random moments; then one command, and all is as it should be: no orphan, no lost secret."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import world
from second_engine import AGENT, SecondEngine, second_engine

pytestmark = [pytest.mark.docker, pytest.mark.slow]

TOKEN = "chaos-token-0123456789abcdef"
RANDOM = random.Random(int(os.environ.get("CLAUDE_BOTTLE_SEED", "5")))
KILLS = int(os.environ.get("CLAUDE_BOTTLE_KILLS", "20"))
ENGINE_KILLS = 4


@pytest.fixture(scope="module")
def engine() -> Iterator[SecondEngine]:
    with second_engine("egress", "pipelock", "supervise") as engine:
        yield engine


@pytest.fixture(scope="module")
def bottle(engine: SecondEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.BottleUnderTest]:
    """On an engine of the test's own, so that it can be killed too."""
    engine.docker("network", "create", "--internal", "--subnet", "203.0.113.32/27", "claude-bottle-test-outside")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.host)
        env = {"DOCKER_HOST": engine.host}
        with world.bottle(tmp_path_factory.mktemp("project"), manifest(0), env) as bottle:
            bottle.stack.set_config("CHAOS_TOKEN", world.auto.ConfigValue(TOKEN, secret=True))
            yield bottle


def manifest(number: int) -> dict[str, Any]:
    routes = [{"host": "keyed.example.com", "token_ref": "CHAOS_TOKEN"}, {"host": f"n{number}.example.com"}]
    return {
        "agent": {
            "memory": f"{300 + number}m",
            "image": AGENT,
        },  # each edit makes something new, in place and by replacement
        "env": {"NUMBER": str(number % 3)},
        "egress": {"routes": routes},
        "supervise": True,
        "network": {"external": "claude-bottle-test-outside"},
    }


def cut(bottle: world.BottleUnderTest, verb: str, seconds: float) -> bool:
    """Start a pulumi, kill it and all that it started after so many seconds; True when it was still at work."""
    argv = ["pulumi", verb, "--yes", "--skip-preview", "--non-interactive", "--stack", bottle.name]
    env = {**os.environ, **bottle.env}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, cwd=bottle.folder, env=env, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def repair(bottle: world.BottleUnderTest, *argv: str) -> subprocess.CompletedProcess[str]:
    return bottle.bottle("repair", bottle.name, *argv)


def judge_up(bottle: world.BottleUnderTest, number: int) -> None:
    """As the manifest says, once, and nothing else of this stack; a second up has nothing to do."""
    bottle.up(expect_no_changes=True)
    names = set(
        world.docker(
            "ps", "-a", "--filter", f"label=claude-bottle.stack={bottle.name}", "--format", "{{.Names}}"
        ).split()
    )
    assert names == {f"claude-bottle-{role}-{bottle.name}" for role in ("agent", "egress", "pipelock", "supervise")}
    networks = world.docker("network", "ls", "-q", "--filter", f"label=claude-bottle.stack={bottle.name}").split()
    assert len(networks) == 2
    egress = f"claude-bottle-egress-{bottle.name}"
    assert f"n{number}.example.com" in world.docker("exec", egress, "cat", "/etc/claude-bottle/routes.json")
    assert json.loads(world.docker("exec", egress, "cat", "/etc/claude-bottle/tokens.json")) == {
        "EGRESS_TOKEN_0": TOKEN
    }
    state = (bottle.folder / "state/.pulumi/stacks/claude-bottle" / f"{bottle.name}.json").read_text()
    assert TOKEN not in state
    assert "ciphertext" in state


def test_pulumi_killed_at_random_moments(bottle: world.BottleUnderTest) -> None:
    said: list[str] = []
    cuts = 0
    for number in range(KILLS):
        verb = ("up", "edit", "destroy")[number % 3]
        if verb == "edit":
            assert repair(bottle).returncode == 0
        bottle.write(manifest(number))
        seconds = RANDOM.uniform(0.5, 9.0)
        hit = cut(bottle, "destroy" if verb == "destroy" else "up", seconds)
        cuts += hit
        done = repair(bottle, *(["--down"] if verb == "destroy" else []))
        said.append(f"{number} {verb} after {seconds:.1f} s, {'cut' if hit else 'done'}")
        assert done.returncode == 0, (said, done.stdout[-1500:], done.stderr[-1500:])
        if verb == "destroy":
            left = [part for part in world.leftovers(bottle.name) if not part.startswith("volume")]
            assert left == [], said
        else:
            judge_up(bottle, number)
    print("\n".join(said))
    assert cuts >= KILLS // 2


def test_the_engine_killed_at_random_moments(bottle: world.BottleUnderTest, engine: SecondEngine) -> None:
    for number in range(100, 100 + ENGINE_KILLS):
        bottle.write(manifest(number))
        argv = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", bottle.name]
        env = {**os.environ, **bottle.env}
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(argv, cwd=bottle.folder, env=env, stdout=quiet, stderr=quiet)
        time.sleep(RANDOM.uniform(1.0, 8.0))
        engine.kill()
        process.wait(900)
        engine.start()
        done = repair(bottle)
        assert done.returncode == 0, (done.stdout[-1500:], done.stderr[-1500:])
        judge_up(bottle, number)


def test_a_state_that_is_broken_or_missing_is_restored_and_a_newer_one_is_told(bottle: world.BottleUnderTest) -> None:
    bottle.write(manifest(200))
    assert repair(bottle).returncode == 0
    root = bottle.folder / "state/.pulumi"
    file = bottle.folder / "state/.pulumi/stacks/claude-bottle" / f"{bottle.name}.json"
    whole = file.read_text()
    file.write_text(json.dumps({**json.loads(whole), "version": 99}))
    done = repair(bottle)
    assert done.returncode == 1
    assert "from a newer Pulumi" in done.stderr
    for text in (whole[:61440], "", None):
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        # As a full disk leaves it: the newest copies are cut as well, and a lock has no content.
        for copy in sorted(root.rglob(f"{bottle.name}*.json*"), key=lambda f: f.stat().st_mtime)[-3:]:
            if copy != file and copy.suffix != ".attrs":
                copy.write_text(copy.read_text()[:1000])
        lock = root / "locks/organization/claude-bottle" / bottle.name / "left.json"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text("")
        os.utime(lock, (0, 0))
        done = repair(bottle)
        assert done.returncode == 0, (done.stdout[-1500:], done.stderr[-1500:])
        assert "has replaced it" in done.stdout
        assert TOKEN not in done.stderr + done.stdout
        judge_up(bottle, 200)
