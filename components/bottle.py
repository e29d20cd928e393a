"""A bottle: the parts of SPEC's picture, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components import images as image_module
from components.agent import Agent, AgentArgs
from components.authorities import Authorities, AuthoritiesArgs
from components.egress import EGRESS_PORT, Egress, EgressArgs
from components.egress_plan import CLAUDE_TOKEN, EgressPlan
from components.images import Images, ImagesArgs
from components.manifest import Manifest
from components.network import CLOSED_DNS, BottleNetwork, BottleNetworkArgs
from components.pipelock import PIPELOCK_HOSTNAME, Pipelock, PipelockArgs
from components.pipelock_config import EGRESS_HOSTNAME, PIPELOCK_PORT
from components.plan import plan
from components.provisioning import Provisioning, ProvisioningArgs


@dataclass
class BottleArgs:
    """manifest: valid. tokens: token_ref to its value, as secret outputs. base: where relative file names start."""

    stack: str
    manifest: Manifest
    tokens: Mapping[str, pulumi.Output[str]]
    base: Path


class Bottle(pulumi.ComponentResource):
    """With routes: agent → egress → pipelock → outside. Without: agent → pipelock → outside, and no egress at all."""

    outputs: dict[str, Any]

    def __init__(self, name: str, args: BottleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("claude-bottle:bottle:Bottle", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        manifest, stack = args.manifest, args.stack
        routed = bool(manifest.egress.routes)
        egress_plan = EgressPlan.of(manifest.egress)
        upstream_roots = "\n".join((args.base / file).read_text() for file in manifest.pipelock.upstream_roots)

        network = BottleNetwork(f"{name}-network", BottleNetworkArgs(stack, routed, manifest.network.outside), child)
        authorities = Authorities(f"{name}-ca", AuthoritiesArgs(stack, routed), child)
        images = Images(f"{name}-image", ImagesArgs(self._own_images(manifest)), child)
        pipelock = Pipelock(
            f"{name}-pipelock",
            PipelockArgs(
                stack=stack,
                manifest=manifest,
                image=images.ids.get("pipelock"),
                inner=network.chain if network.chain is not None else network.agent,
                outside=network.outside,
                authority=authorities.pipelock,
                upstream_roots=upstream_roots,
            ),
            child,
        )
        egress: Egress | None = None
        if network.chain is not None and authorities.egress is not None:
            egress = Egress(
                f"{name}-egress",
                EgressArgs(
                    stack=stack,
                    plan=egress_plan,
                    tokens=args.tokens,
                    image=images.ids["egress"],
                    agent_network=network.agent,
                    chain_network=network.chain,
                    authority=authorities.egress,
                    trusted=pulumi.Output.concat(authorities.pipelock.cert, upstream_roots),
                    dns=CLOSED_DNS,
                    pipelock=pipelock.ready,
                ),
                child,
            )
        proxy = f"{EGRESS_HOSTNAME}:{EGRESS_PORT}" if egress else f"{PIPELOCK_HOSTNAME}:{PIPELOCK_PORT}"
        agent = Agent(
            f"{name}-agent",
            AgentArgs(
                stack=stack,
                config=manifest.agent,
                env=manifest.env,
                image=images.ids.get("agent"),
                network=network.agent,
                proxy=proxy,
                claude=CLAUDE_TOKEN in egress_plan.slots,
                dns=CLOSED_DNS,
                base=args.base,
                ready=[egress.ready if egress else pipelock.ready],
            ),
            child,
        )
        trusted = authorities.agent
        Provisioning(
            f"{name}-provision",
            ProvisioningArgs(agent.container, agent.container_name, trusted.cert, trusted.sha256),
            child,
        )
        self.outputs = {
            "plan": plan(stack, manifest, egress_plan, self._image_names(manifest)),
            "attach": agent.attach,
            "agent_container": agent.container_name,
            "egress_container": egress.container_name if egress else None,
            "pipelock_container": pipelock.container_name,
            "agent_ca_sha256": trusted.sha256,
        }
        self.register_outputs(self.outputs)

    @staticmethod
    def _own_images(manifest: Manifest) -> tuple[str, ...]:
        wanted = {
            "agent": not (manifest.agent.image or manifest.agent.dockerfile),
            "egress": bool(manifest.egress.routes),
            "pipelock": manifest.pipelock.engine == "builtin",
        }
        return tuple(role for role, own in wanted.items() if own)

    @classmethod
    def _image_names(cls, manifest: Manifest) -> dict[str, str]:
        own = {role: image_module.tag(role) for role in cls._own_images(manifest)}
        chosen = {"agent": manifest.agent.image or manifest.agent.dockerfile, "pipelock": manifest.pipelock.image}
        return {**{role: name for role, name in chosen.items() if name}, **own}
