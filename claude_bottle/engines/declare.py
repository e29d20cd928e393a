"""What a bottle declares inside a Pulumi program: workloads, who may talk to whom, images. An engine makes them.

The parts of a bottle (components/) know these types and no engine. Nothing here asks anything of the world, so a
preview, an `up` and the mocks of the tests register the same. A bottle that runs is acted on through `client.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pulumi

Text = pulumi.Input[str]
OUTSIDE = "outside"  # as the target of a flow: whatever is not of the bottle


@dataclass(frozen=True)
class Flow:
    """`source` may open `port` of `target`, and calls it by its role. port: None for any, which only OUTSIDE has.

    What no flow names is denied, both ways. An engine whose means are groups may let the targets of one source see one
    another; never a source, and never anything on the outside.
    """

    source: str
    target: str
    port: int | None = None


@dataclass(frozen=True)
class HostMount:
    """A folder of the owner's machine at a path of a workload; an engine on another machine has none."""

    path: str
    source: str
    read_only: bool = False


@dataclass(frozen=True)
class ImageBuild:
    """context: folder. file: the Dockerfile, by its name below the context. arguments: of the build.

    The forward proxy of the owner's shell is added by the engine, which keeps a login in it secret.
    """

    context: str
    file: str
    arguments: Mapping[str, Text] = field(default_factory=dict)
    labels: Mapping[str, Text] | None = None


@dataclass(frozen=True)
class Image:
    """resource: to wait for. id: what a workload runs, which no later image of the same name can become."""

    resource: pulumi.Resource
    id: pulumi.Output[str]


@dataclass(frozen=True)
class Workload:
    """One long-running process, hardened. Names, labels, addresses, restarts and a limit of swap are the engine's.

    memory, shared_memory: MB; the second is of /dev/shm, none for the engine's default. cpu_shares: how much of a busy
    machine it gets beside others, whose default is 1024. processes: and threads, at most. disk: what runs there may
    write to the disk of the engine; without, to its volumes and to a little memory.
    files: path to content, there before the process starts, so a new content makes a new workload. They are root's, so
    that who runs there can neither write to one nor make it writable. A secret is a file, never in `env`, which whoever
    may ask the engine is shown. volumes: path to the role of a volume, which outlives the workload.
    ready: a command that succeeds inside when it is. resolves_names: names of the outside; else the bottle's alone.
    """

    role: str
    image: Text
    memory: int
    env: Mapping[str, Text] = field(default_factory=dict)
    command: Sequence[str] = ()
    files: Mapping[str, Text] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    host_mounts: Sequence[HostMount] = ()
    ready: Sequence[str] = ()
    resolves_names: bool = False
    disk: bool = False
    cpus: float | None = None
    cpu_shares: int = 1024
    processes: int = 1024
    shared_memory: int | None = None
    runtime: str | None = None


@dataclass(frozen=True)
class Step:
    """A step on a workload. said: its output, which the state keeps."""

    resource: pulumi.Resource
    said: pulumi.Output[str]


class Running(Protocol):
    """A workload of this bottle."""

    name: str  # the engine's, known beforehand

    @property
    def created_name(self) -> pulumi.Output[str]:
        """Its name, once it is there."""

    def attach(self, *argv: str) -> str:
        """What a person pastes to run this there on a terminal, as the user that the agent has."""

    def step(
        self,
        name: str,
        argv: Sequence[str],
        parent: pulumi.Resource,
        *,
        stdin: Text = "",
        after: Sequence[pulumi.Resource] = (),
    ) -> Step:
        """Run a command of the owner's machine, which must be idempotent, once the workload is there.

        Again when the workload is new, or its input.
        """

    def ready(
        self,
        name: str,
        parent: pulumi.Resource,
        *,
        put: Sequence[str] = (),
        stdin: str = "",
        probed: bool = True,
    ) -> Step:
        """Done when the workload is ready. put: a command that root runs inside before it can be, given `stdin`.

        Again, besides for a new workload, when it was found stopped, or changed by hand. probed: what finds that can
        run there.
        """


class Fabric(Protocol):
    """The closed network of one bottle, and what runs on it."""

    subnets: Sequence[str]  # that are the bottle's own

    def run(self, name: str, workload: Workload, opts: pulumi.ResourceOptions) -> Running:
        """Declare a workload. opts: its parent, which its volumes get too, and what it waits for."""

    def own_name(self, role: str, source: str) -> Text:
        """What `role` looks up to know which of its addresses `source` talks to."""

    def close(self, name: str, parent: pulumi.Resource) -> pulumi.Resource:
        """After all workloads: done when each is where its flows are and nowhere else. The rest waits for it."""

    def prove(
        self, name: str, parent: pulumi.Resource, prober: Text, closed: pulumi.Resource, gets: str
    ) -> pulumi.Resource:
        """After `closed`: done when a probe, from inside each workload without a flow to the OUTSIDE, has reached the
        targets of its flows and no address or name server beside this bottle. Else it fails, and the agent is stopped.

        prober: an image of the project's own that has Python. gets: a digest of what the agent gets once this is done,
        so that it is done again before anything new.
        """


class Engine(Protocol):
    """Where a bottle runs."""

    def has(self, tag: str) -> bool:
        """Whether this image of the project was there when the program started, and need not be built."""

    def built(
        self,
        name: str,
        tag: str,
        build: ImageBuild | None,
        parent: pulumi.Resource,
        after: pulumi.Resource | None = None,
    ) -> Image:
        """An image that stays when the stack goes, for other stacks use it. build: None where it is there."""

    def fetched(self, name: str, reference: str, parent: pulumi.Resource) -> Image:
        """An image that somebody else has built; it stays too."""

    def volume_name(self, role: str, stack: str) -> str:
        """The engine's name of a stack's volume, known beforehand."""

    def fabric(
        self,
        name: str,
        stack: str,
        flows: Sequence[Flow],
        opts: pulumi.ResourceOptions,
        *,
        outside: str | None = None,
        pool: str | None = None,
    ) -> Fabric:
        """outside: a network of the engine that leads out, in place of an own one. pool: where addresses come from."""
