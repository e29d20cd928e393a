"""The networks of a bottle: agent and chain are internal; only the outside one leads out."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.naming import docker_name, labels

# No address of the host on the bridge: a plain internal network has one, and with it the host's own services.
_NO_HOST = {"com.docker.network.bridge.inhibit_ipv4": "true"}
# Engines before 25 forward outside names from internal networks to the host's resolver. Loopback inside the
# container's own network namespace answers nothing, so the embedded resolver knows the bottle's aliases alone.
CLOSED_DNS = "127.0.0.1"


@dataclass
class BottleNetworkArgs:
    """stack: the stack's name. has_egress: a chain network is needed. outside: an existing network to use instead."""

    stack: str
    has_egress: bool
    outside: str | None = None


class BottleNetwork(pulumi.ComponentResource):
    """One set of networks, never shared; `agent` and `chain` (None without egress) have no way out and no host."""

    agent: pulumi.Output[str]
    chain: pulumi.Output[str] | None
    outside: pulumi.Output[str]

    def __init__(self, name: str, args: BottleNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("claude-bottle:network:BottleNetwork", name, {}, opts)
        self.agent = self._network("agent", args.stack, internal=True)
        self.chain = self._network("chain", args.stack, internal=True) if args.has_egress else None
        if args.outside is not None:
            self.outside = pulumi.Output.from_input(args.outside)
        else:
            self.outside = self._network("outside", args.stack, internal=False)
        self.register_outputs({"agent": self.agent, "outside": self.outside})

    def _network(self, role: str, stack: str, *, internal: bool) -> pulumi.Output[str]:
        # Named by the engine with a random ending: a replacement is made beside the old one, which still has members.
        return docker.Network(
            docker_name(f"{role}-network", stack),
            driver="bridge",
            internal=internal,
            ipv6=False,
            options=_NO_HOST if internal else {},
            labels=[
                docker.NetworkLabelArgs(label=label, value=value)
                for label, value in sorted(labels(f"{role}-network", stack).items())
            ],
            opts=pulumi.ResourceOptions(parent=self),
        ).name
