"""Pushes a policy to a running proxy, without a restart and with open streams kept. Done once it is in force."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Running
from claude_bottle.host.type_tokens import token
from claude_bottle.policy.names.files import PROXY_PYTHON

# put.py prints one line with the reason for refusing a policy, and keeps the policy in force.
_PUT = (PROXY_PYTHON, "/app/put.py")


@dataclass
class PolicyPushArgs:
    """proxy: egress or pipelock. kind: of its policy, in put.py's terms. content: the file, without secrets."""

    proxy: Running
    kind: str
    content: str


class PolicyPush(pulumi.ComponentResource):
    """Runs if the proxy or the content is new, or another policy is in force. Succeeds only once the proxy reports the
    content as live and answers."""

    def __init__(self, name: str, args: PolicyPushArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("PolicyPush"), name, {}, formerly(opts, "policy_push:PolicyPush"))
        put = args.proxy.ready(f"{name}-put", self, put=(*_PUT, args.kind), stdin=args.content)
        self.register_outputs({"live": put.said})
