"""Which parts of a new version of a file are not in its old version. Pure.

Only what is new must be looked at, but a secret may be half new: a name that stood there, and its value in the next
line. So every part comes with what is around it.
"""

from __future__ import annotations

from .plain import OVERLAP

# Bytes and lines around what is new. What gitleaks' rules and the project's match over more than one line is shorter,
# or (commands of curl) in fewer lines, but for private keys, which begin and end with five dashes; around these, and
# where the owner has rules of its own, it is as much as pieces overlap.
NEAR, LINES, FAR = 1_000, 6, OVERLAP
COMPARED = 1 << 20  # bytes of a version that is compared; the lines of a larger one would fill the memory
_ALIKE = 4  # lines in a row that are looked up in the old version
_DASHES = b"-----"


def added(old: bytes, new: bytes, near: int = NEAR) -> list[tuple[int, int]]:
    """Parts of `new`, from where to where. Every run of its bytes that is no longer than `near` stands within one of
    them, or in `old`; the same goes for longer runs, up to FAR, that have five dashes or fewer than LINES line ends."""
    if len(old) > COMPARED or len(new) > COMPARED:
        return [(0, len(new))]
    parts: list[tuple[int, int]] = []
    done = 0
    copies = _copies(old, new)
    for start, end in [*copies, (len(new), len(new))]:
        if start > done or 0 < start < len(new):
            wide = FAR if _DASHES in new[max(done - FAR, 0) : start + FAR] else near
            first = _line_start(new, min(max(done - wide, 0), _lines_before(new, done)))
            last = _line_end(new, max(min(start + wide, len(new)), _lines_after(new, start)))
            if parts and first <= parts[-1][1]:
                parts[-1] = (parts[-1][0], max(last, parts[-1][1]))
            else:
                parts.append((first, last))
        done = end
    return parts


def _copies(old: bytes, new: bytes) -> list[tuple[int, int]]:
    """Runs of `new` that stand in `old` as they are, one after the other, each of whole lines."""
    old_lines, here = old.splitlines(keepends=True), new.splitlines(keepends=True)
    where: dict[tuple[bytes, ...], int] = {}
    for at in range(len(old_lines) - _ALIKE, -1, -1):
        where[tuple(old_lines[at : at + _ALIKE])] = at
    runs, at, place, last = [], 0, 0, 0
    while at < len(here):
        # The same place first: what follows a run that was found, or the beginning.
        source = last if old_lines[last : last + _ALIKE] == here[at : at + _ALIKE] else None
        if source is None:
            source = where.get(tuple(here[at : at + _ALIKE]))
        if source is None:
            place += len(here[at])
            at += 1
            continue
        begun = place
        while at < len(here) and source < len(old_lines) and here[at] == old_lines[source]:
            place += len(here[at])
            at, source = at + 1, source + 1
        runs.append((begun, place))
        last = source + 1
    return runs


def _lines_before(text: bytes, at: int) -> int:
    """Where so many lines before begin, if that is not far."""
    floor = max(at - FAR, 0)
    for _ in range(LINES):
        at = max(text.rfind(b"\n", floor, at), floor)
    return at


def _lines_after(text: bytes, at: int) -> int:
    ceiling = min(at + FAR, len(text))
    for _ in range(LINES):
        at = text.find(b"\n", at, ceiling) + 1 or ceiling
    return at


def _line_start(text: bytes, at: int) -> int:
    """Where the line begins, if that is not far."""
    return text.rfind(b"\n", max(at - FAR, 0), at) + 1 or (0 if at <= FAR else at)


def _line_end(text: bytes, at: int) -> int:
    end = text.find(b"\n", at, at + FAR)
    return end + 1 if end >= 0 else min(at + FAR, len(text))
