"""Makes a sidecar run, gives it its policy, and waits until it is ready. Standard library only."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.command import DockerCommand
from claude_bottle.engines.docker.live.look import PROBE, PYTHON
from claude_bottle.host.child_env import child_env
from claude_bottle.policy.errors import BottleError

_TRIES, _PAUSE = 150, 0.2  # of the check; seconds between two, which is sooner than the engine's health check
_SECONDS = 120  # for one command of the engine
_LAST_WORDS = 5  # lines of its log


def ready(given: dict[str, Any]) -> str:
    """`container`: its name. `put`: the command that root runs inside first, with `content` as its input, or [].
    `check`: succeeds inside once it is ready. `look`: the probe's input, or "" if no probe can run inside.

    Returns what the command has said and, as the last line, the probe's answer: what later inspections are compared
    with. Raises BottleError. `probe` and `drift` are not read: a new value of one runs the step again.
    """
    engine, name = DockerCommand(), given["container"]
    _start(engine, name)
    said = kept = ""
    if put := given["put"]:
        said = engine.inside(name, put, user="0", stdin=given["content"], timeout=_SECONDS)
    for _ in range(_TRIES):
        if _succeeds(engine, name, given["check"]):
            break
        time.sleep(_PAUSE)
    else:
        raise BottleError(f"{name} is not ready; its last words:\n{_log(name)}")
    if spec := given["look"]:
        kept = engine.inside(name, [*PYTHON, "keep", spec], stdin=PROBE.read_text("utf-8"), timeout=_SECONDS)
    return "\n".join(filter(None, (said.strip(), kept.strip())))


def _start(engine: DockerCommand, name: str) -> None:
    """A stopped container is started here, because without a refresh the provider believes that it runs."""
    try:
        state = engine.docker("inspect", "-f", "{{.State.Status}}", name).strip()
    except EngineError:
        raise BottleError(f"{name} is not there any more; run up again") from None
    if state != "running":
        engine.docker("unpause" if state == "paused" else "start", name, timeout=_SECONDS)


def _succeeds(engine: DockerCommand, name: str, check: list[str]) -> bool:
    try:
        engine.inside(name, check)
    except EngineError:
        return False
    return True


def _log(name: str) -> str:
    argv = ["docker", "logs", "--tail", str(_LAST_WORDS), name]
    both = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=child_env())
    return both.stdout.decode(errors="replace").strip()
