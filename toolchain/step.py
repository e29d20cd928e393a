"""A step of the set-up: check first, do only what is missing, check again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from toolchain.shell import SetupError, say


class Step(Protocol):
    """name and why: for people. look: what is installed, or None. get: installs it. how: to install it by hand."""

    name: str
    why: str
    how: str

    def look(self) -> str | None: ...
    def get(self) -> None: ...


@dataclass
class Report:
    """One line of `make doctor`."""

    name: str
    present: str | None
    how: str


def ensure(step: Step) -> None:
    """Ensure one step, with messages on what is done or skipped. Raises SetupError."""
    present = step.look()
    if present is not None:
        say(f"  ok  {step.name}: {present}")
        return
    say(f"  ..  {step.name}: missing; getting it ({step.why})")
    started = time.monotonic()
    step.get()
    present = step.look()
    if present is None:
        raise SetupError(f"{step.name} is still missing after its set-up; {step.how}")
    say(f"  ok  {step.name}: {present} ({time.monotonic() - started:.0f} s)")


def examine(steps: list[Step]) -> list[Report]:
    """What is installed and what is missing. Changes nothing."""
    return [Report(step.name, step.look(), step.how) for step in steps]
