"""A new key of a git remote is declared once: its manifest, the gate's file, the plan and the texts have it from there."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_route_keys import LOADS

from claude_bottle.policy.declared.push_policy import FIELDS, KEYS

ROOT = Path(__file__).parents[2]
DECLARATION = "claude_bottle/policy/declared/push_policy.py"
NEW = """
    signed: bool = declared(Permission(
        name="allow_unsigned", doc="Whether commits may lack a signature.", example="true",
        right="unsigned", says="unsigned commits allowed".format,
    ))
    trailers: tuple[str, ...] = declared(Listed(
        doc="Trailers that a commit may have.", example="[Change-Id]", right="trailer", says="trailer {}".format,
    ))
    max_refs: int = declared(Number(
        doc="Most refs.", example="10", default=10, empty=10, bounds={"ge": 1}, right="refs", says="refs a push to {}".format,
    ))
"""
ASKS = """
import json
from claude_bottle.cli.manifest_tool import stack_file_schema
from claude_bottle.host.git_remotes import GateRemote, upstream_of
from claude_bottle.manifest.docs import manifest_page
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.plan.diff import changes
from claude_bottle.plan.resolved import plan
from claude_bottle.workspace.copies import Copies
from sidecar_images.git_gate.remotes import read_remotes
from pathlib import Path
from tempfile import TemporaryDirectory

VOLUMES = {"home": "h", "mirrors": "m"}
PLAIN = {"name": "p", "upstream": "https://git.example.com/p.git", "token_ref": "T"}
GIVEN = {**PLAIN, "allow_unsigned": True, "trailers": ["Change-Id"], "max_refs": 12}

def remote(entry):
    config = Manifest.model_validate({"git": [entry]}).git[0]
    return GateRemote(config, upstream_of(config), "", "")

def planned(entry):
    manifest = Manifest.model_validate({"git": [entry]})
    images = dict.fromkeys(("agent", "egress", "pipelock", "supervise", "git-gate"), "i")
    return plan("s", manifest, RouteTableFile.of(manifest), Copies(), [remote(entry)], images, VOLUMES)

def refused(**more):
    try:
        Manifest.model_validate({"git": [{**PLAIN, **more}]})
    except ValueError as error:
        return str(error)

def at_the_gate(entry):
    with TemporaryDirectory() as folder:
        Path(folder, "remotes.json").write_text(json.dumps({"remotes": [remote(entry).entry()]}))
        gate = read_remotes(Path(folder))[0]
    return [gate.signed, list(gate.trailers), gate.max_refs]

old = planned(PLAIN)
for name in ("signed", "trailers", "max_refs"):
    del old["git_remotes"][0][name]
print(json.dumps({
    "page": [line for line in manifest_page().splitlines() if any(name in line for name in ("unsigned", "trailers`", "max_refs"))],
    "schema": [stack_file_schema()["$defs"]["GitRemote"]["properties"][k]["type"] for k in ("allow_unsigned", "trailers", "max_refs")],
    "file": {k: remote(GIVEN).entry()[k] for k in ("signed", "trailers", "max_refs")},
    "gate": [at_the_gate(PLAIN), at_the_gate(GIVEN)],
    "refused": [bool(refused(max_refs=0)), bool(refused(allow_unsigned="yes")), bool(refused(trailers=[1])), refused()],
    "changes": [*changes(planned(PLAIN), planned(GIVEN)), *changes(planned(GIVEN), planned(PLAIN))],
    "from before": [*changes(old, planned(GIVEN))],
}))
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    source = (ROOT / DECLARATION).read_text()
    changed = source.replace("    branches: tuple", f"{NEW}    branches: tuple")
    assert changed != source
    loads = LOADS.replace("claude_bottle.policy.routes.route", "claude_bottle.policy.declared.push_policy")
    # The package holds the module as its attribute too, as after an ordinary import.
    loads += "import claude_bottle.policy.declared as package\npackage.push_policy = module\n"
    done = subprocess.run(
        [sys.executable, "-c", loads + ASKS, changed],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_manifest_its_schema_and_its_page_have_a_new_key(answers: dict[str, Any]) -> None:
    assert answers["page"] == [
        "| `git[].allow_unsigned` | true or false | `false` | Whether commits may lack a signature. | `true` |",
        "| `git[].trailers` | list of text | `[]` | Trailers that a commit may have. | `[Change-Id]` |",
        "| `git[].max_refs` | number | `10` | Most refs. | `10` |",
    ]
    assert answers["schema"] == ["boolean", "array", "integer"]
    assert answers["refused"] == [True, True, True, None]


def test_the_gate_reads_it_from_its_file(answers: dict[str, Any]) -> None:
    assert answers["file"] == {"signed": "allow", "trailers": ["Change-Id"], "max_refs": 12}
    assert answers["gate"] == [[False, [], 10], [True, ["Change-Id"], 12]]


def test_the_plan_says_it_in_its_words(answers: dict[str, Any]) -> None:
    at = "git https://git.example.com/p.git:"
    lines = [f"{at} unsigned commits allowed", f"{at} trailer Change-Id"]
    size = "refs a push to https://git.example.com/p.git"
    gained = [*(f"+ {line}" for line in lines), f"+ 12 {size} (so far 10)"]
    assert answers["changes"] == [*gained, *(f"- {line}" for line in lines), f"- 10 {size} (so far 12)"]
    assert {*gained[:2], f"~ {at} max_refs: null → 12"} <= set(answers["from before"])


def test_each_key_has_words_in_the_plan() -> None:
    assert [key.name for key in KEYS.values() if not (key.right and key.says and key.doc and key.example)] == []


def test_only_the_checks_and_the_old_names_list_its_keys() -> None:
    """Each module names what it enforces, and none names them all."""
    names = FIELDS.keys() | KEYS.keys()
    for room in ("claude_bottle", "sidecar_images", "components", "dashboard", "toolchain"):
        for file in (ROOT / room).rglob("*.py"):
            tree = list(ast.walk(ast.parse(file.read_text())))
            texts = {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
            texts |= {str(node.arg) for node in tree if isinstance(node, ast.keyword)}
            listed = names & texts
            assert len(listed) <= 3 or str(file.relative_to(ROOT)) in (
                DECLARATION,
                "claude_bottle/manifest/renamed.py",
            ), f"{file}: {sorted(listed)}"
