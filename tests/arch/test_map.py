"""README's map of the folders is the tree: what it names exists, every folder with code is in it, and arrows go up in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.arch.test_arrows import BELOW, ROOT

MAP = (ROOT / "README.md").read_text().partition("## Where each part lives")[2]
ROWS = dict(re.findall(r"^\| `([^`]+)/` \| (.*) \|$", MAP, re.MULTILINE))  # folder to what the map says of it


def folders() -> set[str]:
    """Folders of the checkout that hold tracked files, and those of the package that hold modules."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    parts = [Path(name).parts for name in listed.split("\0") if name]
    top = {where[0] for where in parts if len(where) > 1 and not where[0].startswith(".")}
    rooms = {"/".join(where[:2]) for where in parts if where[0] == "claude_bottle" and len(where) > 2}
    return (top - {"claude_bottle", "docs"}) | rooms


def test_the_map_is_the_tree() -> None:
    assert ROWS.keys() == folders()


def test_what_it_names_within_a_folder_is_there() -> None:
    for folder, words in ROWS.items():
        for name in re.findall(r"`([\w./]+(?:/|\.py|\.toml|\.lock))`", words):
            places = [
                ROOT / folder / name,
                *(path / name for path in (ROOT / folder).rglob("*") if path.is_dir()),
                ROOT / name,
            ]
            assert any(place.exists() for place in places), f"{folder}: {name}"


def test_each_room_comes_after_those_that_it_imports_from() -> None:
    order = [folder.removeprefix("claude_bottle/") for folder in ROWS]
    for name, below in BELOW.items():
        if name in order:
            assert not [
                other for other in below.split() if other in order and order.index(other) > order.index(name)
            ], name
