"""The databases of the rules as they come, compiled when an image is built.

A process that starts loads them in a millisecond; compiling takes a second of processor time. Where there is none for
some expressions (the owner's own patterns, another processor), they are compiled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import hyperscan

FOLDER = Path(__file__).with_name("databases")  # written by sidecar_images/proxy/compile_rules.py
_kept: dict[str, bytes] | None = None  # of the databases compiled while `keeping`


def database(expressions: Sequence[tuple[int, bytes]], flags: int) -> hyperscan.Database:
    """A database of (number, expression) pairs, loaded or compiled. flags: of hyperscan, for each expression."""
    version = hyperscan.__version__  # type: ignore[attr-defined]
    name = sha256(repr((version, flags, list(expressions))).encode()).hexdigest()
    with contextlib.suppress(OSError, hyperscan.HyperscanError):  # none, of another processor, or damaged
        return hyperscan.loadb((FOLDER / name).read_bytes(), hyperscan.HS_MODE_BLOCK)
    one = hyperscan.Database()
    one.compile(
        expressions=[expression for _, expression in expressions],
        ids=[number for number, _ in expressions],
        elements=len(expressions),
        flags=[flags] * len(expressions),
    )
    if _kept is not None:
        _kept[name] = hyperscan.dumpb(one)
    return one


@contextlib.contextmanager
def keeping() -> Iterator[dict[str, bytes]]:
    """Name to bytes of each database that is compiled meanwhile. For the build of an image, because some of those that
    are compiled at run time are of tokens."""
    global _kept
    _kept = {}
    try:
        yield _kept
    finally:
        _kept = None
