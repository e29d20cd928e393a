"""The networks of a bottle: agent and chain are internal; only the outside one leads out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.naming import docker_name, labels
from claude_bottle.engines.docker.subnets import Pool, Taken, choose, first_address
from claude_bottle.host.type_tokens import token

# No address of the host on the bridge: a plain internal network has one, and with it the host's own services.
_NO_HOST = {"com.docker.network.bridge.inhibit_ipv4": "true"}
# Engines before 25 forward outside names from internal networks to the host's resolver. Loopback inside the
# container's own network namespace answers nothing, so the embedded resolver knows the bottle's aliases alone.
CLOSED_DNS = "127.0.0.1"


@dataclass
class BottleNetworkArgs:
    """stack: the stack's name. has_egress: a chain network is needed. outside: an existing network to use instead.
    taken: the subnets of the engine's networks. pool: where the bottle's own are taken from."""

    stack: str
    has_egress: bool
    outside: str | None = None
    taken: Sequence[Taken] = ()
    pool: Pool = field(default_factory=Pool)


class BottleNetwork(pulumi.ComponentResource):
    """One set of networks, never shared; `agent` and `chain` (None without egress) have no way out and no host."""

    agent: pulumi.Output[str]
    chain: pulumi.Output[str] | None
    outside: pulumi.Output[str]
    subnets: list[str]  # of those that are the bottle's own

    def __init__(self, name: str, args: BottleNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("BottleNetwork"), name, {}, formerly(opts, "network:BottleNetwork"))
        self._name, self._stack, self._taken, self._pool = name, args.stack, list(args.taken), args.pool
        self.subnets = []
        self.agent = self._network("agent", internal=True)
        self.chain = self._network("chain", internal=True) if args.has_egress else None
        if args.outside is not None:
            self.outside = pulumi.Output.from_input(args.outside)
        else:
            self.outside = self._network("outside", internal=False)
        self.register_outputs({"agent": self.agent, "outside": self.outside})

    def _network(self, kind: str, *, internal: bool) -> pulumi.Output[str]:
        role = f"{kind}-network"
        known = sorted(labels(role, self._stack).items())
        options = _NO_HOST if internal else {}
        subnet = choose(self._stack, role, json.dumps([internal, options, known]), self._taken, self._pool)
        self.subnets.append(subnet)
        self._taken.append(Taken(subnet, self._stack, role))
        # Named by Pulumi, with a random ending (Pulumi.yaml): a replacement is made beside the old one, which
        # still has members.
        return docker.Network(
            f"{self._name}-{kind}",
            driver="bridge",
            internal=internal,
            ipv6=False,
            options=options,
            # The gateway that the engine takes anyway, and tells of once it was restarted: left out, it would be drift.
            ipam_configs=[docker.NetworkIpamConfigArgs(subnet=subnet, gateway=first_address(subnet))],
            labels=[docker.NetworkLabelArgs(label=label, value=value) for label, value in known],
            opts=formerly(pulumi.ResourceOptions(parent=self), name=docker_name(role, self._stack)),
        ).name
