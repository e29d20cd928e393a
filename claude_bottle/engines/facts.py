"""Facts about an engine and one stack on it, as plain data. Each engine gathers them; preflight judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from claude_bottle.engines.client import Part


@dataclass(frozen=True)
class MountFacts:
    """How a workload accesses a folder of the owner's machine.

    other_root: root in the workload is another user on that machine. other_ids: so is every other user of the workload,
    because ids are mapped. selinux: a mounted folder needs a container's SELinux label.
    """

    other_root: bool = False
    other_ids: bool = False
    selinux: bool = False


@dataclass(frozen=True)
class Facts:
    """Gathered before the first resource is registered.

    unfit: (value or None, reason) for each reason why no bottle can run on the engine. far: the engine is not on the
    owner's machine. memory_mb: total memory of the engine's machine in MB, 0 if unknown. free_mb: its available memory
    in MB, None if unknown. runtimes: names of the container runtimes, None if unknown. networks: names of all networks.
    parts: everything on the engine that carries the stack's label or name. missing_images: image name to the reason why
    it can neither be found on the engine nor be pulled.
    """

    unfit: Sequence[tuple[str | None, str]] = ()
    far: bool = False
    memory_mb: int = 0
    free_mb: int | None = None
    runtimes: Sequence[str] | None = None
    networks: Sequence[str] = ()
    mounts: MountFacts = MountFacts()
    parts: Sequence[Part] = ()
    missing_images: Mapping[str, str] = field(default_factory=dict)
