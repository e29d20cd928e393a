"""The one place where a container of a bottle gets its hardening."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.docker.drift import LABEL_MENDED
from claude_bottle.engines.docker.naming import docker_name, labels

RECORD = "/var/lib/claude-bottle/record"  # where a sidecar keeps what it has let out (claude_bottle/policy/record.py)

_SCRATCH = 16 << 20  # bytes of each
OPEN_FILES = 16_384  # of one process; an engine that has fewer itself starts no container, and says so
HEALTH_INTERVAL = "6s"
# Docker 20.10's resolver gives no answer where its name server gives none: without these a program waits 20 seconds to
# hear that there is no such name (resolv.conf(5): 5 seconds, 2 attempts, for each address family).
_DNS_OPTIONS = ("timeout:1", "attempts:1")


@dataclass
class ContainerArgs:
    """What differs between the containers of a bottle.

    networks: (network name, alias) pairs; the container is on these only. memory: MB; there is no swap beyond it.
    dns: name servers that answer nothing; None: the engine's own. shm: MB of /dev/shm, none for the engine's default.
    cpu_shares: how much of a busy machine it gets beside others, whose default is 1024.
    files: path to content; written before the start, so a change means a new container. They are root's, so that who
    runs there can neither write to one nor make it writable; and for all to read, of whom there is but one.
    healthcheck: a command; nothing here waits for it.
    mended: why this container took the place of one that was changed by hand; a new reason makes a new container.
    """

    role: str
    stack: str
    image: pulumi.Input[str]
    networks: Sequence[tuple[pulumi.Input[str], str]]
    memory: int
    cpus: float | None = None
    cpu_shares: int = 1024
    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    command: Sequence[str] | None = None
    files: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    mounts: Sequence[docker.ContainerMountArgs] = ()
    healthcheck: Sequence[str] | None = None
    mended: str | None = None
    dns: Sequence[str] | None = None
    shm: int | None = None
    grace_seconds: int = 5
    runtime: str | None = None


def scratch(role: str) -> list[docker.ContainerMountArgs]:
    """What anybody in a sidecar may write to is in memory and has a size, so that it takes nothing of the disk.

    The root is not mounted read-only, because the engine puts no files into such a one; all else there is root's, but
    for the state of the sidecar in /run.
    """
    if role == "agent":
        return []
    options = docker.ContainerMountTmpfsOptionsArgs(size_bytes=_SCRATCH, mode=0o1777)
    paths = ("/run/lock", "/tmp", "/var/tmp")  # noqa: S108
    return [docker.ContainerMountArgs(type="tmpfs", target=p, read_only=False, tmpfs_options=options) for p in paths]


def hardened_container(name: str, args: ContainerArgs, opts: pulumi.ResourceOptions) -> docker.Container:
    """A container without capabilities, new privileges or swap, that comes back when its process ends."""
    fixed = docker_name(args.role, args.stack)
    marks = {**labels(args.role, args.stack), **({LABEL_MENDED: args.mended} if args.mended else {})}
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
        dns_opts=list(_DNS_OPTIONS) if args.dns else None,
        shm_size=args.shm,
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        runtime=args.runtime,
        init=True,
        ulimits=[docker.ContainerUlimitArgs(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES)],
        memory=args.memory,
        memory_swap=args.memory,
        cpus=str(args.cpus) if args.cpus else None,
        cpu_shares=args.cpu_shares,
        restart="unless-stopped",
        must_run=True,
        destroy_grace_seconds=args.grace_seconds,
        log_driver="json-file",
        log_opts={"max-size": "10m", "max-file": "3"},
        labels=[docker.ContainerLabelArgs(label=label, value=value) for label, value in sorted(marks.items())],
        # With an owner given, the engine gives them all to the image's user, whoever that owner is (CopyUIDGID).
        uploads=[
            docker.ContainerUploadArgs(file=path, content=content, permissions="0444")
            for path, content in args.files.items()
        ],
        mounts=[*args.mounts, *scratch(args.role)] or None,
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
        opts=pulumi.ResourceOptions.merge(
            # The name is fixed, so two cannot be there at once; `init` is not ForceNew in the provider.
            pulumi.ResourceOptions(delete_before_replace=True, replace_on_changes=["init"]),
            opts,
        ),
    )
