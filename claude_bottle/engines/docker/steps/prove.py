"""Proves from inside that a bottle is closed, and stops its agent if it is not. Standard library only.

Its input: `stack`; `agent`: name of its container; `containers`: names by role; `image`: an image of this
project with Python; `specs`: by role, the input of closure_probe.py, but with roles in place of addresses; `network`:
the agent's network if its runtime has a network stack of its own, which no other container can share, else ""; `dns`:
the name server for a probe on that network.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from claude_bottle.engines import closure_probe
from claude_bottle.engines.docker.command import DockerCommand
from claude_bottle.engines.docker.live.look import PYTHON
from claude_bottle.engines.docker.naming import LABEL_STACK, PROOF, docker_name, labels
from claude_bottle.host.bounded import run_bounded
from claude_bottle.policy.errors import BottleError

_PROBE = Path(closure_probe.__file__)
_SECONDS, _BYTES = 120, 64 << 10  # of a probe
_ANSWERS = 60  # seconds for one command of the engine
_NOBODY = "65534:65534"


def beside(given: dict[str, Any]) -> list[str]:
    """The command for a container of this project beside the agent, because programs in the agent's own could lie."""
    marks = [word for item in labels(PROOF, given["stack"]).items() for word in ("--label", "=".join(item))]
    closed = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--memory", "64m"]
    network = given["network"] or f"container:{given['agent']}"
    names = ["--dns", given["dns"]] if given["network"] else []
    name = ["--name", docker_name(PROOF, given["stack"])]
    run = ["docker", "run", "--rm", "-i", *name, "--network", network, *names, "--user", _NOBODY, *closed, *marks]
    return [*run, "--entrypoint", PYTHON[0], given["image"], *PYTHON[1:]]


def proven(argv: Sequence[str], role: str, spec: dict[str, Any]) -> list[str]:
    """The problems that the probe found. A probe that could not run is a problem too."""
    out = io.BytesIO()
    try:
        with _PROBE.open("rb") as probe:
            run_bounded([*argv, json.dumps(spec)], role, stdin=probe, out=out, seconds=_SECONDS, most=_BYTES)
    except BottleError as error:
        lines = out.getvalue().decode(errors="replace").splitlines()
        return [f"{role} {line}" for line in lines] or [f"{error}, so nothing is proven there"]
    return []


def addressed(given: dict[str, Any], engine: DockerCommand) -> dict[str, dict[str, Any]]:
    """The specs with addresses from the engine, because anybody on a network may claim a name.

    A workload that was deleted from the stack file stays on its networks until the end of the `up`. It still belongs to
    this bottle and is allowed as `leaving`.
    """
    listed = engine.docker("ps", "-aq", "--filter", f"label={LABEL_STACK}={given['stack']}", timeout=_ANSWERS).split()
    inspected = json.loads(engine.docker("inspect", *listed, timeout=_ANSWERS))
    on = {
        one["Name"].removeprefix("/"): {
            network: end["IPAddress"] for network, end in one["NetworkSettings"]["Networks"].items() if end["IPAddress"]
        }
        for one in inspected
    }
    names = given["containers"]

    def seen(name: str, role: str) -> list[str]:
        return [address for network, address in on.get(name, {}).items() if network in on.get(names[role], {})]

    leaving = on.keys() - {*names.values()}
    return {
        role: {
            **spec,
            "peers": {peer: seen(names[peer], role) for peer in spec["peers"]},
            "leaving": sorted(address for name in leaving for address in seen(name, role)),
        }
        for role, spec in given["specs"].items()
    }


def problems(given: dict[str, Any]) -> list[str]:
    """The problems of all workloads. A probe that is itself a member of the agent's network runs first and alone."""
    engine = DockerCommand()
    with contextlib.suppress(BottleError):  # usually there is no such container
        engine.docker("rm", "-f", docker_name(PROOF, given["stack"]), timeout=_ANSWERS)  # left by an interrupted `up`
    try:
        specs = addressed(given, engine)
    except BottleError as error:
        return [f"{error}, so nothing is proven"]
    agent, others = specs["agent"], {r: s for r, s in specs.items() if r != "agent"}
    with ThreadPoolExecutor(len(specs)) as pool:
        first = pool.submit(proven, beside(given), "agent", agent)
        if given["network"]:
            first.result()
        more = [
            pool.submit(proven, ["docker", "exec", "-i", given["containers"][role], *PYTHON], role, spec)
            for role, spec in others.items()
        ]
        return [line for future in (first, *more) for line in future.result()]


def prove(given: dict[str, Any]) -> str:
    """The step. Raises BottleError with all problems."""
    if not (lines := problems(given)):
        return f"proven from inside {', '.join(given['specs'])}: closed but for its own flows"
    try:
        DockerCommand().docker("stop", "-t", "0", given["agent"], timeout=_ANSWERS)
        done = "was stopped and gets nothing of yours"
    except BottleError as error:
        done = f"gets nothing of yours, and STILL RUNS, for it could not be stopped ({error})"
    raise BottleError("\n  ".join([f"the bottle is not closed, so its agent {done}:", *lines]))
