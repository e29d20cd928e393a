"""Keeps every container on its networks and on no other, even after somebody connects or disconnects one by hand.

Also sets each container's limit of processes, because the provider has no argument for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.component_types import formerly
from claude_bottle.engines.docker.resources.engine_step import engine_step
from claude_bottle.host.type_tokens import token


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


class Membership(pulumi.ComponentResource):
    """Runs for a new container, and for one that a refresh has seen on other networks."""

    def __init__(self, name: str, members: Sequence[Member], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token("Attachments"), name, {}, formerly(opts, "attachments:Attachments"))
        given = {
            "networks": {member.name: member.joined for member in members},
            "processes": {member.name: member.processes for member in members},
        }
        triggers = [seen(member.container) for member in members]
        engine_step(f"{name}-mend", "membership", given, triggers, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})


def seen(container: docker.Container) -> pulumi.Output[str]:
    """The container's id and the networks that the last refresh saw it on."""
    names = container.network_datas.apply(
        lambda networks: " ".join(sorted(str(item.network_name) for item in networks or []))
    )
    return pulumi.Output.concat(container.id, " ", names)
