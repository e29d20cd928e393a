"""Commands that configure the agent once it runs: ca → prompt → skills → workspace → git → supervise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.declare import Running
from claude_bottle.host.type_tokens import token
from claude_bottle.workspace.copies import Copies, Workspace


@dataclass
class ProvisioningArgs:
    """ca: the certificate that the agent trusts, PEM. sha256: its fingerprint, for the log. copies: folders to copy.

    proven: done when the bottle is proven closed. Only the CA is installed before it.
    """

    agent: Running
    stack: str
    ca: pulumi.Output[str]
    sha256: pulumi.Output[str]
    copies: Copies
    git_config: str
    supervise: bool
    proven: pulumi.Resource


class Provisioning(pulumi.ComponentResource):
    """Each step (claude_bottle/provision) runs again if the agent or the step's input is new."""

    def __init__(self, name: str, args: ProvisioningArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Provisioning"), name, {}, formerly(opts, "provisioning:Provisioning"))
        self._name, self._agent = name, args.agent
        self._last: list[pulumi.Resource] = []
        copies = args.copies
        self._step("ca", ca=args.ca, sha256=args.sha256)
        self._last.append(args.proven)
        self._step("prompt", prompt=copies.prompt)
        self._step("skills", skills=[{"name": s.name, "source": s.source, "digest": s.digest} for s in copies.skills])
        if copies.workspace is not None and copies.workspace.mode == "copy":
            self._step("workspace", stack=args.stack, **_copied(copies.workspace))
        self._step("git", config=args.git_config)
        self._step("supervise", wanted=args.supervise)
        self.register_outputs({})

    def _step(self, what: str, **given: Any) -> None:
        """Declare one step, after the one before it."""
        argv = ("python3", "-m", "claude_bottle.provision", what)
        stdin = pulumi.Output.json_dumps({"container": self._agent.name, **given})
        self._last = [self._agent.step(f"{self._name}-{what}", argv, self, stdin=stdin, after=self._last).resource]


def _copied(workspace: Workspace) -> dict[str, Any]:
    copied = {"source": workspace.source, "digest": workspace.digest, "copy_git": workspace.copy_git}
    return {**copied, **({"branches": workspace.branches} if workspace.copy_git else {})}
