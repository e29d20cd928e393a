"""Which folder may import from which, and that no two modules import one another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Each may import from those named, and from itself. An image copies `addons` and its own folder; `supervise` takes the
# manifest's model along, which checks what an agent asks for.
BELOW = {
    "addons": set(),
    "components": {"addons"},
    "sidecar_images": {"addons", "components"},
    "dashboard": {"addons", "components", "sidecar_images"},
    "toolchain": {"addons", "components"},
    "claude_bottle": {"addons", "components", "dashboard", "toolchain"},
}
# Of a sidecar's folder, what others may take: what is written in its database is read by the page.
SHARED = {"sidecar_images.supervise.proposals", "sidecar_images.supervise.replay"}


def modules() -> dict[str, Path]:
    files = (file for room in BELOW for file in (ROOT / room).rglob("*.py"))
    return {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in files}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def edges() -> dict[str, set[str]]:
    known = modules()
    return {name: {m for m in imported(file) if m in known} - {name} for name, file in known.items()}


def wrong(graph: dict[str, set[str]]) -> list[str]:
    return [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in sorted(others)
        if (room := module.split(".")[0]) != (below := other.split(".")[0])
        and (below not in BELOW[room] or (below == "sidecar_images" and other.count(".") > 1 and other not in SHARED))
    ]


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Modules from which an import leads back to themselves."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [*graph[start]]
        while waiting:
            if (module := waiting.pop()) not in seen:
                seen.add(module)
                waiting += graph.get(module, ())
        return seen

    return sorted(module for module in graph if module in reachable(module))


def test_imports_go_down() -> None:
    assert not wrong(edges())


def test_nothing_imports_itself_by_a_way_round() -> None:
    assert not circles(edges())


def test_a_wrong_arrow_and_a_circle_are_seen() -> None:
    assert wrong({"addons.a": {"components.b"}, "dashboard.a": {"sidecar_images.git_gate.scan"}}) == [
        "addons.a imports components.b",
        "dashboard.a imports sidecar_images.git_gate.scan",
    ]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
