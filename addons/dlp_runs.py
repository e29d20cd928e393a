"""Finds where base64 or hex may be: runs of their letters. Pure."""

from __future__ import annotations

from functools import cache
from typing import Any

from addons.dlp_rules import compile_bytes

_LETTERS, _SHORTEST = "A-Za-z0-9+/_-", 20  # both alphabets of base64 (RFC 4648); fifteen bytes of it
_RUN = compile_bytes(f"[{_LETTERS}]{{{_SHORTEST},}}")


@cache
def _edges() -> Any:
    """For whether there is a run; and for the beginnings (0) and ends (1) of all. None where hyperscan is missing."""
    try:
        from addons.dlp_scanner import ONCE, Scanner
    except ImportError:
        return None
    run = f"[{_LETTERS}]{{{_SHORTEST}}}"
    # With ^ and \z hyperscan takes 2 ms for a megabyte of text, without them 9 ms.
    one = Scanner([(0, run.encode())], ONCE)  # a fifth of the time where there is none, nothing where there is one
    return one, Scanner([(0, f"(?:^|[^{_LETTERS}]){run}".encode()), (1, f"{run}(?:[^{_LETTERS}]|\\z)".encode())])


def runs(data: bytes) -> list[bytes]:
    """All runs of twenty letters and more, in their order. RE2 finds the same, with 3 µs for each."""
    edges = _edges()
    if edges is None:
        return list(_RUN.findall(data))
    one, all_edges = edges
    there: list[int] = []
    one.scan(data, lambda *_: there.append(1))
    if not there:
        return []
    starts: list[int] = []
    ends: list[int] = []
    all_edges.scan(data, lambda end, _, to, *__: ends.append(to - 1) if end else starts.append(to - _SHORTEST))
    if ends and _RUN.fullmatch(data[-_SHORTEST:]):
        ends[-1] = len(data)  # no letter follows it that would be counted
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]
