"""Who may connect to whom in a bottle. Pure."""

from __future__ import annotations

from claude_bottle.engines.declare import OUTSIDE, Flow
from claude_bottle.policy.names.roles import PORTS


def flows(*, routed: bool, git: bool, supervise: bool) -> list[Flow]:
    """routed: egress is between agent and pipelock. git: has a git-gate. supervise: has one, which retries requests."""
    proxy, _ = proxy_of_agent(routed=routed)
    needed = [_flow("agent", proxy)]
    if routed:
        needed.append(_flow("egress", "pipelock"))
    if git:
        needed += [_flow("agent", "git-gate"), Flow("git-gate", OUTSIDE)]
    if supervise:
        needed += [_flow("agent", "supervise"), _flow("supervise", proxy)]
    return [*needed, Flow("pipelock", OUTSIDE)]


def proxy_of_agent(*, routed: bool) -> tuple[str, int]:
    """The role and port of the agent's proxy."""
    role = "egress" if routed else "pipelock"
    return role, PORTS[role]


def _flow(source: str, target: str) -> Flow:
    return Flow(source, target, PORTS[target])
