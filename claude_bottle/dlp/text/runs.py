"""Finds runs of base64 or hex characters, in one piece or broken into lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from claude_bottle.dlp.rules.allow import compile_bytes

_LETTERS, _SHORTEST = "A-Za-z0-9+/_-", 20  # both alphabets of base64 (RFC 4648); base64 of fifteen bytes
_RUN = compile_bytes(f"[{_LETTERS}]{{{_SHORTEST},}}")
# Lines of these characters only, however short, as in MIME and PEM. RE2 jumps from line break to line break.
_LINES = f"(?:[{_LETTERS}]+={{0,2}}\\r?\\n)+[{_LETTERS}]+"
_FIRST_LINES, _LATER_LINES = compile_bytes(_LINES), compile_bytes(f"\\n{_LINES}")
_ANY_LINES, _SMALL = compile_bytes(f"(?:\\A|\\n){_LINES}"), 8 << 10  # on short text, one call is faster than two
# Line breaks that programs and YAML put between two runs: with indentation, quotes, a plus or a comma.
_BREAK = re.compile(rb"""={0,2}[ \t"'+,\\]{0,8}\r?\n[ \t"'+]*""")
_INDENTED = 24  # bytes between two runs, at most: the many digests in a lock file stand further apart
_BETWEEN = re.compile(rb"[^A-Za-z0-9+/_-]+")
_REST = re.compile(_BREAK.pattern + rb"[A-Za-z0-9+/_-]{1,19}(?![A-Za-z0-9+/_-])")  # the last line is a short one

Span = tuple[int, int]


@cache
def _edges() -> Any:
    """Scanners for any run, and for the beginnings (0) and ends (1) of all; None if hyperscan is not installed."""
    try:
        from claude_bottle.dlp.rules.scanner import ONCE, Scanner
    except ImportError:
        return None
    run = f"[{_LETTERS}]{{{_SHORTEST}}}"
    # With ^ and \z hyperscan takes 2 ms for a megabyte of text, without them 9 ms.
    one = Scanner([(0, run.encode())], ONCE)  # a fifth of the time if there is none, nothing if there is one
    return one, Scanner([(0, f"(?:^|[^{_LETTERS}]){run}".encode()), (1, f"{run}(?:[^{_LETTERS}]|\\z)".encode())])


def spans(data: bytes) -> list[Span]:
    """Start and end of all runs of at least twenty characters, in order. Without hyperscan, RE2 finds the same at 3 µs
    a run."""
    edges = _edges()
    if edges is None:
        return [match.span() for match in _RUN.finditer(data)]
    one, all_edges = edges
    hits: list[int] = []
    one.scan(data, lambda *_: hits.append(1))
    if not hits:
        return []
    starts: list[int] = []
    ends: list[int] = []
    all_edges.scan(data, lambda end, _, to, *__: ends.append(to - 1) if end else starts.append(to - _SHORTEST))
    if ends and _RUN.fullmatch(data[-_SHORTEST:]):
        ends[-1] = len(data)  # the last run ends with the data
    return list(zip(starts, ends, strict=True))


def runs(data: bytes) -> list[bytes]:
    """All runs of at least twenty characters."""
    return [data[start:end] for start, end in spans(data)]


def broken_runs(data: bytes, places: Sequence[Span]) -> Iterable[bytes]:
    """Runs that line breaks split, rejoined: on plain lines of any length, or long runs (`places`) that are
    indented."""
    if b"\n" not in data or (len(data) < _SMALL and not places and _ANY_LINES.search(data) is None):
        return ()
    return _broken_runs(data, places)


def _broken_runs(data: bytes, places: Sequence[Span]) -> Iterator[bytes]:
    first = _FIRST_LINES.match(data) if data.find(b"\n", 0, 200) >= 0 else None
    for match in (*((first,) if first else ()), *_LATER_LINES.finditer(data)):
        if len(joined := _BETWEEN.sub(b"", match.group())) >= _SHORTEST:
            yield joined
    start, end = 0, -1
    for (before, stop), (here, behind) in pairwise(places):
        if here - stop > _INDENTED or _BREAK.fullmatch(data, stop, here) is None:
            continue
        if stop != end and end > 0:
            yield _joined(data, start, end)
        start, end = (start if stop == end else before), behind
    if end > 0:
        yield _joined(data, start, end)
    elif len(places) == 1:
        yield _joined(data, *places[0])


def _joined(data: bytes, start: int, end: int) -> bytes:
    rest = _REST.match(data, end)
    return _BREAK.sub(b"", data[start : rest.end() if rest else end])
