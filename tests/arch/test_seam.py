"""The seam to the engine: the rooms above it speak of workloads and flows, and one place names the engine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    "components", "dashboard", "claude_bottle/approvals", "claude_bottle/host", "claude_bottle/policy",
    "claude_bottle/manifest", "claude_bottle/workspace", "claude_bottle/upkeep", "claude_bottle/cli",
)  # fmt: skip
# Code that says it all the same, and why. Comments and docstrings are prose.
SAID = {
    # The variables of the engine's own tools, which a child of this program may see.
    "claude_bottle/host/child_env.py": {
        "DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_CERT_PATH DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_API_VERSION"
    },
    # A kind of package that GitHub's API has in its paths.
    "claude_bottle/policy/forge/accounts.py": {"packages|docker", "packages|blocks|docker"},
    # Folders of the owner's machine that no agent gets.
    "claude_bottle/workspace/copies.py": {"/var/lib/docker", ".docker"},
    # Messages and descriptions of keys, for people.
    "claude_bottle/manifest/model.py": {"it waits for docker exec", "Existing Docker network to use"},
    "claude_bottle/manifest/fields.py": {"write the name of a Docker network"},
    "claude_bottle/manifest/agent_env.py": {"Docker 20.10's own resolver never answers"},
}
# Who talks to Docker itself: the set-up, which follows its daemon's address.
OUTSIDE_THE_SEAM = {"toolchain/environment.py"}
_WORD = re.compile(r"(?<![a-z])docker(?![a-z])", re.IGNORECASE)


def words_in(text: str) -> str:
    """With a space where a word of an identifier begins: `DockerEngine` has the word, `Dockerfile` is another one."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)


def code_of(text: str) -> Iterator[str]:
    """Every identifier, import and string of a program but its docstrings."""
    tree = ast.parse(text)
    statements = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    prose = {id(value) for value in statements if isinstance(value, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        for field in ("id", "attr", "name", "arg", "module", "asname"):
            if isinstance(word := getattr(node, field, None), str):
                yield word


def engine_named(file: Path) -> list[str]:
    """What of this file's code says the engine's name and may not."""
    allowed = SAID.get(str(file.relative_to(ROOT)), set())
    return [
        said
        for said in code_of(file.read_text())
        if _WORD.search(words_in(said)) and not any(a in said for a in allowed)
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_code_above_the_seam_names_no_engine(room: str) -> None:
    mentions = {str(file.relative_to(ROOT)): engine_named(file) for file in (ROOT / room).rglob("*.py")}
    assert not {file: said for file, said in mentions.items() if said}


def test_what_may_name_it_does() -> None:
    for file, said in SAID.items():
        assert all(any(words in each for each in code_of((ROOT / file).read_text())) for words in said), file


def test_one_place_names_the_engine() -> None:
    files = [
        ROOT / "__main__.py",
        *(f for room in ("claude_bottle", *ROOMS[:2], "toolchain") for f in (ROOT / room).rglob("*.py")),
    ]
    direct = {
        str(file.relative_to(ROOT))
        for file in files
        if any(name.startswith("claude_bottle.engines.docker") for name in code_of(file.read_text()))
    }
    inside = {name for name in direct if name.startswith("claude_bottle/engines/")}
    assert {name for name in inside if "engines/docker/" not in name} == {"claude_bottle/engines/chosen.py"}
    assert direct - inside == OUTSIDE_THE_SEAM


def test_the_word_is_found_in_every_form() -> None:
    for line in (
        "import pulumi_docker",
        "x = docker_name(1)",
        "class DockerThing: ...",
        'x = ["docker", "ps"]',
        "f(docker=1)",
    ):
        assert any(_WORD.search(words_in(said)) for said in code_of(line)), line
    for line in ('"""By docker exec."""', "x = config.dockerfile", 'x = "a/Dockerfile"'):
        assert not any(_WORD.search(words_in(said)) for said in code_of(line)), line
