"""What a bottle declares inside a Pulumi program: workloads, flows between them, images. An engine implements them.

The components of a bottle (components/) know these types and no engine. Nothing here queries the outside world, so a
preview, an `up` and the mocks of the tests register the same resources. `client.py` acts on a running bottle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pulumi

Text = pulumi.Input[str]
OUTSIDE = "outside"  # as the target of a flow: everything outside the bottle


@dataclass(frozen=True)
class Flow:
    """`source` may open `port` of `target`, which it addresses by role. port: None for any; only OUTSIDE has that.

    Workloads without a flow between them cannot reach each other. An engine that isolates by groups may allow more
    within a group: the two ends of a flow on any port and in both directions, the targets of one source one another,
    and the sources with a flow to OUTSIDE one another. Only such a flow leads out.
    """

    source: str
    target: str
    port: int | None = None


@dataclass(frozen=True)
class HostMount:
    """A folder of the owner's machine, mounted at a path of a workload. Needs an engine on the owner's machine."""

    path: str
    source: str
    read_only: bool = False


@dataclass(frozen=True)
class ImageBuild:
    """context: folder. file: the Dockerfile, relative to the context. arguments: build arguments.

    The engine adds the forward proxy of the owner's shell, and keeps a login in it secret.
    """

    context: str
    file: str
    arguments: Mapping[str, Text] = field(default_factory=dict)
    labels: Mapping[str, Text] | None = None


@dataclass(frozen=True)
class Image:
    """resource: to depend on. id: what a workload runs; no later image of the same name gets this id."""

    resource: pulumi.Resource
    id: pulumi.Output[str]


@dataclass(frozen=True)
class Workload:
    """One long-running process, hardened. The engine sets names, labels, addresses, restarts and the swap limit.

    memory, shared_memory: MB; shared_memory is the size of /dev/shm, None for the engine's default. cpu_shares: weight
    on a busy machine relative to other containers, whose default is 1024. processes: limit of processes and threads.
    disk: whether the workload may write to the engine's disk; if not, it writes to its volumes and to a little memory.
    files: path to content, written before the process starts, so new content makes a new workload. They belong to root,
    so the workload's user can neither write to one nor make it writable. A secret goes into a file, because anybody who
    may query the engine sees `env`. volumes: path to the role of a volume, which outlives the workload.
    ready: a command that succeeds inside once the workload is ready. resolves_names: whether it resolves outside names;
    if not, only the bottle's.
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
    """A step on a workload. said: its output, which the state records."""

    resource: pulumi.Resource
    said: pulumi.Output[str]


class Running(Protocol):
    """A workload of this bottle."""

    name: str  # the engine's name, known before the workload exists

    @property
    def created_name(self) -> pulumi.Output[str]:
        """Its name, as an output that resolves once the workload exists."""

    def attach(self, *argv: str) -> str:
        """The command for a person to paste that runs this on a terminal in the workload, as the agent's user."""

    def step(
        self,
        name: str,
        argv: Sequence[str],
        parent: pulumi.Resource,
        *,
        stdin: Text = "",
        after: Sequence[pulumi.Resource] = (),
    ) -> Step:
        """Run a command of the owner's machine, which must be idempotent, once the workload exists.

        It runs again when the workload or the input is new.
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
        """Done when the workload is ready. put: a command that root runs inside first, given `stdin`.

        It runs again for a new workload, and for one that was found stopped or changed by hand. probed: whether the
        drift probe can run in the workload.
        """


class Fabric(Protocol):
    """The closed network of one bottle, and the workloads on it."""

    subnets: Sequence[str]  # those that belong to the bottle

    def run(self, name: str, workload: Workload, opts: pulumi.ResourceOptions) -> Running:
        """Declare a workload. opts: its parent, also the parent of its volumes, and its dependencies."""

    def own_name(self, role: str, source: str) -> Text:
        """The name that `role` looks up to learn its own address on the network that it shares with `source`."""

    def close(self, name: str, parent: pulumi.Resource) -> pulumi.Resource:
        """Done when each workload is on the networks of its flows and no other. Call it after all workloads; later
        resources depend on it.
        """

    def prove(
        self, name: str, parent: pulumi.Resource, prober: Text, closed: pulumi.Resource, gets: str
    ) -> pulumi.Resource:
        """Prove from inside each workload without a flow to the OUTSIDE that it reaches the targets of its flows, and
        no address or name server outside this bottle. Runs after `closed`. If the proof fails, the agent is stopped and
        the resource fails.

        prober: an image of this project that has Python. gets: a digest of what the agent gets after this resource; a
        new digest runs the proof again.
        """


class Engine(Protocol):
    """The platform that runs a bottle."""

    def has(self, tag: str) -> bool:
        """Whether the engine had this image of the project when the program started, so that no build is needed."""

    def built(
        self,
        name: str,
        tag: str,
        build: ImageBuild | None,
        parent: pulumi.Resource,
        after: pulumi.Resource | None = None,
    ) -> Image:
        """An image that outlives the stack, because other stacks use it. build: None if the engine has it."""

    def fetched(self, name: str, reference: str, parent: pulumi.Resource) -> Image:
        """An image built by somebody else. It outlives the stack too."""

    def volume_name(self, role: str, stack: str) -> str:
        """The engine's name for a stack's volume, known before the volume exists."""

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
        """outside: an existing network that leads out, instead of a new one. pool: where subnets are chosen from."""
