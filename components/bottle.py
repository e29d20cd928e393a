"""A bottle: all of its components, connected."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Engine
from claude_bottle.host.git_remotes import GateRemote
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile, placeholders
from claude_bottle.plan.resolved import plan
from claude_bottle.policy.names.git_upstream import git_config
from claude_bottle.policy.own_command import KEPT
from claude_bottle.workspace.copies import Copies
from components import images as image_module
from components.agent import Agent, AgentArgs
from components.agent_image import AgentImage, AgentImageArgs, image_name
from components.authorities import Authorities, AuthoritiesArgs
from components.egress import Egress, EgressArgs
from components.flows import flows, proxy_of_agent
from components.git_gate import GitGate, GitGateArgs
from components.images import Images, ImagesArgs
from components.pipelock import Pipelock, PipelockArgs
from components.provisioning import Provisioning, ProvisioningArgs
from components.secret_digests import SecretDigests
from components.supervise import Supervise, SuperviseArgs


@dataclass
class BottleArgs:
    """manifest: valid. tokens: token_ref to its value, as secret outputs. copies: folders of the host to copy or mount.
    remotes: git remotes with their credentials.

    base: folder of relative file names. engine: where the bottle runs. checkout: who runs `up`.
    """

    stack: str
    manifest: Manifest
    tokens: Mapping[str, pulumi.Output[str]]
    copies: Copies
    remotes: Sequence[GateRemote]
    base: Path
    engine: Engine
    checkout: Mapping[str, str] = field(default_factory=dict)


class Bottle(pulumi.ComponentResource):
    """With the manifest key `egress`: agent → egress → pipelock → outside. Without: agent → pipelock → outside."""

    outputs: dict[str, Any]

    def __init__(self, name: str, args: BottleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        manifest, stack = args.manifest, args.stack
        route_file = RouteTableFile.of(manifest)
        config = manifest.pipelock
        files = {file: (args.base / file).read_text() for file in (*config.ca_files, *config.crl_files)}
        images_named = self._image_names(manifest, args.base)
        volumes = {role: args.engine.volume_name(role, stack) for role in ("home", "mirrors")}
        planned = plan(stack, manifest, route_file, args.copies, args.remotes, images_named, volumes, files)
        # Also an input: `pulumi preview --json` shows the inputs of what changes, but no new output of a stack.
        super().__init__(token("Bottle"), name, {"plan": planned}, formerly(opts, "bottle:Bottle"))
        child = pulumi.ResourceOptions(parent=self)
        routed = manifest.routed
        upstream_roots = "\n".join(files[file] for file in config.ca_files)
        revoked = "\n".join(files[file] for file in config.crl_files)

        engine = args.engine
        needed = flows(routed=routed, git=bool(args.remotes), supervise=manifest.supervise)
        outside, pool = manifest.network.external, manifest.network.pool
        fabric = engine.fabric(f"{name}-network", stack, needed, child, outside=outside, pool=pool)
        authorities = Authorities(f"{name}-ca", AuthoritiesArgs(stack, routed), child)
        secrets: dict[str, pulumi.Input[str]] = {**args.tokens}
        secrets |= {f"git {remote.name}": remote.secret for remote in args.remotes}
        SecretDigests(f"{name}-secrets", secrets, authorities.pipelock.key, child)
        images = Images(f"{name}-image", ImagesArgs(self._own_images(manifest), engine), child)
        pipelock = Pipelock(
            f"{name}-pipelock",
            PipelockArgs(
                engine=engine,
                fabric=fabric,
                manifest=manifest,
                image=images.ids.get("pipelock"),
                authority=authorities.pipelock,
                upstream_roots=upstream_roots,
                revoked=revoked,
                proxy_login=args.tokens.get(config.upstream_proxy_ref or ""),
            ),
            child,
        )
        egress: Egress | None = None
        if authorities.egress is not None:
            egress = Egress(
                f"{name}-egress",
                EgressArgs(
                    fabric=fabric,
                    routes=route_file,
                    tokens=args.tokens,
                    image=images.ids["egress"],
                    authority=authorities.egress,
                    trusted=pulumi.Output.concat(authorities.pipelock.cert, upstream_roots),
                    revoked=revoked,
                ),
                child,
            )
        gate: GitGate | None = None
        if args.remotes:
            gate = GitGate(
                f"{name}-git-gate",
                GitGateArgs(
                    fabric=fabric,
                    remotes=args.remotes,
                    image=images.ids["git-gate"],
                    roots=upstream_roots,
                    proxy=(config.upstream_proxy or "").removeprefix("http://"),
                    proxy_login=args.tokens.get(config.upstream_proxy_ref or ""),
                ),
                child,
            )
        proxy = "{}:{}".format(*proxy_of_agent(routed=routed))
        asking: Supervise | None = None
        if manifest.supervise:
            asking = Supervise(
                f"{name}-supervise",
                SuperviseArgs(fabric, images.ids["supervise"], proxy, authorities.agent.cert),
                child,
            )
        image = AgentImage(
            f"{name}-agent-image", AgentImageArgs(engine, manifest.agent, images.ids.get("agent"), args.base), child
        )
        agent = Agent(
            f"{name}-agent",
            AgentArgs(
                config=manifest.agent,
                env=manifest.env,
                image=image.id,
                fabric=fabric,
                proxy=proxy,
                placeholders=placeholders(manifest.egress),
                supervise=manifest.supervise,
                workspace=args.copies.workspace,
                ready=[part.ready for part in (pipelock, egress, gate, asking) if part],
            ),
            child,
        )
        closed = fabric.close(f"{name}-attachments", self)
        prober = images.ids[self._prober(images.ids)]
        proven = fabric.prove(f"{name}-closure", self, prober, closed, args.copies.digest)
        trusted = authorities.agent
        Provisioning(
            f"{name}-provision",
            ProvisioningArgs(
                agent=agent.running,
                stack=stack,
                ca=trusted.cert,
                sha256=trusted.sha256,
                copies=args.copies,
                supervise=manifest.supervise,
                git_config=git_config(
                    {remote.name: remote.upstream for remote in args.remotes},
                    [route.host for route in manifest.egress.routes],
                ),
                proven=proven,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[closed]),
        )
        self.outputs = {
            "plan": planned,
            "attach": agent.running.attach("claude"),
            "pull": f"{KEPT} pull {stack}" if args.copies.workspace else None,
            "agent_container": agent.running.name,
            "egress_container": egress.running.name if egress else None,
            "git_gate_container": gate.running.name if gate else None,
            "supervise_container": asking.running.name if asking else None,
            "pipelock_container": pipelock.running.name,
            "agent_ca_sha256": trusted.sha256,
        }
        # Not an output of the stack, because it is for the next run of this program (claude_bottle/host/checkout.py).
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
        chosen = tuple(role for role, own in wanted.items() if own)
        return chosen if set(chosen) - {"agent"} else (*chosen, "supervise")  # the closure proof needs a sidecar image

    @staticmethod
    def _prober(own: Collection[str]) -> str:
        """The role whose image runs the closure proof: any of the project's sidecars."""
        return next(role for role in own if role != "agent")

    @classmethod
    def _image_names(cls, manifest: Manifest, base: Path) -> dict[str, str]:
        own = {role: image_module.tag(role) for role in cls._own_images(manifest) if role != "agent"}
        given = {"pipelock": manifest.pipelock.image} if manifest.pipelock.image else {}
        return {"agent": image_name(manifest.agent, base), **given, **own}
