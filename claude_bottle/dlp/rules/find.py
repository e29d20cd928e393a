"""Whether expressions match in some bytes: by hyperscan, or by RE2 if that is not installed. Pure."""

from __future__ import annotations

from collections.abc import Callable

from claude_bottle.dlp.rules.allow import compile_bytes


def finder(*expressions: str) -> Callable[[bytes], bool]:
    """A function that returns whether one of the expressions matches. For expressions without a fixed first letter, for
    which RE2 takes four times as long."""
    try:
        from claude_bottle.dlp.rules.scanner import ONCE, Scanner
    except ImportError:
        compiled = compile_bytes("|".join(f"(?:{expression})" for expression in expressions))
        return lambda data: compiled.search(data) is not None
    scanner = Scanner([(n, expression.encode("latin-1")) for n, expression in enumerate(expressions)], ONCE)

    def find(data: bytes) -> bool:
        hits: list[int] = []
        scanner.scan(data, lambda *_: hits.append(1))
        return bool(hits)

    return find
