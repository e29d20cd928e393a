"""supervise: where the agent asks its owner to allow a refused request. Stores proposals and cannot approve one."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Fabric, Running, Workload
from claude_bottle.engines.sidecars import SIDECARS
from claude_bottle.host.type_tokens import token
from claude_bottle.policy.names.files import PROPOSALS, SUPERVISE_CA


@dataclass
class SuperviseArgs:
    """proxy: host:port of the agent's proxy. ca: the certificate that the agent trusts, PEM."""

    fabric: Fabric
    image: pulumi.Input[str]
    proxy: str
    ca: pulumi.Input[str]


class Supervise(pulumi.ComponentResource):
    """Serves only the agent. Holds no credential and cannot reach the owner's machine; the owner connects to it."""

    running: Running
    ready: pulumi.Resource

    def __init__(self, name: str, args: SuperviseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Supervise"), name, {}, formerly(opts, "supervise:Supervise"))
        self.running = args.fabric.run(
            name,
            Workload(
                role="supervise",
                image=args.image,
                memory=256,
                env={"BOTTLE_PROXY": f"http://{args.proxy}"},
                files={SUPERVISE_CA: args.ca},
                volumes={PROPOSALS: "proposals"},
                ready=SIDECARS["supervise"].check,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.ready = self.running.ready(f"{name}-ready", self).resource
        self.register_outputs({"container": self.running.created_name})
