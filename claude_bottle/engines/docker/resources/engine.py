"""Docker as the engine of a bottle. claude_bottle/engines/declare.py documents the methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network

import pulumi

from claude_bottle.engines.declare import Flow, Image, ImageBuild, Text, Workload
from claude_bottle.engines.docker.live.drift import Drift
from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.engines.docker.resources.closure import Proof
from claude_bottle.engines.docker.resources.container import hardened_container, volumes_of
from claude_bottle.engines.docker.resources.image import built_image, fetched_image
from claude_bottle.engines.docker.resources.membership import Member, Membership
from claude_bottle.engines.docker.resources.network import BottleNetwork, BottleNetworkArgs
from claude_bottle.engines.docker.resources.step import RunningContainer
from claude_bottle.engines.docker.subnets import POOL, Pool, Taken


class DockerFabric:
    """The networks of a bottle and the containers on them."""

    def __init__(self, network: BottleNetwork, stack: str, flows: Sequence[Flow], drifts: Mapping[str, Drift]) -> None:
        self._network, self._stack, self._flows, self._drifts = network, stack, flows, drifts
        self._members: list[Member] = []
        self.subnets: Sequence[str] = network.subnets

    def run(self, name: str, workload: Workload, opts: pulumi.ResourceOptions) -> RunningContainer:
        drift = self._drifts.get(workload.role, Drift())
        joined = self._network.joined(workload.role)
        volumes = volumes_of(name, self._stack, workload, opts.parent)
        container = hardened_container(name, self._stack, workload, joined, volumes, drift.mended, opts)
        fixed = docker_name(workload.role, self._stack)
        own_network = workload.runtime is not None
        self._members.append(Member(workload.role, container, fixed, joined, workload.processes, own_network))
        return RunningContainer(workload.role, fixed, container, workload.ready, drift)

    def own_name(self, role: str, source: str) -> pulumi.Output[str]:
        """Docker's embedded name server resolves `alias.network`."""
        name: pulumi.Output[str] = pulumi.Output.concat(role, ".", self._network.between(role, source))
        return name

    def close(self, name: str, parent: pulumi.Resource) -> pulumi.Resource:
        return Membership(name, self._members, pulumi.ResourceOptions(parent=parent))

    def prove(
        self, name: str, parent: pulumi.Resource, prober: Text, closed: pulumi.Resource, gets: str
    ) -> pulumi.Resource:
        proof = Proof(self._stack, self._network, self._flows, self._members, prober, gets)
        return proof.resource(name, pulumi.ResourceOptions(parent=parent, depends_on=[closed]))


@dataclass(frozen=True)
class DockerEngine:
    """What was queried from an engine before the first resource.

    images: tags of this project's images that it has. taken: the subnets of its networks. ways: networks that its
    machine has routes to. drifts: by role of a sidecar.
    """

    images: frozenset[str] = frozenset()
    taken: Sequence[Taken] = ()
    ways: Sequence[str] = ()
    drifts: Mapping[str, Drift] = field(default_factory=dict)

    def has(self, tag: str) -> bool:
        return tag in self.images

    def built(
        self,
        name: str,
        tag: str,
        build: ImageBuild | None,
        parent: pulumi.Resource,
        after: pulumi.Resource | None = None,
    ) -> Image:
        return built_image(name, tag, build, parent, after)

    def fetched(self, name: str, reference: str, parent: pulumi.Resource) -> Image:
        return fetched_image(name, reference, parent)

    def volume_name(self, role: str, stack: str) -> str:
        return docker_name(role, stack)

    def fabric(
        self,
        name: str,
        stack: str,
        flows: Sequence[Flow],
        opts: pulumi.ResourceOptions,
        *,
        outside: str | None = None,
        pool: str | None = None,
    ) -> DockerFabric:
        own = Pool(IPv4Network(pool or POOL), self.ways)
        network = BottleNetwork(name, BottleNetworkArgs(stack, flows, outside, self.taken, own), opts)
        return DockerFabric(network, stack, flows, self.drifts)
