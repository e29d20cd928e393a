"""Operations on existing bottles, from the owner's machine and without Pulumi. `chosen.py` provides implementations.

`Client` acts on one bottle, `Host` on an engine and all bottles on it. The output of a workload is not trusted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from claude_bottle.policy.errors import BottleError

# In every reason why an image could not be built. The reason is recognised by it among a run's errors.
NOT_BUILT = "the image could not be built"


class EngineError(BottleError):
    """The engine gave no answer, or an error. The message is the engine's own where it gave one."""


class Part(Protocol):
    """A part of a stack on an engine: a workload, a network or a volume."""

    @property
    def kind(self) -> str:
        """The engine's term for it."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def removal(self) -> str:
        """The command by which a person deletes it."""


class WorkloadStatus(Protocol):
    """The current state of one workload of a bottle."""

    @property
    def stack(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def id(self) -> str:
        """The id of this workload. No later workload gets the same one."""

    @property
    def status(self) -> str:
        """The engine's words, to show to a person."""

    @property
    def health(self) -> str:
        """healthy, starting, unhealthy or stopped."""


@dataclass(frozen=True)
class Local:
    """A command to run on the owner's machine, and its environment. The caller streams it, bounds it or execs it."""

    argv: list[str]
    env: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """The result of a command in a workload. said: standard error. exists: False if there is no such workload."""

    code: int
    out: bytes
    said: str
    exists: bool = True

    @property
    def last_words(self) -> str:
        """The last line of standard error, or ""."""
        return (self.said.strip().splitlines() or [""])[-1]


class Client(Protocol):
    """Acts on one bottle. Raises BottleError if the engine's address is invalid."""

    def inside(self, role: str, argv: Sequence[str], *, folder: str = "", terminal: bool = False) -> Local:
        """The command that runs `argv` in a workload, as that workload's own user. folder: working directory.

        Files travel as a tar archive on its standard input or output.
        """

    def exec(
        self, role: str, argv: Sequence[str], *, stdin: bytes = b"", folder: str = "", timeout: float = 60
    ) -> Answer:
        """Run `argv` as `inside` does and wait for it. Raises EngineError after `timeout` seconds without an answer."""

    def log(self, role: str, *, since: str = "", tail: int | None = None, follow: bool = False, id: str = "") -> Local:
        """The command that prints a workload's log, an RFC 3339 time before each line. id: of one WorkloadStatus."""

    def is_running(self, role: str) -> bool:
        """Whether the workload exists and runs."""

    def stop(self, role: str, seconds: int) -> None:
        """Stop a workload, and kill it after this many seconds. No error if it does not exist."""

    def attach_line(self, *argv: str, folder: str = "") -> str:
        """The command for a person to paste that runs `argv` on a terminal in the agent."""


class Host(Protocol):
    """An engine, and all bottles on it. Raises EngineError if it does not answer."""

    def bottles(self) -> Sequence[WorkloadStatus]:
        """Every workload of every bottle, running or not."""

    def parts(self, stack: str) -> Sequence[Part]:
        """All parts of a stack, recognised by its label or its name."""

    def leftovers(self, stack: str, known_ids: Collection[str]) -> Sequence[Part]:
        """Parts that the state does not know, in an order in which they can be removed. Volumes are not included."""

    def remove(self, part: Any) -> bool:
        """Remove a leftover. False if it stays: a volume, or a part that the engine refuses to remove."""

    def run_in(self, workload: Any, *argv: str) -> str:
        """The standard output of a command in a sidecar."""

    def stop(self, role: str, stack: str) -> None:
        """Stop a workload, within a minute."""

    def uses(self, stacks: Iterable[str]) -> Mapping[str, int]:
        """Bytes on the engine's disk for each stack's agent and home. Slow, because the engine counts all files."""

    def own_images(self) -> frozenset[str]:
        """`claude-bottle/<role>:<hash>` of every image of this project that the engine has."""

    def images_in_use(self) -> set[str]:
        """Ids of the images of all workloads on the engine, running or not, including those of other projects."""

    def image_ids(self, names: Sequence[str]) -> list[str]:
        """Ids, in the order of the names."""

    def layers(self, image: str) -> Mapping[str, int]:
        """Bytes of each layer, by a digest of the history up to it. Images with the same first layers share keys."""

    def remove_image(self, name: str) -> None:
        """Raises EngineError with the engine's reason if it refuses."""
