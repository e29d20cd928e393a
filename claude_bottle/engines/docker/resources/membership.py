"""Keeps every container on its networks and on no other, even after somebody connects or disconnects one by hand.

Also sets each container's limit of processes, because the provider has no argument for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.resources.provider_engine import provider_engine
from claude_bottle.engines.local_command import local_command
from claude_bottle.host.type_tokens import token

# WANTED has a line per container and network: container, network, alias. The provider shows such a change only in the
# outputs of a container, and aliases not at all, so this script repairs it.
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


@dataclass(frozen=True)
class Member:
    """joined: (network, alias) pairs of the container. processes: limit of processes and threads. own_network: its
    runtime may keep a network stack of its own.
    """

    role: str
    container: docker.Container
    name: str
    joined: Sequence[tuple[pulumi.Input[str], str]]
    processes: int
    own_network: bool = False


class Attachments(pulumi.ComponentResource):
    """Runs for a new container, and for one that a refresh has seen on other networks."""

    def __init__(self, name: str, members: Sequence[Member], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Attachments"), name, {}, formerly(opts, "attachments:Attachments"))
        lines = [
            pulumi.Output.concat(member.name, " ", network, " ", alias)
            for member in members
            for network, alias in member.joined
        ]
        environment: dict[str, pulumi.Input[str]] = {
            **provider_engine(),
            "WANTED": pulumi.Output.all(*lines).apply("\n".join),
            "PROCESSES": "\n".join(f"{member.name} {member.processes}" for member in members),
        }
        triggers = [seen(member.container) for member in members]
        local_command(f"{name}-mend", _MEND, environment, triggers, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})


def seen(container: docker.Container) -> pulumi.Output[str]:
    """The container's id and the networks that the last refresh saw it on."""
    names = container.network_datas.apply(
        lambda networks: " ".join(sorted(str(item.network_name) for item in networks or []))
    )
    return pulumi.Output.concat(container.id, " ", names)
