"""SPEC's picture: who may talk to whom in a bottle. Pure."""

from __future__ import annotations

from claude_bottle.engines.declare import OUTSIDE, Flow
from claude_bottle.manifest.render.pipelock import PIPELOCK_PORT

EGRESS_PORT, GIT_PORT, SUPERVISE_PORT = 8080, 9418, 9100


def flows(*, routed: bool, git: bool, supervise: bool) -> list[Flow]:
    """routed: there is an egress before pipelock. git: a git-gate. supervise: which tries a refused request again."""
    proxy, port = proxy_of_agent(routed=routed)
    needed = [Flow("agent", proxy, port)]
    if routed:
        needed.append(Flow("egress", "pipelock", PIPELOCK_PORT))
    if git:
        needed += [Flow("agent", "git-gate", GIT_PORT), Flow("git-gate", OUTSIDE)]
    if supervise:
        needed += [Flow("agent", "supervise", SUPERVISE_PORT), Flow("supervise", proxy, port)]
    return [*needed, Flow("pipelock", OUTSIDE)]


def proxy_of_agent(*, routed: bool) -> tuple[str, int]:
    """Role and port."""
    return ("egress", EGRESS_PORT) if routed else ("pipelock", PIPELOCK_PORT)
