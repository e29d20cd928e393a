"""The parts of a file's new version that are not in its old version. Pure.

Only new text needs scanning, but a secret may be half new: an existing name, with its value in the next line. So every
part comes with its surroundings.
"""

from __future__ import annotations

from collections.abc import Callable

from .plain import OVERLAP

# Bytes and lines around a new part. All matches of gitleaks' and the project's rules over several lines are shorter, or
# (curl commands) have fewer lines, except for private keys, which begin and end with five dashes. Around those, and if
# the owner has rules of its own, the surroundings are as long as the overlap of pieces.
NEAR, LINES, FAR = 1_000, 6, OVERLAP
COMPARED = 1 << 20  # bytes of a version that is compared; the lines of a larger one would use up the memory
_ALIKE = 4  # consecutive lines that are looked up in the old version
_DASHES = b"-----"


def added(old: bytes, new: bytes, near: int = NEAR) -> list[tuple[int, int]]:
    """(start, end) of parts of `new`. Every run of its bytes of at most `near` bytes lies within a part or in `old`.
    The same holds for longer runs, up to FAR, with five dashes or fewer than LINES line breaks."""
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
    """Runs of whole lines of `new` that occur unchanged in `old`, in order."""
    head, tail = _same_ends(old, new)
    runs = [(0, head)] if head else []
    runs += [
        (head + begun, head + end) for begun, end in _moved(old[head : len(old) - tail], new[head : len(new) - tail])
    ]
    return [*runs, (len(new) - tail, len(new))] if tail else runs


def _same_ends(old: bytes, new: bytes) -> tuple[int, int]:
    """How many bytes both begin with, and how many of the rest both end with, in whole lines."""
    head = _alike(min(len(old), len(new)), lambda size: old[:size] == new[:size])
    if not head == len(old) == len(new):
        head = new.rfind(b"\n", 0, head) + 1
    least = min(len(old), len(new)) - head
    tail = _alike(least, lambda size: old[len(old) - size :] == new[len(new) - size :])
    if tail:
        start = len(new) - tail
        begins = all(not at or text[at - 1] == 10 for text, at in ((old, len(old) - tail), (new, start)))
        tail = tail if begins else len(new) - (new.find(b"\n", start) + 1 or len(new))
    return head, tail


def _alike(most: int, same: Callable[[int], bool]) -> int:
    """The largest size up to `most` for which `same` holds, which holds for all smaller ones too."""
    least = 0
    while least < most:
        size = (least + most + 1) // 2
        least, most = (size, most) if same(size) else (least, size - 1)
    return least


def _moved(old: bytes, new: bytes) -> list[tuple[int, int]]:
    """The same, between the ends that both have."""
    old_lines, here = old.splitlines(keepends=True), new.splitlines(keepends=True)
    where: dict[tuple[bytes, ...], int] = {}
    for at in range(len(old_lines) - _ALIKE, -1, -1):
        where[tuple(old_lines[at : at + _ALIKE])] = at
    runs, at, place, last = [], 0, 0, 0
    while at < len(here):
        # Try the same place first: after the last run, or at the beginning.
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
    """The start of the LINES lines before, within FAR bytes."""
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
    """The start of the line, within FAR bytes."""
    return text.rfind(b"\n", max(at - FAR, 0), at) + 1 or (0 if at <= FAR else at)


def _line_end(text: bytes, at: int) -> int:
    end = text.find(b"\n", at, at + FAR)
    return end + 1 if end >= 0 else min(at + FAR, len(text))
