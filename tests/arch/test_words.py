"""A name says what a value is. That it was told, found, there or made is so of any value, and says nothing of its type."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = (
    "claude_bottle",
    "components",
    "addons",
    "sidecar_images",
    "dashboard",
    "toolchain",
    "bench",
    "tests",
)
WORDS = {"told", "found", "there", "made"}


def bound(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that the code binds, and its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.alias(name=whole, asname=name):
                yield name or whole, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno
            case ast.MatchMapping(rest=str(name)):
                yield name, node.lineno


def test_a_name_says_what_its_value_is() -> None:
    files = [ROOT / "__main__.py", *(file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py")))]
    names = ((file, *each) for file in files for each in bound(ast.parse(file.read_text())))
    assert not [f"{file.relative_to(ROOT)}:{line}: {name}" for file, name, line in names if name in WORDS]


def test_such_a_name_is_seen() -> None:
    text = "import a as told\ndef made(there): x.found = [one for one in there]"
    assert {name for name, _ in bound(ast.parse(text))} >= WORDS
