"""Steps on a running container. A step runs again only if the container or one of its inputs is new."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.declare import Step, Text
from claude_bottle.engines.docker.client import attach_line
from claude_bottle.engines.docker.live.drift import Drift
from claude_bottle.engines.docker.live.look import version
from claude_bottle.engines.docker.resources.engine_step import engine_step
from claude_bottle.engines.docker.resources.provider_engine import provider_engine
from claude_bottle.engines.local_command import local_command
from claude_bottle.engines.sidecars import SIDECARS


@dataclass
class RunningContainer:
    """check: succeeds when the container is ready. drift: found when the program started."""

    role: str
    name: str
    container: docker.Container
    check: Sequence[str] = ()
    drift: Drift = field(default_factory=Drift)

    @property
    def created_name(self) -> pulumi.Output[str]:
        return self.container.name

    def attach(self, *argv: str) -> str:
        return attach_line(provider_engine(), self.name, argv)

    def step(
        self,
        name: str,
        argv: Sequence[str],
        parent: pulumi.Resource,
        *,
        stdin: Text = "",
        after: Sequence[pulumi.Resource] = (),
    ) -> Step:
        # A new container has a new id, which replaces the command. New content updates it.
        command = local_command(
            name, f"exec {shlex.join(argv)}", provider_engine(), [self.container.id], self._opts(parent, after), stdin
        )
        return Step(command, command.stdout)

    def ready(
        self,
        name: str,
        parent: pulumi.Resource,
        *,
        put: Sequence[str] = (),
        stdin: str = "",
        probed: bool = True,
    ) -> Step:
        given = {
            "container": self.name,
            "put": list(put),
            "content": stdin,
            "check": list(self.check),
            "look": SIDECARS[self.role].spec if probed else "",
            **({"probe": version(self.role)} if probed else {}),
            **({"drift": self.drift.again} if self.drift.again else {}),
        }
        command = engine_step(name, "ready", given, [self.container.id], self._opts(parent))
        return Step(command, command.stdout)

    def _opts(self, parent: pulumi.Resource, after: Sequence[pulumi.Resource] = ()) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=parent, deleted_with=self.container, depends_on=[*after])
