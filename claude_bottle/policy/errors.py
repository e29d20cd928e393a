"""Errors in a manifest, as reported to its author."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NOT_SHOWN = object()  # replaces values that may be secret


@dataclass(frozen=True)
class Finding:
    """One error in a manifest.

    path: key path such as `egress.routes[1].host`. value: the rejected value, or NOT_SHOWN. message: what is accepted.
    """

    path: str
    value: object
    message: str

    def __str__(self) -> str:
        shown = "" if self.value is NOT_SHOWN else f" {_short(self.value)}:"
        return printable(f"{self.path}:{shown} {self.message}")


def _short(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)  # as in YAML
    return text if len(text) <= 80 else text[:77] + "..."


def printable(text: str) -> str:
    """The agent's text for a terminal: control characters, which could draw anything there, are replaced."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def one_line(text: str) -> str:
    """The same for a name on one line: line breaks are replaced too."""
    return printable(text).replace("\n", "�")


class BottleError(Exception):
    """An error that the owner can fix. The message is for a person, without a traceback."""


class ManifestError(BottleError):
    """All errors in a manifest, one a line, sorted by key path. Nothing has been created."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = sorted(findings, key=lambda finding: finding.path)
        count = len(self.findings)
        lines = "\n".join(f"  {finding}" for finding in self.findings)
        super().__init__(f"{count} problem{'s' if count > 1 else ''} found; nothing was created or changed:\n{lines}")
