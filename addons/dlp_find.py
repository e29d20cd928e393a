"""Whether an expression is somewhere in some bytes: by hyperscan, or by RE2 where that is not installed. Pure."""

from __future__ import annotations

from collections.abc import Callable

from addons.dlp_allow import compile_bytes


def finder(expression: str) -> Callable[[bytes], bool]:
    """A function that says so. For expressions that begin with no letter of their own: there RE2 takes four times as
    long."""
    try:
        from addons.dlp_scanner import ONCE, Scanner
    except ImportError:
        compiled = compile_bytes(expression)
        return lambda data: compiled.search(data) is not None
    scanner = Scanner([(0, expression.encode("latin-1"))], ONCE)

    def find(data: bytes) -> bool:
        there: list[int] = []
        scanner.scan(data, lambda *_: there.append(1))
        return bool(there)

    return find
