"""Makes each `up` prove from inside that a bottle is closed, before its agent gets anything of the owner's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from claude_bottle.engines.declare import OUTSIDE, Flow, Text
from claude_bottle.engines.docker.resources.engine_step import engine_step
from claude_bottle.engines.docker.resources.membership import Member, seen
from claude_bottle.engines.docker.resources.network import CLOSED_DNS, BottleNetwork

_EMBEDDED_DNS = "127.0.0.11"  # the name server of every user-defined network (docs.docker.com/engine/network)


@dataclass(frozen=True)
class Proof:
    """members: all workloads. prober: id of an image of this project with Python. gets: a digest of what the agent gets
    after the proof.
    """

    stack: str
    network: BottleNetwork
    flows: Sequence[Flow]
    members: Sequence[Member]
    prober: Text
    gets: str

    def specs(self) -> dict[str, dict[str, Any]]:
        """The input of the probe for each role without a flow to the outside."""
        outward = {flow.source for flow in self.flows if flow.target == OUTSIDE}
        specs: dict[str, dict[str, Any]] = {}
        for member in self.members:
            if member.role not in outward:
                reach = [[flow.target, flow.port] for flow in self.flows if flow.source == member.role]
                # Beside an agent with a network stack of its own, the probe is a member of its network.
                apart = ["agent"] if member.own_network and member.role == "agent" else []
                peers = [*self.network.peers(member.role), *apart]
                specs[member.role] = {"peers": peers, "reach": reach, "servers": [_EMBEDDED_DNS]}
        return specs

    def resource(self, name: str, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        """Runs for a new container, for a container that a refresh has seen on other networks, and before the agent
        gets anything new, because no container of the bottle shows that a stranger has joined its network.
        """
        agent = next(member for member in self.members if member.role == "agent")
        given: Mapping[str, Any] = {
            "stack": self.stack,
            "agent": agent.name,
            "containers": {member.role: member.name for member in self.members},
            "image": self.prober,
            "network": agent.joined[0][0] if agent.own_network else "",
            "dns": CLOSED_DNS,
            "specs": self.specs(),
        }
        triggers = [*(seen(member.container) for member in self.members), self.gets]
        return engine_step(name, "prove", given, triggers, opts)
