"""egress: the agent's only proxy, which knows the routes and holds the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.drift import Drift
from claude_bottle.engines.docker.live import SIDECARS
from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.engines.docker.resources.container import RECORD, ContainerArgs, hardened_container
from claude_bottle.engines.docker.resources.volume import named_volume
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.render.pipelock import EGRESS_HOSTNAME, PIPELOCK_PORT
from claude_bottle.manifest.render.routes import EgressPlan
from components.authorities import Authority
from components.pipelock import PIPELOCK_HOSTNAME
from components.policy_push import PolicyPush, PolicyPushArgs

EGRESS_PORT = 8080
EGRESS_ROUTES = "/etc/claude-bottle/routes.json"
_REVOKED = "/etc/claude-bottle/revoked.pem"


@dataclass
class EgressArgs:
    """tokens: token_ref to its value, each a secret output. trusted: PEM of the roots that the outbound leg trusts.
    revoked: PEM of revocation lists, may be empty. drift: what was found in the container.
    """

    stack: str
    plan: EgressPlan
    tokens: Mapping[str, pulumi.Output[str]]
    image: pulumi.Input[str]
    agent_network: pulumi.Input[str]
    chain_network: pulumi.Input[str]
    authority: Authority
    trusted: pulumi.Input[str]
    revoked: str
    dns: str
    drift: Drift = field(default_factory=Drift)


class Egress(pulumi.ComponentResource):
    """Between the agent's network and the chain; no way out but pipelock. Tokens are readable here and nowhere else."""

    container: docker.Container
    container_name: str
    networks: list[tuple[pulumi.Input[str], str]]
    ready: pulumi.Resource

    def __init__(self, name: str, args: EgressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Egress"), name, {}, formerly(opts, "egress:Egress"))
        slots = {slot: args.tokens[ref] for ref, slot in args.plan.slots.items()}
        self.container_name = docker_name("egress", args.stack)
        self.networks = [(args.agent_network, EGRESS_HOSTNAME), (args.chain_network, EGRESS_HOSTNAME)]
        record = named_volume(f"{name}-record", "egress-record", args.stack, self)
        self.container = hardened_container(
            f"{name}-container",
            ContainerArgs(
                role="egress",
                stack=args.stack,
                image=args.image,
                networks=self.networks,
                memory=512,
                env={
                    "EGRESS_UPSTREAM": f"{PIPELOCK_HOSTNAME}:{PIPELOCK_PORT}",
                    "EGRESS_UPSTREAM_CA": "/run/claude-bottle/upstream-bundle.pem",
                    "EGRESS_ROUTES": EGRESS_ROUTES,
                    **({"REVOCATION_LISTS": _REVOKED} if args.revoked else {}),
                },
                # Files, not variables: `docker inspect` shows variables to whoever may ask the engine.
                files={
                    "/etc/claude-bottle/mitmproxy-ca.pem": args.authority.key_and_cert,
                    "/etc/claude-bottle/upstream-ca.pem": args.trusted,
                    **({_REVOKED: args.revoked} if args.revoked else {}),
                    "/etc/claude-bottle/tokens.json": pulumi.Output.secret(pulumi.Output.json_dumps(slots)),
                },
                mounts=[docker.ContainerMountArgs(type="volume", target=RECORD, source=record.name)],
                command=["egress"],
                healthcheck=SIDECARS["egress"].check,
                dns=[args.dns],
                mended=args.drift.mended,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.ready = PolicyPush(
            f"{name}-routes",
            PolicyPushArgs("egress", self.container, self.container_name, args.plan.table, args.drift),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"container": self.container.name})
