"""Gives a running proxy its policy: validated, live before this is done, without a restart and with streams kept."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Running
from claude_bottle.host.type_tokens import token

# put.py says in one line why a policy was refused, and leaves the one in force.
_PUT = ("/opt/proxy/bin/python", "/app/put.py")


@dataclass
class PolicyPushArgs:
    """proxy: egress or pipelock. kind: of its policy, as put.py calls it. content: the file, no secret in it."""

    proxy: Running
    kind: str
    content: str


class PolicyPush(pulumi.ComponentResource):
    """Runs when the proxy or the content is new, or another one is in force; succeeds only when the proxy says that
    the content is live, and answers."""

    def __init__(self, name: str, args: PolicyPushArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("PolicyPush"), name, {}, formerly(opts, "policy_push:PolicyPush"))
        put = args.proxy.ready(f"{name}-put", self, put=(*_PUT, args.kind), stdin=args.content)
        self.register_outputs({"live": put.said})
