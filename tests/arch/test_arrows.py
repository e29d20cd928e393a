"""Which folder may import from which, and that no two modules import one another."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What each room imports from, besides itself. From below: what images copy whole, the manifest, the owner's machine, the
# engine, then what is made of them. README's map has the same order.
BELOW = {
    "policy": "",
    "dlp": "policy",
    "addons": "policy dlp",
    "manifest": "policy dlp",
    "sidecar_images": "policy dlp addons manifest",
    "host": "policy manifest",
    "presets": "policy manifest host",
    "engines": "policy host",
    "workspace": "policy manifest host engines",
    "provision": "policy manifest engines workspace",
    "plan": "policy manifest host workspace",
    "checks": "policy manifest host engines workspace",
    "runs": "policy host engines plan",
    "components": "policy addons manifest host presets engines workspace plan checks",
    "approvals": "policy manifest host presets engines runs",
    "dashboard": "policy manifest host engines approvals",
    "upkeep": "policy manifest host presets engines checks runs components",
    "toolchain": "policy host engines components",
    "project": "policy host",
    "cli": "policy dlp manifest host presets engines workspace plan checks runs approvals dashboard upkeep toolchain project",
    "__main__": "cli",
}
# What may load something from outside the standard library in the rooms that are copied whole: one of each is not in
# every image, and is loaded only where it is used.
OUTSIDE = {
    "policy": {"graphql"},
    "dlp": {"re2", "hyperscan", "pybase64", "brotli", "zstandard", "mnemonic", "cryptography"},
    "manifest": {"pydantic", "pydantic_core", "yaml", "ruamel"},
}
_TOP = ("addons", "components", "sidecar_images", "dashboard", "toolchain", "claude_bottle")


def modules() -> dict[str, Path]:
    files = (file for room in _TOP for file in (ROOT / room).rglob("*.py"))
    return {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in files}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = file.parents[node.level - 1].relative_to(ROOT).parts if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def edges() -> dict[str, set[str]]:
    known = modules()
    return {name: {m for m in imported(file) if m in known} - {name} for name, file in known.items()}


def room(module: str) -> str:
    """The room of a module: a folder of the checkout, or one of the package; "" for the package itself."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] if first == "claude_bottle" else first


def wrong(graph: dict[str, set[str]]) -> list[str]:
    return [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in sorted(others)
        if room(module) != room(other) and room(other) and room(other) not in BELOW[room(module)].split()
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


def test_the_arrows_are_those_that_are_needed() -> None:
    """A room that could be imported from, and is not, would be one day without anybody having decided it."""
    needed: dict[str, set[str]] = {name: set() for name in BELOW}
    for module, others in edges().items():
        if room(module):
            needed[room(module)] |= {room(other) for other in others} - {room(module), ""}
    assert needed == {name: set(rooms.split()) for name, rooms in BELOW.items()}


def test_they_lead_to_rooms_that_are_further_below() -> None:
    order = list(BELOW)
    assert not [
        (name, other) for name in order for other in BELOW[name].split() if order.index(other) > order.index(name)
    ]


def test_nothing_imports_itself_by_a_way_round() -> None:
    assert not circles(edges())


def test_what_images_copy_whole_needs_little() -> None:
    ours = {name.partition(".")[0] for name in _TOP} | set(sys.stdlib_module_names)
    for name, allowed in OUTSIDE.items():
        files = (ROOT / "claude_bottle" / name).rglob("*.py")
        loaded = {module.partition(".")[0] for file in files for module in imported(file)} - ours
        assert loaded == allowed, name


def test_a_folder_has_few_files_or_siblings() -> None:
    """A reader finds a file by its folder. The files of these folders are siblings of one kind."""
    many = {
        "claude_bottle/workspace",  # what moves between agent and owner
        "claude_bottle/cli",  # verbs of the command
        "claude_bottle/manifest",  # keys of a stack file
        "sidecar_images/git_gate",  # steps of a push
    }
    folders = {file.parent for path in _TOP for file in (ROOT / path).rglob("*.py")}
    crowded = {str(f.relative_to(ROOT)) for f in folders if len(list(f.glob("[!_]*.py"))) > 15}
    assert crowded == many, crowded ^ many


def test_a_wrong_arrow_and_a_circle_are_seen() -> None:
    assert wrong({"addons.a": {"components.b"}, "dashboard.a": {"sidecar_images.git_gate.scanning.scan"}}) == [
        "addons.a imports components.b",
        "dashboard.a imports sidecar_images.git_gate.scanning.scan",
    ]
    assert wrong(
        {"claude_bottle.policy.a": {"claude_bottle.dlp.b"}, "claude_bottle.dlp.b": {"claude_bottle.policy.a"}}
    ) == ["claude_bottle.policy.a imports claude_bottle.dlp.b"]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
