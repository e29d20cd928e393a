"""Keeps every container on its networks and on no other, whatever somebody has connected or cut by hand.

Gives each its limit of processes too, for which the provider has no argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_command as command
import pulumi_docker as docker

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.engines.docker.resources.provider_engine import provider_engine
from claude_bottle.engines.local_command import local_command
from claude_bottle.host.type_tokens import token

# WANTED has a line per container and network: container, network, alias. The provider sees such a change only in the
# outputs of a container (aliases not even there), so this is what mends it.
_MEND = """
set -eu
networks() { docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}' "$1"; }
for container in $(printf '%s\\n' "$WANTED" | cut -d' ' -f1 | sort -u); do
  for there in $(networks "$container"); do
    printf '%s\\n' "$WANTED" | grep -qF "$container $there " && continue
    docker network disconnect -f "$there" "$container"
    echo "$container: taken off $there, where it does not belong" >&2
  done
done
printf '%s\\n' "$WANTED" | while read -r container network alias; do
  networks "$container" | grep -qxF "$network" && continue
  docker network connect --alias "$alias" "$network" "$container"
  echo "$container: put back on $network" >&2
done
printf '%s\\n' "$PROCESSES" | while read -r container most; do
  docker update --pids-limit "$most" "$container" >/dev/null
done
"""
# Processes and threads. The machine has 32,768 in all by default (proc(5), pid_max), for all bottles and its owner.
_AGENT, _SIDECAR = 4096, 1024


@dataclass
class AttachmentsArgs:
    """wanted: container name to the (network, alias) pairs it is on. containers: the same containers."""

    wanted: Mapping[str, Sequence[tuple[pulumi.Input[str], str]]]
    containers: Sequence[docker.Container]


class Attachments(pulumi.ComponentResource):
    """Runs when a container is new, or when a refresh has seen it on other networks than before."""

    mended: command.local.Command

    def __init__(self, name: str, args: AttachmentsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Attachments"), name, {}, formerly(opts, "attachments:Attachments"))
        lines = [
            pulumi.Output.concat(container, " ", network, " ", alias)
            for container, joined in args.wanted.items()
            for network, alias in joined
        ]
        most = {name: _AGENT if name.startswith(docker_name("agent", "")) else _SIDECAR for name in args.wanted}
        environment: dict[str, pulumi.Input[str]] = {
            **provider_engine(),
            "WANTED": pulumi.Output.all(*lines).apply("\n".join),
            "PROCESSES": "\n".join(f"{name} {number}" for name, number in most.items()),
        }
        triggers = [self._seen(container) for container in args.containers]
        self.mended = local_command(f"{name}-mend", _MEND, environment, triggers, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})

    @staticmethod
    def _seen(container: docker.Container) -> pulumi.Output[str]:
        """The container and the networks that it was last seen on."""
        names = container.network_datas.apply(
            lambda found: " ".join(sorted(str(item.network_name) for item in found or []))
        )
        return pulumi.Output.concat(container.id, " ", names)
