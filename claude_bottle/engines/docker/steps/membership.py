"""Puts containers back on their networks, takes them off all others, and limits their processes. Standard library only.

The provider shows another network only in the outputs of a container, and aliases not at all. It has no argument for
the limit.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from claude_bottle.engines.docker.command import DockerCommand

_SECONDS = 120  # for one command of the engine


def membership(given: dict[str, Any]) -> str:
    """`networks`: by container, pairs of network and alias. `processes`: by container, the limit."""
    engine = DockerCommand()
    wanted = {container: dict(pairs) for container, pairs in given["networks"].items()}
    inspected = json.loads(engine.docker("inspect", *wanted, timeout=_SECONDS))
    joined = {one["Name"].removeprefix("/"): one["NetworkSettings"]["Networks"] for one in inspected}
    for container, aliases in wanted.items():
        for network in sorted(joined[container].keys() - aliases.keys()):
            engine.docker("network", "disconnect", "-f", network, container, timeout=_SECONDS)
            print(f"{container}: taken off {network}, where it does not belong", file=sys.stderr)
    for container, aliases in wanted.items():
        for network in sorted(aliases.keys() - joined[container].keys()):
            engine.docker("network", "connect", "--alias", aliases[network], network, container, timeout=_SECONDS)
            print(f"{container}: put back on {network}", file=sys.stderr)
    for container, most in given["processes"].items():
        engine.docker("update", "--pids-limit", str(most), container, timeout=_SECONDS)
    return "each container is on its own networks and no other"
