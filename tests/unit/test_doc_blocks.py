"""Every block of the pages is what its language says, and every command in them exists as it is told.

The commands of README are run in tests/integration/test_docs_blocks.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from doc_blocks import LANGUAGES, PAGES, ROOT, Block, blocks, inline
from said_commands import PROGRAMS, wrong
from test_plan_table import make

from claude_bottle.cli.app import app
from claude_bottle.manifest.model import Manifest
from claude_bottle.plan.table import as_json
from claude_bottle.policy.refusal import Refusal
from claude_bottle.workspace.copies import Copies, SkillCopy, Workspace

BLOCKS = blocks()


def of(*languages: str) -> list[Any]:
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language in languages]


@pytest.mark.parametrize("block", [pytest.param(block, id=str(block)) for block in BLOCKS])
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block}: write one of {', '.join(LANGUAGES)} after the fence"
    assert block.text.strip()


def fragment(text: str) -> dict[str, Any]:
    """The bottle that a piece of a stack file is about: a whole file, keys of a bottle, or entries of its routes."""
    read = yaml.safe_load(text)
    if isinstance(read, list):
        return {"egress": {"routes": read}}
    if "config" in read:
        return dict(read["config"]["claude-bottle:bottle"])
    assert set(read) <= set(Manifest.model_fields), f"neither a stack file nor keys of a bottle: {sorted(read)}"
    return dict(read)


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml_is_a_manifest_or_a_piece_of_one(block: Block) -> None:
    Manifest.model_validate(fragment(block.text))


def test_yaml_that_is_no_manifest_is_noticed() -> None:
    with pytest.raises(ValueError, match="hosts"):
        Manifest.model_validate(fragment("- {hosts: api.example.com}"))
    with pytest.raises(AssertionError, match="neither"):
        fragment("routes: []")


# Of each block of JSON, the keys of what really prints it; there is none yet.
PRINTED: dict[str, set[str]] = {}


def test_json_is_what_a_command_prints() -> None:
    for block in (block for block in BLOCKS if block.language == "json"):
        assert str(block) in PRINTED, f"{block}: say in PRINTED which keys its command prints"
        assert keys(json.loads(block.text)) <= PRINTED[str(block)]


@pytest.mark.parametrize("block", of("text"))
def test_a_drawing_holds_no_command(block: Block) -> None:
    assert not [line for line in block.typed if line.split()[0] in PROGRAMS]


@pytest.mark.parametrize("block", of("sh"))
def test_each_command_of_a_block_exists_with_its_options(block: Block) -> None:
    assert block.typed
    assert not [problem for line in (*block.typed, *block.instead) if (problem := wrong(line))]


@pytest.mark.parametrize("file", sorted((ROOT / "stacks/examples").glob("*.yaml")), ids=lambda file: file.stem)
def test_each_command_in_an_example_exists(file: Path) -> None:
    """A line of a comment that is a command, and code in its words."""
    text = file.read_text()
    said = re.findall(r"^ *# {3}(bottle .*)", text, re.MULTILINE) + re.findall(r"# .*?`((?:bottle|make) [^`]+)`", text)
    assert not [problem for line in said if (problem := wrong(line, whole=False))]
    assert "pulumi config" not in text, "bottle secret needs neither an activated shell nor a stack that was up"


# Code in prose that begins like a command and is none, or whose words stand for more than one.
NO_COMMAND = {
    "git:": "a key of the manifest",
    "docker exec -it …": "the beginning of what the output `attach` holds",
}
INLINE = [
    pytest.param(text, id=f"{place} {text[:40]}")
    for place, text in inline()
    if text.split()[0] in PROGRAMS and " " in text and text not in NO_COMMAND
]


@pytest.mark.parametrize("text", INLINE)
def test_each_command_in_prose_exists(text: str) -> None:
    assert not wrong(text.replace("…", "X"), whole=False)


def test_prose_is_read() -> None:
    assert len(INLINE) > 100
    assert len(BLOCKS) >= 19
    assert len(PAGES) >= 20


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("bottle ask lst demo", "no verb lst in `bottle ask`"),
        ("./bottle up", "takes more arguments"),
        ("bottle up demo other", "takes 1 arguments"),
        ("bottle pull demo --into x", "`bottle pull` has no --into"),
        ("make plann STACK=demo", "no target plann"),
        ("make plan STCK=demo", "STCK means nothing to plan"),
        ("python -m components.plan_tabel demo", "no module components.plan_tabel"),
        ("python3 -m toolchain setup --devel 2", "unrecognized arguments: --devel 2"),
        ("python bench/chains.py", "no such file"),
        ("git merg main", "no verb merg"),
        ("true && bottle upp demo", "no verb upp"),
        ("X=1 bottle upp demo", "no verb upp"),
        ("$(bottle upp demo)", "no verb upp"),
        ("botle up demo", "does not know the program"),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str, problem: str) -> None:
    assert problem in wrong(line)


def test_options_of_pulumi_are_looked_up() -> None:
    assert "has no --supress-outputs" in wrong("pulumi up --supress-outputs")
    assert "no verb upp" in wrong("pulumi upp")


# --- what the pages say of commands and outputs, as far as a table can hold it


def leaves(command: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    subs = getattr(command, "commands", {})
    return {path: command} if not subs else {k: v for n, c in subs.items() for k, v in leaves(c, (*path, n)).items()}


VERBS = leaves(typer.main.get_command(app))
README = (ROOT / "README.md").read_text()


def test_readme_names_every_verb() -> None:
    table = README.partition("| command | what it does |")[2].partition("\n\n")[0]
    for path in VERBS:
        assert re.search(rf"`(?:bottle )?(?:[a-z]+ )*{path[-1]}\b", table), " ".join(path)


def test_the_verbs_that_take_json_are_those_that_readme_names() -> None:
    (sentence,) = re.findall(r"\n(.*) take `--json`", README)
    named = {tuple(words.split()) for words in re.findall(r"`([a-z ]+)`", sentence)}
    assert named == {path for path, verb in VERBS.items() if any("--json" in one.opts for one in verb.params)}


def keys(value: Any, path: str = "") -> set[str]:
    """Paths of keys, of the entries of a list too."""
    if isinstance(value, list):
        return {path, *(nested for one in value for nested in keys(one, f"{path}[]"))}
    if isinstance(value, dict):
        return {path, *(nested for key, one in value.items() for nested in keys(one, f"{path}.{key}".lstrip(".")))}
    return {path}


FULL: dict[str, Any] = {
    "agent": {"memory": "1g", "cpus": 1, "apt": ["jq"], "runtime": "runsc", "command": ["true"]},
    "env": {"TZ": "x"},
    "prompt": "hello",
    "egress": {
        "routes": [
            {
                "host": "api.github.com", "path": ["/repos"], "methods": ["GET"], "auth_scheme": "bearer", "token_ref": "GH",
                "placeholder": "GH_TOKEN", "own_credentials": "pass", "until": "2099-01-31T12:00:00Z", "description": "x",
                "allow_headers": ["X-HTTP-Method-Override"], "allow_ranges": True, "forge": ["merge"],
            },
            {"host": "api.github.com", "path": ["/graphql"], "repositories": ["acme/project"]},
        ]
    },
    "pipelock": {"allow": [{"host": "b.example.com", "until": "2099-01-31T12:00:00Z"}]},
    "git": [{"name": "p", "upstream": "https://git.example.com/a/b.git", "token_ref": "GH", "token_user": "me"}],
    "network": {"pool": "10.213.0.0/16"},
    "supervise": True,
}  # fmt: skip


def test_the_keys_of_the_plan_are_those_of_its_page() -> None:
    """Each key of a plan has a row, or is named in that of what it is in; each row is a key of a plan."""
    table = (ROOT / "docs/plan.md").read_text().partition("| key | value |")[2]
    rows = {
        name: row
        for row in table.splitlines()
        for name in re.findall(r"`([^`]+)`", row.split("|")[1] if "|" in row else "")
    }
    skill = SkillCopy("review", "/s/review", "a" * 64)
    work = Workspace("/w", "copy", copy_git=True, files=3, digest="a" * 64, branches="b" * 64)
    plan = make(FULL, Copies(skills=[skill], workspace=work))
    for path in keys(plan) - {""}:
        above = [
            name
            for name in rows
            if path == name.rstrip("[]") or path == name or path.startswith((f"{name}.", f"{name}["))
        ]
        top = [name for name in rows if name.startswith((f"{path}.", f"{path}["))]
        assert above or top, f"docs/plan.md has no row for {path}"
        inside = path.partition("[].")[2].removesuffix("[]")
        if inside and inside not in " ".join(rows[name] for name in above):
            raise AssertionError(f"docs/plan.md: the row of {above[0]} does not name {inside}")
    for name in rows:
        start = name.rstrip("[]")
        assert any(path == start or path.startswith((f"{start}.", f"{start}[")) for path in keys(plan)), (
            f"no plan has {name}"
        )


def test_a_refusal_has_the_keys_that_readme_shows() -> None:
    (shown,) = re.findall(r'`(\{"refused_by".*?\})`', README)
    body = json.loads(Refusal("egress", "host_not_declared", "words").body(method="GET", host="h", path="/"))
    for key in re.findall(r'"(\w+)":', shown):
        assert key in body
    assert '"reason": "host_not_declared"' in shown


FILE = re.compile(r"(?:[\w.-]+/)+[\w.-]+\.(?:py|md|toml|tsv|lock|json|yaml|ya?ml|in|txt)\Z|(?:[a-z_]+/)+\Z")
ROOMS = tuple(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))


@pytest.mark.parametrize(
    ("place", "text"),
    [(p, t) for p, t in inline() if FILE.match(t.partition("::")[0]) and t.split("/")[0] in ROOMS],
)
def test_a_file_that_a_page_names_is_there(place: str, text: str) -> None:
    name = text.partition("::")[0]
    if name.startswith("stacks/Pulumi."):  # of the reader's own
        return
    assert (ROOT / name).exists(), place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_types_that_a_page_names_are_those_of_the_components() -> None:
    """A component's token is made by its name (claude_bottle/engines/component_types.py)."""
    classes = {
        name
        for file in (ROOT / "components").rglob("*.py")
        for name in re.findall(r"\btoken\(\"(\w+)\"\)", file.read_text())
    }
    assert {"Bottle", "SecretDigests"} <= classes
    for page in PAGES:
        for room, name in re.findall(r"claude-bottle:(\w+):(\w+)", page.read_text()):
            assert (room, name in classes) == ("index", True), f"{page.name}: {room}:{name}"


def test_the_keys_of_bottle_plan_for_programs_are_those_of_its_page() -> None:
    state = {"inputs": {"plan": make({})}}
    step = {
        "op": "update",
        "urn": "urn:pulumi:s::claude-bottle::claude-bottle:index:Bottle::s",
        "oldState": state,
        "newState": state,
    }
    output = as_json({"steps": [step]})
    (named,) = re.findall(r"`bottle plan --json` prints the keys ([^.]*)\.", (ROOT / "docs/plan.md").read_text())
    assert output is not None
    assert set(re.findall(r"`(\w+)`", named)) == set(output) - {"stack"}
