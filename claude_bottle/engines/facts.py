"""What an engine says of itself and of one stack, as plain data. Preflight judges it; each engine gathers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from claude_bottle.engines.client import Part


@dataclass(frozen=True)
class MountFacts:
    """How a workload meets a folder of the owner's machine.

    other_root: its root is another user on that machine. other_ids: and so is every user of it, because ids are mapped.
    selinux: a folder needs the label of a container's.
    """

    other_root: bool = False
    other_ids: bool = False
    selinux: bool = False


@dataclass(frozen=True)
class Facts:
    """Gathered before the first resource.

    unfit: (value or None, reason) for each reason why no bottle can run on the engine. far: the engine is on another
    machine than the owner's. memory_mb: of the engine's machine, 0 if unknown; free_mb: of it, None if unknown.
    runtimes: names of the container runtimes, None if unknown. networks: names of all networks. parts: everything on
    the engine that carries the stack's label or name. missing_images: by name, why an image can neither be found on the
    engine nor be pulled.
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
