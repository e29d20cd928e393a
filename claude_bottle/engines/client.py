"""What is done with bottles that are up, from the owner's machine. No Pulumi; `chosen.py` gives who does it.

`Client` is for one bottle, `Host` for an engine and all bottles on it. What a workload answers is not trusted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from claude_bottle.policy.errors import BottleError

# In every reason why an image could not be built; by it a reason is known among a run's errors.
NOT_BUILT = "the image could not be built"


class EngineError(BottleError):
    """The engine could not be asked; the message is its own."""


class Part(Protocol):
    """Something on an engine that is a stack's: a workload, a network, a volume."""

    @property
    def kind(self) -> str:
        """The engine's word for it."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def removal(self) -> str:
        """The command by which a person takes it away."""


class WorkloadStatus(Protocol):
    """A workload of a bottle, as it is."""

    @property
    def stack(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def id(self) -> str:
        """Of this one, which no later one gets."""

    @property
    def status(self) -> str:
        """The engine's words for a person."""

    @property
    def health(self) -> str:
        """healthy, starting, unhealthy or stopped."""


@dataclass(frozen=True)
class Local:
    """A command of the owner's machine, and its variables: for what is streamed, bounded, or takes our place."""

    argv: list[str]
    env: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What a command in a workload ended with. exists: False where there is no such workload."""

    code: int
    out: bytes
    said: str
    exists: bool = True

    @property
    def last_words(self) -> str:
        """The last line of what it said on standard error, or ""."""
        return (self.said.strip().splitlines() or [""])[-1]


class Client(Protocol):
    """Acts on one bottle. Raises BottleError where the engine's address is none."""

    def inside(self, role: str, argv: Sequence[str], *, folder: str = "", terminal: bool = False) -> Local:
        """What runs `argv` in a workload, as its own user; in the agent that is the agent's. folder: to start in.

        Files travel as a tar on its standard input or output.
        """

    def exec(
        self, role: str, argv: Sequence[str], *, stdin: bytes = b"", folder: str = "", timeout: float = 60
    ) -> Answer:
        """The same to its end. Raises EngineError where no answer comes within `timeout` seconds."""

    def log(self, role: str, *, since: str = "", tail: int | None = None, follow: bool = False, id: str = "") -> Local:
        """What prints a workload's log, each line after its RFC 3339 time. id: of this one alone (WorkloadStatus)."""

    def is_running(self, role: str) -> bool:
        """Whether it is there and up."""

    def stop(self, role: str, seconds: int) -> None:
        """Let it end within so many seconds; where it is not there, nothing."""

    def attach_line(self, *argv: str, folder: str = "") -> str:
        """What a person pastes for a terminal in the agent, in which this runs."""


class Host(Protocol):
    """An engine, and all bottles on it. Raises EngineError where it does not answer."""

    def bottles(self) -> Sequence[WorkloadStatus]:
        """Every workload of every bottle, running or not."""

    def parts(self, stack: str) -> Sequence[Part]:
        """Everything that is a stack's by its label or its name."""

    def leftovers(self, stack: str, known_ids: Collection[str]) -> Sequence[Part]:
        """Those in no state, in the order in which they can be removed; never a volume."""

    def remove(self, part: Any) -> None:
        """Take a leftover away; what the engine refuses stays. Never a volume."""

    def run_in(self, workload: Any, *argv: str) -> str:
        """Standard output of a command in a sidecar."""

    def stop(self, role: str, stack: str) -> None:
        """Stop a workload, within a minute."""

    def uses(self, stacks: Iterable[str]) -> Mapping[str, int]:
        """Bytes of the engine's disk that the agent of each stack and its home take. Costs a count of all files."""

    def own_images(self) -> frozenset[str]:
        """`claude-bottle/<role>:<hash>` of every image of this project that is there."""

    def images_in_use(self) -> set[str]:
        """Ids of the images of all workloads, running or not, whosoever they are."""

    def image_ids(self, names: Sequence[str]) -> list[str]:
        """In the same order."""

    def layers(self, image: str) -> Mapping[str, int]:
        """Bytes of each layer, by a digest of its history up to there: images with the same start share these."""

    def remove_image(self, name: str) -> None:
        """Raises EngineError with what the engine refuses it for."""
