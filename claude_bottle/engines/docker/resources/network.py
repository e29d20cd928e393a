"""The networks of a bottle, derived from its flows. All are internal except the outside one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import OUTSIDE, Flow
from claude_bottle.engines.docker.naming import docker_name, labels
from claude_bottle.engines.docker.subnets import Pool, Taken, choose, first_address
from claude_bottle.host.type_tokens import token

# No host address on the bridge: a plain internal network has one, and through it the host's own services.
_NO_HOST = {"com.docker.network.bridge.inhibit_ipv4": "true"}
# Engines before 25 forward outside names from internal networks to the host's resolver. Loopback inside the
# container's own network namespace answers nothing, so the embedded resolver resolves only the bottle's aliases.
CLOSED_DNS = "127.0.0.1"
_CALLED = {"egress": "chain"}  # a network is named after its source, with this exception


def networks_of(flows: Iterable[Flow]) -> dict[str, list[str]]:
    """The roles on each network, so that every flow is possible: one network per source, and one to the outside.

    A source that shares a larger network with all its targets gets no network of its own. Pure.
    """
    shared: dict[str, list[str]] = {}
    out: list[str] = []
    for flow in flows:
        if flow.target == OUTSIDE:
            out.append(flow.source)
        else:
            shared.setdefault(flow.source, [flow.source]).append(flow.target)
    inner: dict[str, list[str]] = {}
    for source, roles in sorted(shared.items(), key=lambda item: -len(item[1])):
        if not any(set(roles) <= set(others) for others in inner.values()):
            inner[_CALLED.get(source, source)] = roles
    return {**inner, **({OUTSIDE: out} if out else {})}


@dataclass
class BottleNetworkArgs:
    """stack: the stack's name. outside: an existing network to use instead of a new one.
    taken: the subnets of the engine's networks. pool: where the bottle's own subnets are chosen from."""

    stack: str
    flows: Sequence[Flow]
    outside: str | None = None
    taken: Sequence[Taken] = ()
    pool: Pool = field(default_factory=Pool)


class BottleNetwork(pulumi.ComponentResource):
    """The networks of one bottle. The inner ones belong to it alone, and reach neither the outside nor the host."""

    subnets: list[str]  # of the networks that belong to the bottle

    def __init__(self, name: str, args: BottleNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("BottleNetwork"), name, {}, formerly(opts, "network:BottleNetwork"))
        self._name, self._stack, self._taken, self._pool = name, args.stack, list(args.taken), args.pool
        self.subnets = []
        self._roles = networks_of(args.flows)
        self._names: dict[str, pulumi.Output[str]] = {}
        for kind in self._roles:
            if kind == OUTSIDE and args.outside is not None:
                self._names[kind] = pulumi.Output.from_input(args.outside)
            else:
                self._names[kind] = self._network(kind, internal=kind != OUTSIDE)
        self.register_outputs({kind: name for kind, name in self._names.items() if kind in ("agent", OUTSIDE)})

    def joined(self, role: str) -> list[tuple[pulumi.Output[str], str]]:
        """(network, alias) pairs of a role. An outside alias names the stack, because other bottles may be there."""
        return [
            (self._names[kind], f"{role}-{self._stack}" if kind == OUTSIDE else role)
            for kind, roles in self._roles.items()
            if role in roles
        ]

    def peers(self, role: str) -> list[str]:
        """The other roles on the inner networks of a role. It can reach each of them."""
        inner = (roles for kind, roles in self._roles.items() if kind != OUTSIDE and role in roles)
        return list(dict.fromkeys(other for roles in inner for other in roles if other != role))

    def between(self, role: str, source: str) -> pulumi.Output[str]:
        """The network that both roles are on."""
        return next(self._names[kind] for kind, roles in self._roles.items() if role in roles and source in roles)

    def _network(self, kind: str, *, internal: bool) -> pulumi.Output[str]:
        role = f"{kind}-network"
        known = sorted(labels(role, self._stack).items())
        options = _NO_HOST if internal else {}
        subnet = choose(self._stack, role, json.dumps([internal, options, known]), self._taken, self._pool)
        self.subnets.append(subnet)
        self._taken.append(Taken(subnet, self._stack, role))
        # Pulumi names it, with a random suffix (Pulumi.yaml), because a replacement is created beside the old network,
        # which still has members.
        return docker.Network(
            f"{self._name}-{kind}",
            driver="bridge",
            internal=internal,
            ipv6=False,
            options=options,
            # The engine would choose this gateway anyway and report it after a restart. Omitted, it would be drift.
            ipam_configs=[docker.NetworkIpamConfigArgs(subnet=subnet, gateway=first_address(subnet))],
            labels=[docker.NetworkLabelArgs(label=label, value=value) for label, value in known],
            opts=formerly(pulumi.ResourceOptions(parent=self), name=docker_name(role, self._stack)),
        ).name
