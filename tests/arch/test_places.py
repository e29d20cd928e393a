"""Files inside the workloads are named in one place of the Python code, claude_bottle/policy/names/files.py."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from claude_bottle.policy.names import files

ROOT = Path(__file__).parents[2]
OWNER = ROOT / "claude_bottle/policy/names/files.py"
ROOMS = ("claude_bottle", "components", "addons", "sidecar_images", "dashboard")
PLACES = {value for name, value in vars(files).items() if name.isupper()}
# What an image's Dockerfile or entry point has to say too, in the words of a shell.
IMAGES = {
    "proxy": {files.PROXY_RUN, files.RECORD, files.EGRESS_ETC, files.PIPELOCK_ETC, files.SYSTEM_ROOTS},
    "git_gate": {files.GATE_RUN, files.GATE_ETC, files.MIRRORS, files.RECORD},
    "supervise": {files.SUPERVISE_ETC, files.PROPOSALS},
}


def named(code: str) -> Iterator[str]:
    """The strings of a program, but its docstrings, in which such a file is."""
    tree = ast.parse(code)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from (node.value for place in PLACES if place in node.value)


def test_a_file_has_one_owner() -> None:
    programs = (file for room in ROOMS for file in (ROOT / room).rglob("*.py") if file != OWNER)
    others = {str(file.relative_to(ROOT)): list(named(file.read_text())) for file in programs}
    assert not {file: texts for file, texts in others.items() if texts}


def test_the_images_have_the_same() -> None:
    for image, places in IMAGES.items():
        shell = "".join(file.read_text() for file in (ROOT / "sidecar_images" / image).glob("[De]*"))
        assert not [place for place in places if place not in shell], image


def test_another_owner_is_seen() -> None:
    assert list(named('x = "/etc/pipelock/other.pem"')) and list(named('x = f"cd /home/node/{y}"'))
    assert not list(named('"""/etc/pipelock"""\nx = "/etc/passwd"'))
