"""What an examination ends with, where it does not end well: something was found, or something cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field

PLACE = 400  # bytes


@dataclass(frozen=True)
class Finding:
    """What was found (a rule id) and where (how the bytes had to be read). Never the secret itself in a text of it.

    place: up to 400 bytes of the text, as it was read, with the finding in the middle: for the owner who decides. It
    may hold the secret, so it is never logged, and no printed form of a finding has it.
    """

    rule: str
    where: str
    place: bytes = field(default=b"", repr=False, compare=False)


class Unscannable(ValueError):
    """What cannot be looked at to its end, so that it does not leave; `reason` is a refusal's reason id."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def place_of(text: bytes, start: int, end: int) -> bytes:
    """PLACE bytes of the text at most, with start to end in the middle; the beginning of it, where it is long."""
    around = max(0, PLACE - (end - start)) // 2
    first = max(0, start - around)
    return bytes(text[first : first + PLACE])
