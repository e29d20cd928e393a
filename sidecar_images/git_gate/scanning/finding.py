"""A finding of gitleaks in the texts that it was given. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """The text's number, the lines in it, and the rule. The found values serve comparison only and are never shown:
    secret, and match, which is everything that the rule matched."""

    text: int
    line: int
    last_line: int
    rule: str
    secret: str = field(repr=False)
    match: str = field(repr=False)
