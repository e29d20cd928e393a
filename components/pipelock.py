"""pipelock: the outbound allowlist and DLP, between egress (or the agent) and the outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from addons.pipelock.own_networks import NAMED
from addons.pipelock.upstream_proxy import LOGIN
from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.drift import Drift
from claude_bottle.engines.docker.live import SIDECARS
from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.engines.docker.resources.container import ContainerArgs, hardened_container
from claude_bottle.engines.docker.resources.container_command import ReadyArgs, ready_command
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import pipelock_memory, render
from components.authorities import Authority
from components.policy_push import PolicyPush, PolicyPushArgs

PIPELOCK_HOSTNAME = "pipelock"

_REVOKED = "/etc/pipelock/revoked.pem"


@dataclass
class PipelockArgs:
    """inner: the network of its client. image: id of the builtin engine's image, None for engine upstream.
    upstream_roots, revoked: PEM, may be empty. own_networks: subnets of the bottle. proxy_login: user:password at the
    forward proxy. drift: what was found in the container.
    """

    stack: str
    manifest: Manifest
    image: pulumi.Input[str] | None
    inner: pulumi.Input[str]
    outside: pulumi.Input[str]
    authority: Authority
    upstream_roots: str
    revoked: str
    own_networks: Sequence[str] = ()
    proxy_login: pulumi.Input[str] | None = None
    drift: Drift = field(default_factory=Drift)


class Pipelock(pulumi.ComponentResource):
    """The only part, besides git-gate, on the outside network; holds no credential but a login at a forward proxy."""

    container: docker.Container
    container_name: str
    networks: list[tuple[pulumi.Input[str], str]]
    ready: pulumi.Resource

    def __init__(self, name: str, args: PipelockArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Pipelock"), name, {}, formerly(opts, "pipelock:Pipelock"))
        config = args.manifest.pipelock
        builtin = args.image is not None
        check = SIDECARS["pipelock"].check if builtin else ("/pipelock", "healthcheck")
        files: dict[str, pulumi.Input[str]] = {
            "/etc/pipelock/ca.pem": args.authority.cert,
            "/etc/pipelock/ca-key.pem": args.authority.key,
        }
        if args.upstream_roots:
            files["/etc/pipelock/upstream-roots.pem"] = args.upstream_roots
        if args.revoked:
            files[_REVOKED] = args.revoked
        if args.proxy_login is not None:
            files[str(LOGIN)] = args.proxy_login
        if not builtin:
            files["/etc/pipelock/pipelock.yaml"] = render(args.manifest)
        self.container_name = docker_name("pipelock", args.stack)
        self.networks = [(args.inner, PIPELOCK_HOSTNAME), (args.outside, f"{PIPELOCK_HOSTNAME}-{args.stack}")]
        self.container = hardened_container(
            f"{name}-container",
            ContainerArgs(
                role="pipelock",
                stack=args.stack,
                image=args.image if args.image is not None else self._upstream(name, config.image or ""),
                networks=self.networks,
                memory=pipelock_memory(config.dlp.max_body_mb),
                files=files,
                env={
                    **({"REVOCATION_LISTS": _REVOKED} if args.revoked and builtin else {}),
                    **({NAMED: ",".join(args.own_networks)} if config.internal_exempt else {}),
                },
                command=["pipelock"] if builtin else ["run", "--config", "/etc/pipelock/pipelock.yaml"],
                healthcheck=check,
                mended=args.drift.mended,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        if builtin:
            self.ready = PolicyPush(
                f"{name}-policy",
                PolicyPushArgs("pipelock", self.container, self.container_name, render(args.manifest), args.drift),
                pulumi.ResourceOptions(parent=self),
            )
        else:
            ready = ReadyArgs("pipelock", self.container, self.container_name, check, args.drift, probed=False)
            self.ready = ready_command(f"{name}-ready", ready, self)
        self.register_outputs({"container": self.container.name})

    def _upstream(self, name: str, image: str) -> pulumi.Output[str]:
        return docker.RemoteImage(
            f"{name}-image", name=image, keep_locally=True, opts=pulumi.ResourceOptions(parent=self)
        ).image_id
