"""The one place where a container of a bottle gets its hardening."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from components.naming import docker_name, labels

SIDECAR_UID = 65534  # nobody, whom the sidecar images run as

HEALTH_INTERVAL = "6s"


@dataclass
class ContainerArgs:
    """What differs between the containers of a bottle.

    networks: (network name, alias) pairs; the container is on these only. memory: MB; there is no swap beyond it.
    files: path to (content, mode); written as `owner` before the start, so a change means a new container.
    healthcheck: a command. wait: the container counts as created when it is healthy, which the engine notices after its
    interval; where something else tells sooner that a part is ready, nothing waits for that.
    """

    role: str
    stack: str
    image: pulumi.Input[str]
    networks: Sequence[tuple[pulumi.Input[str], str]]
    memory: int
    cpus: float | None = None
    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    command: Sequence[str] | None = None
    files: Mapping[str, tuple[pulumi.Input[str], str]] = field(default_factory=dict)
    owner: int = 0
    mounts: Sequence[docker.ContainerMountArgs] = ()
    healthcheck: Sequence[str] | None = None
    wait: bool = False
    dns: Sequence[str] | None = None
    grace_seconds: int = 5
    runtime: str | None = None


def megabytes(size: str) -> int:
    """`512m` or `2g` as a number of MB."""
    match = re.fullmatch(r"([1-9][0-9]*)([mg])", size)
    if match is None:
        raise ValueError(f"not a memory size: {size}")
    return int(match[1]) * (1024 if match[2] == "g" else 1)


def hardened_container(name: str, args: ContainerArgs, opts: pulumi.ResourceOptions) -> docker.Container:
    """A container without capabilities, new privileges or swap, that comes back when its process ends."""
    fixed = docker_name(args.role, args.stack)
    return docker.Container(
        name,
        name=fixed,
        hostname=args.role,
        image=args.image,
        command=list(args.command) if args.command else None,
        envs=[pulumi.Output.concat(key, "=", value) for key, value in args.env.items()],
        # "bridge" is what an engine reports for none, and the provider takes the container off it before it starts;
        # naming a network here instead would lose the alias.
        network_mode="bridge",
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(name=network, aliases=[alias]) for network, alias in args.networks
        ],
        dns=list(args.dns) if args.dns else None,
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        runtime=args.runtime,
        init=True,
        memory=args.memory,
        memory_swap=args.memory,
        cpus=str(args.cpus) if args.cpus else None,
        restart="unless-stopped",
        must_run=True,
        destroy_grace_seconds=args.grace_seconds,
        log_driver="json-file",
        log_opts={"max-size": "10m", "max-file": "3"},
        labels=[
            docker.ContainerLabelArgs(label=label, value=value)
            for label, value in sorted(labels(args.role, args.stack).items())
        ],
        uploads=[
            docker.ContainerUploadArgs(
                file=path, content=content, permissions=mode, owner=str(args.owner), group=str(args.owner)
            )
            for path, (content, mode) in args.files.items()
        ],
        mounts=list(args.mounts) or None,
        healthcheck=docker.ContainerHealthcheckArgs(
            # Each look starts a process in the container: with twenty bottles, every two seconds was more than a core.
            tests=["CMD", *args.healthcheck],
            interval=HEALTH_INTERVAL,
            timeout="3s",
            retries=3,
            start_period="20s",
        )
        if args.healthcheck
        else None,
        wait=args.wait,
        wait_timeout=120,
        opts=pulumi.ResourceOptions.merge(
            # The name is fixed, so two cannot be there at once; `init` is not ForceNew in the provider.
            pulumi.ResourceOptions(delete_before_replace=True, replace_on_changes=["init"]),
            opts,
        ),
    )
