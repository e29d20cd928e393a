"""The only place where a container of a bottle gets its hardening, and a volume its name."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_docker as docker

from claude_bottle.engines.declare import Workload
from claude_bottle.engines.docker.live.drift import LABEL_MENDED
from claude_bottle.engines.docker.naming import docker_name, labels
from claude_bottle.engines.docker.resources.network import CLOSED_DNS

_SCRATCH = 16 << 20  # bytes of each tmpfs
OPEN_FILES = 16_384  # for one process; an engine with a lower limit of its own starts no container and reports why
HEALTH_INTERVAL = "6s"
_GRACE = 5  # seconds between SIGTERM and SIGKILL
# Docker 20.10's resolver gives no answer if its name server gives none. Without these options a program waits 20
# seconds to learn that a name does not exist (resolv.conf(5): 5 seconds, 2 attempts, for each address family).
_DNS_OPTIONS = ("timeout:1", "attempts:1")


def volumes_of(name: str, stack: str, workload: Workload, parent: pulumi.Resource | None) -> list[docker.Volume]:
    """Volumes named `claude-bottle-<role>-<stack>`, which outlive their containers and are deleted with the stack."""
    return [
        docker.Volume(
            f"{name}-{role.removeprefix(f'{workload.role}-')}",
            name=docker_name(role, stack),
            labels=[
                docker.VolumeLabelArgs(label=label, value=value) for label, value in sorted(labels(role, stack).items())
            ],
            opts=pulumi.ResourceOptions(parent=parent),
        )
        for role in workload.volumes.values()
    ]


def _mounts(workload: Workload, volumes: Sequence[docker.Volume]) -> list[docker.ContainerMountArgs]:
    """Paths that any user in a sidecar may write to are tmpfs with a size limit, so that they use no disk.

    The root file system is not read-only, because the engine uploads no files into a read-only one. Everything else in
    it belongs to root, except for the sidecar's state in /run.
    """
    mounts = [
        docker.ContainerMountArgs(type="volume", target=path, source=volume.name)
        for path, volume in zip(workload.volumes, volumes, strict=True)
    ]
    mounts += [
        docker.ContainerMountArgs(type="bind", target=m.path, source=m.source, read_only=m.read_only or None)
        for m in workload.host_mounts
    ]
    if workload.disk:
        return mounts
    options = docker.ContainerMountTmpfsOptionsArgs(size_bytes=_SCRATCH, mode=0o1777)
    paths = ("/run/lock", "/tmp", "/var/tmp")  # noqa: S108
    scratch = [docker.ContainerMountArgs(type="tmpfs", target=p, read_only=False, tmpfs_options=options) for p in paths]
    return [*mounts, *scratch]


def hardened_container(
    name: str,
    stack: str,
    workload: Workload,
    joined: Sequence[tuple[pulumi.Input[str], str]],
    volumes: Sequence[docker.Volume],
    mended: str | None,
    opts: pulumi.ResourceOptions,
) -> docker.Container:
    """A container without capabilities, new privileges or swap, which restarts when its process ends.

    joined: (network name, alias) pairs; the container is on these networks only.
    mended: why this container replaces one that was changed by hand; a new reason makes a new container.
    """
    marks = {**labels(workload.role, stack), **({LABEL_MENDED: mended} if mended else {})}
    return docker.Container(
        f"{name}-container",
        name=docker_name(workload.role, stack),
        hostname=workload.role,
        image=workload.image,
        command=list(workload.command) or None,
        envs=[pulumi.Output.concat(key, "=", value) for key, value in workload.env.items()],
        # The engine reports "bridge" for no network, and the provider disconnects it before the container starts.
        # Naming a network here instead would lose the alias.
        network_mode="bridge",
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(name=network, aliases=[alias]) for network, alias in joined
        ],
        dns=None if workload.resolves_names else [CLOSED_DNS],
        dns_opts=None if workload.resolves_names else list(_DNS_OPTIONS),
        shm_size=workload.shared_memory,
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        runtime=workload.runtime,
        init=True,
        ulimits=[docker.ContainerUlimitArgs(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES)],
        memory=workload.memory,
        memory_swap=workload.memory,
        cpus=str(workload.cpus) if workload.cpus else None,
        cpu_shares=workload.cpu_shares,
        restart="unless-stopped",
        must_run=True,
        destroy_grace_seconds=_GRACE,
        log_driver="json-file",
        log_opts={"max-size": "10m", "max-file": "3"},
        labels=[docker.ContainerLabelArgs(label=label, value=value) for label, value in sorted(marks.items())],
        # If an upload names an owner, the engine gives all of them to the image's user instead (CopyUIDGID). They are
        # readable by all, because the container has one user only.
        uploads=[
            docker.ContainerUploadArgs(file=path, content=content, permissions="0444")
            for path, content in workload.files.items()
        ],
        mounts=_mounts(workload, volumes) or None,
        healthcheck=docker.ContainerHealthcheckArgs(
            # Each check starts a process in the container: with twenty bottles, one every two seconds cost over a core.
            tests=["CMD", *workload.ready],
            interval=HEALTH_INTERVAL,
            timeout="3s",
            retries=3,
            start_period="20s",
        )
        if workload.ready
        else None,
        opts=pulumi.ResourceOptions.merge(
            # The name is fixed, so two containers cannot coexist. `init` is not ForceNew in the provider.
            pulumi.ResourceOptions(delete_before_replace=True, replace_on_changes=["init"]),
            opts,
        ),
    )
