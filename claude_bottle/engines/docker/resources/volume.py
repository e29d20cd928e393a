"""The one place where a bottle's volumes get their names and labels."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.docker.naming import docker_name, labels


def named_volume(name: str, role: str, stack: str, parent: pulumi.Resource) -> docker.Volume:
    """`claude-bottle-<role>-<stack>`, which outlives the containers that use it and goes with the stack."""
    return docker.Volume(
        name,
        name=docker_name(role, stack),
        labels=[
            docker.VolumeLabelArgs(label=label, value=value) for label, value in sorted(labels(role, stack).items())
        ],
        opts=pulumi.ResourceOptions(parent=parent),
    )
