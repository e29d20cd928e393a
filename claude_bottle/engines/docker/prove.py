"""A step of an `up`: proves from inside that a bottle is closed, and stops its agent if it is not.

JSON on stdin. `stack`; `agent`: name of its container; `containers`: names by role; `image`: one of the project's with
Python; `specs`: by role, the input of closure_probe.py; `network`: the agent's network if its runtime has a network
stack of its own, which no other container can share, else ""; `dns`: the name server there. Standard library only.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from claude_bottle.engines import closure_probe
from claude_bottle.engines.docker.live.look import PYTHON
from claude_bottle.engines.docker.naming import labels
from claude_bottle.host.bounded import run_bounded
from claude_bottle.host.child_env import child_env
from claude_bottle.policy.errors import BottleError, printable

_PROBE = Path(closure_probe.__file__)
_SECONDS, _BYTES = 90, 64 << 10
_NOBODY = "65534:65534"


def beside(given: dict[str, Any]) -> list[str]:
    """A container of this project's own beside the agent: what the agent itself has could lie."""
    marks = [word for item in labels("closure-proof", given["stack"]).items() for word in ("--label", "=".join(item))]
    closed = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--memory", "64m"]
    network = given["network"] or f"container:{given['agent']}"
    names = ["--dns", given["dns"]] if given["network"] else []
    run = ["docker", "run", "--rm", "-i", "--network", network, *names, "--user", _NOBODY, *closed, *marks]
    return [*run, "--entrypoint", PYTHON[0], given["image"], *PYTHON[1:]]


def proven(argv: Sequence[str], role: str, spec: dict[str, Any]) -> list[str]:
    """The problems that the probe has found there. A probe that could not run is a problem too."""
    out = io.BytesIO()
    try:
        with _PROBE.open("rb") as probe:
            run_bounded([*argv, json.dumps(spec)], role, stdin=probe, out=out, seconds=_SECONDS, most=_BYTES)
    except BottleError as error:
        lines = out.getvalue().decode(errors="replace").splitlines()
        return [f"{role} {line}" for line in lines] or [f"{error}, so nothing is proven there"]
    return []


def problems(given: dict[str, Any]) -> list[str]:
    """Of all workloads. The agent's network is looked at alone if the probe is a member of it itself."""
    agent, others = given["specs"]["agent"], {r: s for r, s in given["specs"].items() if r != "agent"}
    with ThreadPoolExecutor(len(given["specs"])) as pool:
        first = pool.submit(proven, beside(given), "agent", agent)
        if given["network"]:
            first.result()
        more = [
            pool.submit(proven, ["docker", "exec", "-i", given["containers"][role], *PYTHON], role, spec)
            for role, spec in others.items()
        ]
        return [line for future in (first, *more) for line in future.result()]


def main() -> int:
    """Entry point."""
    given = json.load(sys.stdin)
    if not (lines := problems(given)):
        print(f"proven from inside {', '.join(given['specs'])}: closed but for its own flows")
        return 0
    subprocess.run(["docker", "stop", "-t", "0", given["agent"]], check=False, capture_output=True, env=child_env())
    print("the bottle is not closed, so its agent was stopped and gets nothing of yours:", file=sys.stderr)
    for line in lines:
        print(f"  {printable(line)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
