"""Gives a running proxy its policy: validated, live before this is done, without a restart and with streams kept."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.drift import Drift
from claude_bottle.engines.docker.live import SIDECARS
from claude_bottle.engines.docker.resources.container_command import ReadyArgs, ready_command
from claude_bottle.host.type_tokens import token

# put.py says in one line why a policy was refused, and leaves the one in force.
_PUT = 'docker exec -i -u 0 "$CONTAINER" /opt/proxy/bin/python /app/put.py "$KIND"'
_KINDS = {"egress": "routes", "pipelock": "policy"}


@dataclass
class PolicyPushArgs:
    """role: egress or pipelock. content: the file, no secret in it. drift: what was found in the container."""

    role: str
    container: docker.Container
    container_name: str
    content: str
    drift: Drift


class PolicyPush(pulumi.ComponentResource):
    """Runs when the container or the content is new, or another one is in force; succeeds only when the proxy says that
    the content is live, and answers."""

    def __init__(self, name: str, args: PolicyPushArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("PolicyPush"), name, {}, formerly(opts, "policy_push:PolicyPush"))
        put = ready_command(
            f"{name}-put",
            ReadyArgs(
                role=args.role,
                container=args.container,
                container_name=args.container_name,
                check=SIDECARS[args.role].check,
                drift=args.drift,
                put=_PUT,
                stdin=args.content,
                env={"KIND": _KINDS[args.role]},
            ),
            self,
        )
        self.register_outputs({"live": put.stdout})
