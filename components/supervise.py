"""supervise: where the agent asks its owner for what was refused. Keeps proposals; cannot approve one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.drift import Drift
from claude_bottle.engines.docker.live import SIDECARS
from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.engines.docker.resources.container import ContainerArgs, hardened_container
from claude_bottle.engines.docker.resources.container_command import ReadyArgs, ready_command
from claude_bottle.engines.docker.resources.volume import named_volume
from claude_bottle.host.type_tokens import token

SUPERVISE_HOSTNAME = "supervise"
STORE = "/var/lib/supervise"

_HEALTHY = SIDECARS["supervise"].check


@dataclass
class SuperviseArgs:
    """proxy: host:port of the agent's proxy. ca: the certificate that the agent trusts, PEM."""

    stack: str
    image: pulumi.Input[str]
    agent_network: pulumi.Input[str]
    proxy: str
    ca: pulumi.Input[str]
    dns: str
    drift: Drift = field(default_factory=Drift)


class Supervise(pulumi.ComponentResource):
    """On the agent network only; holds no credential and has no way to the owner's machine: the owner comes to it."""

    container: docker.Container
    container_name: str
    networks: list[tuple[pulumi.Input[str], str]]
    ready: pulumi.Resource

    def __init__(self, name: str, args: SuperviseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Supervise"), name, {}, formerly(opts, "supervise:Supervise"))
        self.container_name = docker_name("supervise", args.stack)
        proposals = named_volume(f"{name}-proposals", "proposals", args.stack, self)
        self.networks = [(args.agent_network, SUPERVISE_HOSTNAME)]
        self.container = hardened_container(
            f"{name}-container",
            ContainerArgs(
                role="supervise",
                stack=args.stack,
                image=args.image,
                networks=self.networks,
                memory=256,
                env={"BOTTLE_PROXY": f"http://{args.proxy}"},
                files={"/etc/supervise/ca.pem": args.ca},
                mounts=[docker.ContainerMountArgs(type="volume", target=STORE, source=proposals.name)],
                healthcheck=_HEALTHY,
                mended=args.drift.mended,
                dns=[args.dns],
            ),
            pulumi.ResourceOptions(parent=self),
        )
        ready = ReadyArgs("supervise", self.container, self.container_name, _HEALTHY, args.drift)
        self.ready = ready_command(f"{name}-ready", ready, self)
        self.register_outputs({"container": self.container.name})
