"""The outcome of a scan that does not pass: a finding, or data that cannot be scanned."""

from __future__ import annotations

from dataclasses import dataclass, field

PLACE = 400  # bytes


@dataclass(frozen=True)
class Finding:
    """What was found (a rule id) and where (how the bytes were decoded). Its text never shows the secret.

    place: up to PLACE bytes of the decoded text around the finding, for the owner who decides. It may hold the secret,
    so it is never logged and `repr` omits it.
    """

    rule: str
    where: str
    place: bytes = field(default=b"", repr=False, compare=False)


class Unscannable(ValueError):
    """Data that cannot be scanned to its end and so is refused. `reason` is a refusal's reason id."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def place_of(text: bytes, start: int, end: int) -> bytes:
    """At most PLACE bytes of the text with start to end in the middle; of a longer match, its beginning."""
    around = max(0, PLACE - (end - start)) // 2
    first = max(0, start - around)
    return bytes(text[first : first + PLACE])
