"""What is wrong with a manifest, said to the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NOT_SHOWN = object()  # for values that may be a secret


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    path: key path such as `egress.routes[1].host`. value: what was found there, or NOT_SHOWN.
    message: what is accepted.
    """

    path: str
    value: object
    message: str

    def __str__(self) -> str:
        shown = "" if self.value is NOT_SHOWN else f" {_short(self.value)}:"
        return printable(f"{self.path}:{shown} {self.message}")


def _short(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)  # as YAML has it
    return text if len(text) <= 80 else text[:77] + "..."


def printable(text: str) -> str:
    """Text of an agent for a terminal: no control characters, which could draw anything there."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def one_line(text: str) -> str:
    """The same for a name, which may hold a line end, and must not be a line of its own."""
    return printable(text).replace("\n", "�")


class BottleError(Exception):
    """Something the owner can put right; the message is for a person, without a traceback."""


class ManifestError(BottleError):
    """Everything that stands in the way, one line each, sorted by key path; nothing has been created."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = sorted(findings, key=lambda finding: finding.path)
        count = len(self.findings)
        lines = "\n".join(f"  {finding}" for finding in self.findings)
        super().__init__(
            f"{count} error{'s' if count > 1 else ''} in the way; nothing was created or changed:\n{lines}"
        )
