"""egress: the agent's only proxy. It applies the routes and holds the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Fabric, Running, Workload
from claude_bottle.engines.sidecars import SIDECARS
from claude_bottle.host.type_tokens import token
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.policy.names.files import EGRESS_ETC, PROXY_ROOTS, RECORD, ROUTES, TOKENS
from claude_bottle.policy.names.roles import PORTS
from components.authorities import Authority
from components.pipelock import PIPELOCK_HOSTNAME
from components.policy_push import PolicyPush, PolicyPushArgs

_REVOKED = f"{EGRESS_ETC}/revoked.pem"


@dataclass
class EgressArgs:
    """tokens: token_ref to its value, each a secret output. trusted: PEM of the roots trusted on the outbound leg.
    revoked: PEM of revocation lists, may be empty.
    """

    fabric: Fabric
    routes: RouteTableFile
    tokens: Mapping[str, pulumi.Output[str]]
    image: pulumi.Input[str]
    authority: Authority
    trusted: pulumi.Input[str]
    revoked: str


class Egress(pulumi.ComponentResource):
    """The proxy between the agent and pipelock, its only way out. Tokens are readable in this workload only."""

    running: Running
    ready: pulumi.Resource

    def __init__(self, name: str, args: EgressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Egress"), name, {}, formerly(opts, "egress:Egress"))
        slots = {slot: args.tokens[ref] for ref, slot in args.routes.slots.items()}
        self.running = args.fabric.run(
            name,
            Workload(
                role="egress",
                image=args.image,
                memory=512,
                env={
                    "EGRESS_UPSTREAM": f"{PIPELOCK_HOSTNAME}:{PORTS['pipelock']}",
                    "EGRESS_UPSTREAM_CA": PROXY_ROOTS,
                    "EGRESS_ROUTES": ROUTES,
                    **({"REVOCATION_LISTS": _REVOKED} if args.revoked else {}),
                },
                files={
                    f"{EGRESS_ETC}/mitmproxy-ca.pem": args.authority.key_and_cert,
                    f"{EGRESS_ETC}/upstream-ca.pem": args.trusted,
                    **({_REVOKED: args.revoked} if args.revoked else {}),
                    TOKENS: pulumi.Output.secret(pulumi.Output.json_dumps(slots)),
                },
                volumes={RECORD: "egress-record"},
                command=["egress"],
                ready=SIDECARS["egress"].check,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.ready = PolicyPush(
            f"{name}-routes",
            PolicyPushArgs(self.running, "routes", args.routes.table),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"container": self.running.created_name})
