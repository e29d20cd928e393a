"""pipelock: the outbound allowlist and DLP, between egress (or the agent) and the outside."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from addons.pipelock.own_networks import NAMED
from addons.pipelock.upstream_proxy import LOGIN
from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Engine, Fabric, Running, Workload
from claude_bottle.engines.sidecars import SIDECARS
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import pipelock_memory, render
from claude_bottle.policy.names.files import PIPELOCK_CA, PIPELOCK_CA_KEY, PIPELOCK_CONFIG, PIPELOCK_ETC
from components.authorities import Authority
from components.policy_push import PolicyPush, PolicyPushArgs

PIPELOCK_HOSTNAME = "pipelock"

_REVOKED = f"{PIPELOCK_ETC}/revoked.pem"


@dataclass
class PipelockArgs:
    """image: id of the builtin engine's image, None for engine upstream. upstream_roots, revoked: PEM, may be empty.
    proxy_login: user:password at the forward proxy.
    """

    engine: Engine
    fabric: Fabric
    manifest: Manifest
    image: pulumi.Input[str] | None
    authority: Authority
    upstream_roots: str
    revoked: str
    proxy_login: pulumi.Input[str] | None = None


class Pipelock(pulumi.ComponentResource):
    """Besides git-gate the only workload with a way to the outside. Holds no credential but a forward proxy's login."""

    running: Running
    ready: pulumi.Resource

    def __init__(self, name: str, args: PipelockArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Pipelock"), name, {}, formerly(opts, "pipelock:Pipelock"))
        config = args.manifest.pipelock
        builtin = args.image is not None
        check = SIDECARS["pipelock"].check if builtin else ("/pipelock", "healthcheck")
        files: dict[str, pulumi.Input[str]] = {
            PIPELOCK_CA: args.authority.cert,
            PIPELOCK_CA_KEY: args.authority.key,
        }
        if args.upstream_roots:
            files[f"{PIPELOCK_ETC}/upstream-roots.pem"] = args.upstream_roots
        if args.revoked:
            files[_REVOKED] = args.revoked
        if args.proxy_login is not None:
            files[str(LOGIN)] = args.proxy_login
        if not builtin:
            files[PIPELOCK_CONFIG] = render(args.manifest)
        image = args.image
        if image is None:
            image = args.engine.fetched(f"{name}-image", config.image or "", self).id
        self.running = args.fabric.run(
            name,
            Workload(
                role="pipelock",
                image=image,
                memory=pipelock_memory(config.dlp.max_body_mb),
                files=files,
                env={
                    **({"REVOCATION_LISTS": _REVOKED} if args.revoked and builtin else {}),
                    **({NAMED: ",".join(args.fabric.subnets)} if config.internal_exempt else {}),
                },
                command=["pipelock"] if builtin else ["run", "--config", PIPELOCK_CONFIG],
                ready=check,
                resolves_names=True,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        if builtin:
            self.ready = PolicyPush(
                f"{name}-policy",
                PolicyPushArgs(self.running, "policy", render(args.manifest)),
                pulumi.ResourceOptions(parent=self),
            )
        else:
            self.ready = self.running.ready(f"{name}-ready", self, probed=False).resource
        self.register_outputs({"container": self.running.created_name})
