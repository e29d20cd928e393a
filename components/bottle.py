"""A bottle: the parts of SPEC's picture, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.drift import Drift
from claude_bottle.engines.docker.live import SIDECARS
from claude_bottle.engines.docker.resources.attachments import Attachments, AttachmentsArgs
from claude_bottle.engines.docker.resources.network import CLOSED_DNS, BottleNetwork, BottleNetworkArgs
from claude_bottle.engines.docker.subnets import POOL, Pool, Taken
from claude_bottle.host.git_remotes import GateRemote
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import EGRESS_HOSTNAME, PIPELOCK_PORT
from claude_bottle.manifest.render.routes import EgressPlan, placeholders
from claude_bottle.plan.resolved import plan
from claude_bottle.policy.names.git_upstream import git_config
from claude_bottle.policy.own_command import KEPT
from claude_bottle.workspace.copies import Copies
from components import images as image_module
from components.agent import Agent, AgentArgs
from components.agent_image import AgentImage, AgentImageArgs, image_name
from components.authorities import Authorities, AuthoritiesArgs
from components.egress import EGRESS_PORT, Egress, EgressArgs
from components.git_gate import GitGate, GitGateArgs
from components.images import Images, ImagesArgs
from components.pipelock import PIPELOCK_HOSTNAME, Pipelock, PipelockArgs
from components.provisioning import Provisioning, ProvisioningArgs
from components.secret_digests import SecretDigests
from components.supervise import Supervise, SuperviseArgs


@dataclass
class BottleArgs:
    """manifest: valid. tokens: token_ref to its value, as secret outputs. copies: what of the host gets in.
    remotes: git remotes with their credentials.

    base: where relative file names start. images_there: tags of own images that the engine has.
    taken: the subnets of its networks. ways: networks that its machine has a way to.
    drifts: by role, what is live and was not put there. checkout: who brings it up.
    """

    stack: str
    manifest: Manifest
    tokens: Mapping[str, pulumi.Output[str]]
    copies: Copies
    remotes: Sequence[GateRemote]
    base: Path
    images_there: frozenset[str] = frozenset()
    taken: Sequence[Taken] = ()
    ways: Sequence[str] = ()
    drifts: Mapping[str, Drift] = field(default_factory=dict)
    checkout: Mapping[str, str] = field(default_factory=dict)


class Bottle(pulumi.ComponentResource):
    """With the key `egress`: agent → egress → pipelock → outside. Without: agent → pipelock → outside."""

    outputs: dict[str, Any]

    def __init__(self, name: str, args: BottleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        manifest, stack = args.manifest, args.stack
        egress_plan = EgressPlan.of(manifest)
        config = manifest.pipelock
        files = {file: (args.base / file).read_text() for file in (*config.upstream_roots, *config.revocation_lists)}
        images_named = self._image_names(manifest, args.base)
        planned = plan(stack, manifest, egress_plan, args.copies, args.remotes, images_named, files)
        # An input too: `pulumi preview --json` shows the inputs of what changes, and no new output of a stack.
        super().__init__(token("Bottle"), name, {"plan": planned}, formerly(opts, "bottle:Bottle"))
        child = pulumi.ResourceOptions(parent=self)
        drift = {role: args.drifts.get(role, Drift()) for role in SIDECARS}
        routed = manifest.routed
        upstream_roots = "\n".join(files[file] for file in config.upstream_roots)
        revoked = "\n".join(files[file] for file in config.revocation_lists)

        proxy = f"{EGRESS_HOSTNAME}:{EGRESS_PORT}" if routed else f"{PIPELOCK_HOSTNAME}:{PIPELOCK_PORT}"
        pool = Pool(IPv4Network(manifest.network.pool or POOL), args.ways)
        networks = BottleNetworkArgs(stack, routed, manifest.network.outside, args.taken, pool)
        network = BottleNetwork(f"{name}-network", networks, child)
        authorities = Authorities(f"{name}-ca", AuthoritiesArgs(stack, routed), child)
        secrets: dict[str, pulumi.Input[str]] = {**args.tokens}
        secrets |= {f"git {remote.name}": remote.secret for remote in args.remotes}
        SecretDigests(f"{name}-secrets", secrets, authorities.pipelock.key, child)
        images = Images(f"{name}-image", ImagesArgs(self._own_images(manifest), args.images_there), child)
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
                revoked=revoked,
                own_networks=network.subnets,
                proxy_login=args.tokens.get(config.upstream_proxy_ref or ""),
                drift=drift["pipelock"],
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
                    revoked=revoked,
                    dns=CLOSED_DNS,
                    drift=drift["egress"],
                ),
                child,
            )
        gate: GitGate | None = None
        if args.remotes:
            gate = GitGate(
                f"{name}-git-gate",
                GitGateArgs(
                    stack=stack,
                    remotes=args.remotes,
                    image=images.ids["git-gate"],
                    agent_network=network.agent,
                    outside=network.outside,
                    roots=upstream_roots,
                    proxy=(config.upstream_proxy or "").removeprefix("http://"),
                    proxy_login=args.tokens.get(config.upstream_proxy_ref or ""),
                    drift=drift["git-gate"],
                ),
                child,
            )
        asking: Supervise | None = None
        if manifest.supervise:
            asking = Supervise(
                f"{name}-supervise",
                SuperviseArgs(
                    stack=stack,
                    image=images.ids["supervise"],
                    agent_network=network.agent,
                    proxy=proxy,
                    ca=authorities.agent.cert,
                    dns=CLOSED_DNS,
                    drift=drift["supervise"],
                ),
                child,
            )
        image = AgentImage(
            f"{name}-agent-image", AgentImageArgs(manifest.agent, images.ids.get("agent"), args.base), child
        )
        agent = Agent(
            f"{name}-agent",
            AgentArgs(
                stack=stack,
                config=manifest.agent,
                env=manifest.env,
                image=image.id,
                network=network.agent,
                proxy=proxy,
                placeholders=placeholders(manifest.egress),
                supervise=manifest.supervise,
                dns=CLOSED_DNS,
                workspace=args.copies.workspace,
                ready=[
                    pipelock.ready,
                    *([egress.ready] if egress else []),
                    *[part.ready for part in (gate, asking) if part],
                ],
            ),
            child,
        )
        parts: list[Pipelock | Egress | GitGate | Supervise | Agent] = [
            part for part in (pipelock, egress, gate, asking, agent) if part
        ]
        attachments = Attachments(
            f"{name}-attachments",
            AttachmentsArgs({p.container_name: p.networks for p in parts}, [p.container for p in parts]),
            child,
        )
        trusted = authorities.agent
        Provisioning(
            f"{name}-provision",
            ProvisioningArgs(
                container=agent.container,
                container_name=agent.container_name,
                stack=stack,
                ca=trusted.cert,
                sha256=trusted.sha256,
                copies=args.copies,
                supervise=manifest.supervise,
                git_config=git_config(
                    {remote.name: remote.upstream for remote in args.remotes},
                    [route.host for route in manifest.egress.routes],
                ),
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[attachments]),
        )
        self.outputs = {
            "plan": planned,
            "attach": agent.attach,
            "pull": f"{KEPT} pull {stack}" if args.copies.workspace else None,
            "agent_container": agent.container_name,
            "egress_container": egress.container_name if egress else None,
            "git_gate_container": gate.container_name if gate else None,
            "supervise_container": asking.container_name if asking else None,
            "pipelock_container": pipelock.container_name,
            "agent_ca_sha256": trusted.sha256,
        }
        # Not among the stack's outputs: it is for the next run of this program (claude_bottle/host/checkout.py).
        self.register_outputs({**self.outputs, "checkout": args.checkout})

    @staticmethod
    def _own_images(manifest: Manifest) -> tuple[str, ...]:
        wanted = {
            "agent": not (manifest.agent.image or manifest.agent.dockerfile),
            "egress": manifest.routed,
            "pipelock": manifest.pipelock.engine == "builtin",
            "git-gate": bool(manifest.git),
            "supervise": manifest.supervise,
        }
        return tuple(role for role, own in wanted.items() if own)

    @classmethod
    def _image_names(cls, manifest: Manifest, base: Path) -> dict[str, str]:
        own = {role: image_module.tag(role) for role in cls._own_images(manifest) if role != "agent"}
        given = {"pipelock": manifest.pipelock.image} if manifest.pipelock.image else {}
        return {"agent": image_name(manifest.agent, base), **given, **own}
