"""Gives a running proxy its policy: validated, live before this is done, without a restart and with streams kept."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.container_command import container_command

# put.py says in one line why a policy was refused, and leaves the one in force.
_PUT = 'docker exec -i -u 0 "$CONTAINER" /opt/proxy/bin/python /app/put.py "$KIND"'


@dataclass
class PolicyPushArgs:
    """kind: `routes` or `policy`. content: the file, no secret in it."""

    kind: str
    container: docker.Container
    container_name: str
    content: str


class PolicyPush(pulumi.ComponentResource):
    """Runs when the container or the content is new; succeeds only when the proxy says that the content is live."""

    def __init__(self, name: str, args: PolicyPushArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("claude-bottle:policy_push:PolicyPush", name, {}, opts)
        put = container_command(
            f"{name}-put",
            _PUT,
            args.container,
            args.container_name,
            stdin=args.content,
            env={"KIND": args.kind},
            parent=self,
        )
        self.register_outputs({"live": put.stdout})
