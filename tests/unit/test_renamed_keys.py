"""Keys by their old names: they mean the same, each with a hint, until the next release."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from mocked import compose
from pulumi.runtime.config import CONFIG
from test_cli import Place, place  # noqa: F401 - a fixture
from test_legacy import OLD as ORIGINAL
from test_plan_table import ONE, make, shown, step
from test_program import Quiet

from claude_bottle.approvals.edit.stack_file import changed
from claude_bottle.checks.validation import Examined, examine
from claude_bottle.cli import stack_check
from claude_bottle.cli.legacy_convert import convert
from claude_bottle.cli.template import TOOLS, Wishes, stack_file
from claude_bottle.host.git_remotes import remotes_file
from claude_bottle.manifest.change import Change
from claude_bottle.manifest.docs import manifest_page
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.renamed import RENAMED, STILL_WORKS, Renamed, Translated
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.manifest.render.routes import RouteTableFile
from claude_bottle.plan.diff import changes
from claude_bottle.plan.resolved import plan
from claude_bottle.plan.table import as_json, rows
from components import program

VOLUMES = {"home": "claude-bottle-home-s", "mirrors": "claude-bottle-mirrors-s"}

TOKENS = {"ONE": "a-token-of-some-length", "TWO": "another-token-of-length"}
FILES = {
    "root.pem": "-----BEGIN CERTIFICATE-----\n",
    "root.crl.pem": "-----BEGIN X509 CRL-----\n",
    "own.toml": "[extend]\nuseDefault = true\n",
}
ROUTES = {"egress": {"routes": [{"host": "git.corp.example.com"}]}}
P = {"name": "p", "upstream": "https://git.example.com/acme/p.git", "token_ref": "ONE"}
Q = {"name": "q", "upstream": "https://git.example.com/acme/q.git", "token_ref": "TWO"}
# By old path: the old value, today's, one that is wrong by either name, and what is said of it.
VALUES: dict[str, list[tuple[Any, Any, Any, str]]] = {
    "pipelock.trusted": [
        (["git.corp.example.com"], ["git.corp.example.com"], "git.corp.example.com", "write a list: ")
    ],
    "pipelock.upstream_roots": [(["root.pem"], ["root.pem"], ["none.pem"], "not a readable PEM file")],
    "pipelock.revocation_lists": [(["root.crl.pem"], ["root.crl.pem"], ["none.pem"], "not a readable PEM file")],
    "network.outside": [("corp-net", "corp-net", "corp net", "write the name of a Docker network")],
    "git[].rules": [("own.toml", "own.toml", "none.toml", "not a readable TOML file")],
    "git[].review": [(True, True, "yes", "'yes': write true or false")],
    "git[].force": [
        ("allow", True, "sometimes", "'sometimes': write true or false"),
        ("never", False, ["allow"], "write true or false"),
        (True, True, 1, "1: write true or false"),
    ],
    "git[].deletes": [("allow", True, "Never", "'Never': write true or false"), ("never", False, None, "is empty")],
    "git[].max_blob_mb": [(3, 3, 0, "0: write a whole number from 1 to 1024")],
}
CASES = [(key, *values) for key in RENAMED for values in VALUES[f"{key.within}.{key.old}"]]
KEYS = [pytest.param(key, id=key.old) for key in RENAMED]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def holding(key: Renamed, **entries: Any) -> dict[str, Any]:
    """A manifest with these keys where that one stands."""
    if key.within == "git[]":
        return {**ROUTES, "git": [P, {**Q, **entries}]}
    return {**ROUTES, key.within: entries}


def place_of(key: Renamed) -> str:
    return f"{key.within.replace('[]', '[1]')}.{key.old}"


def looked_at(raw: object, base: Path) -> Examined:
    return examine(raw, TOKENS.get, base)


def everything(*, today: bool) -> dict[str, Any]:
    """A manifest with every key, by one of its names."""
    raw: dict[str, Any] = {**ROUTES, "pipelock": {}, "network": {}, "git": [{**P}, {**Q}]}
    for key in RENAMED:
        old, new, *_ = VALUES[f"{key.within}.{key.old}"][0]
        where = raw["git"][0] if key.within == "git[]" else raw[key.within]
        where[key.new if today else key.old] = new if today else old
    raw["git"][1] |= {"allow_force_push": False} if today else {"force": "never"}
    return raw


def test_every_old_key_is_tried() -> None:
    assert set(VALUES) == {f"{key.within}.{key.old}" for key in RENAMED}
    assert not {key.old for key in RENAMED} & {key.new for key in RENAMED}


@pytest.mark.parametrize(("key", "old", "new", "wrong", "words"), CASES)
def test_the_old_name_means_the_same(key: Renamed, old: Any, new: Any, wrong: Any, words: str, base: Path) -> None:
    before, after = looked_at(holding(key, **{key.old: old}), base), looked_at(holding(key, **{key.new: new}), base)
    assert before.findings == after.findings == []
    assert before.manifest == after.manifest is not None
    assert [one.entry() for one in before.remotes] == [one.entry() for one in after.remotes]
    assert list(after.names.hints()) == []
    (hint,) = before.names.hints()
    assert hint.startswith(f"{place_of(key)}: the key is called {key.new} now")
    assert hint.endswith(STILL_WORKS)
    assert ("(" in hint) == (isinstance(old, str) and bool(key.becomes)), "a value that stays is not repeated"


@pytest.mark.parametrize(("key", "old", "new", "wrong", "words"), CASES)
def test_a_wrong_value_is_told_by_the_name_in_the_file(
    key: Renamed, old: Any, new: Any, wrong: Any, words: str, base: Path
) -> None:
    seen = looked_at(holding(key, **{key.old: wrong}), base)
    (line,) = map(str, seen.findings)
    assert re.match(rf"{re.escape(place_of(key))}(\[0\])?: ", line), line
    assert words in line
    assert key.new not in line


@pytest.mark.parametrize("key", KEYS)
def test_both_names_in_one_mapping_are_one_error(key: Renamed, base: Path) -> None:
    old, new, *_ = VALUES[f"{key.within}.{key.old}"][0]
    seen = looked_at(holding(key, **{key.old: old, key.new: new}), base)
    assert [str(one) for one in seen.findings] == [f"{place_of(key)}: write {key.new} alone; {key.old} is its old name"]
    assert seen.manifest is None
    assert list(seen.names.hints()) == []


def test_each_old_name_has_one_hint_with_all_its_places(base: Path) -> None:
    hints = list(looked_at(everything(today=False), base).names.hints())
    assert len(hints) == len(set(hints)) == len(RENAMED)
    assert (
        "git[0].force, git[1].force: the key is called allow_force_push now (force: never is allow_force_push: false,"
        f" force: allow is allow_force_push: true); {STILL_WORKS}"
    ) in hints
    assert f"pipelock.trusted: the key is called allow_private_addresses now; {STILL_WORKS}" in hints


def test_what_is_given_stays_as_it_is() -> None:
    raw = everything(today=False)
    text = json.dumps(raw)
    assert Translated(raw).manifest == everything(today=True)
    assert json.dumps(raw) == text


@pytest.mark.parametrize(
    "raw",
    [
        {"git": 3}, {"git": {"force": "allow"}}, {"git": [3, None, ["force"]]}, {"pipelock": None}, {"pipelock": ["trusted"]},
        {"network": "outside"}, {"network": {3: "x"}}, {}, {"trusted": ["a.example.com"]}, {"agent": {"force": "allow"}},
    ],
)  # fmt: skip
def test_what_has_another_shape_is_left_to_the_model(raw: dict[str, Any]) -> None:
    names = Translated(raw)
    assert names.manifest == raw
    assert names.findings == list(names.hints()) == []


def test_a_wrong_entry_before_it_does_not_move_the_path(base: Path) -> None:
    lines = [str(one) for one in looked_at({"git": [3, {**P, "rules": "none.toml"}]}, base).findings]
    assert [line.partition(":")[0] for line in lines] == ["git[0]", "git[1].rules"]


def test_a_hint_shows_no_value_of_the_owners(base: Path) -> None:
    secret = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
    seen = looked_at({"network": {"outside": secret}, "git": [{**P, "force": secret}]}, base)
    said = [*map(str, seen.findings), *seen.names.hints()]
    assert secret not in str(said)
    assert {line.partition(":")[0] for line in said} == {"network.outside", "git[0].force"}


# What the sidecars of every bottle that runs have been given: where a byte of it is another, they are made anew.
REMOTES = """{
  "remotes": [
    {
      "name": "p",
      "upstream": "https://git.example.com/acme/p.git",
      "branches": [
        "*"
      ],
      "force": "allow",
      "deletes": "allow",
      "max_push_mb": 100,
      "max_blob_mb": 3,
      "push_options": [],
      "review": true,
      "known_findings": [],
      "allow_fsck": [],
      "rules": true
    },
    {
      "name": "q",
      "upstream": "https://git.example.com/acme/q.git",
      "branches": [
        "*"
      ],
      "force": "never",
      "deletes": "never",
      "max_push_mb": 100,
      "max_blob_mb": 20,
      "push_options": [],
      "review": false,
      "known_findings": [],
      "allow_fsck": [],
      "rules": false
    }
  ]
}
"""


def planned(seen: Examined) -> dict[str, Any]:
    assert seen.manifest is not None
    images = dict.fromkeys(("agent", "egress", "pipelock", "supervise", "git-gate"), "image:1")
    return plan("s", seen.manifest, RouteTableFile.of(seen.manifest), seen.copies, seen.remotes, images, VOLUMES, FILES)


def test_the_plan_and_what_the_sidecars_get_are_the_same(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = (looked_at(everything(today=today), base) for today in (False, True))
    assert before.manifest is not None and after.manifest is not None
    assert remotes_file(before.remotes) == remotes_file(after.remotes) == REMOTES
    assert render(before.manifest) == render(after.manifest)
    assert yaml.safe_load(render(after.manifest))["trusted_domains"] == ["git.corp.example.com"]
    one, two = planned(before), planned(after)
    assert json.dumps(one) == json.dumps(two)
    assert rows(one) == rows(two)
    assert list(changes(one, two)) == []
    monkeypatch.chdir(base)
    resources = []
    for seen in (before, after):
        manifest = Translated(everything(today=seen is after)).manifest
        recorder, outputs = compose(manifest, TOKENS, remotes=seen.remotes)
        registered = [one for one in recorder.resources if one.typ != "pulumi:pulumi:Stack"]  # the root, made once
        inputs = {one.urn: json.dumps(one.inputs, sort_keys=True) for one in registered}
        resources.append((inputs, outputs["plan"]))
    assert resources[0] == resources[1]


def test_the_plan_keeps_the_keys_of_those_of_running_bottles(base: Path) -> None:
    document = planned(looked_at(everything(today=True), base))
    assert document["pipelock"]["trusted"] == ["git.corp.example.com"]
    assert [document["pipelock"][key][0]["file"] for key in ("upstream_roots", "revocation_lists")] == [
        "root.pem", "root.crl.pem",
    ]  # fmt: skip
    assert document["network"]["outside"] == "corp-net"
    assert {key.old for key in RENAMED if key.within == "git[]"} <= document["git_remotes"][0].keys()


def test_the_words_of_a_plan_name_the_keys_of_today() -> None:
    lists = {"ca_files": ["a.pem", "b.pem"], "crl_files": ["a.pem", "b.pem"], "allow_private_addresses": ["a.example", "b.example"]}  # fmt: skip
    first, other = ({"pipelock": {key: names[::way] for key, names in lists.items()}} for way in (1, -1))
    lines = list(changes(make(first), make(other)))
    assert sorted(lines) == sorted(f"~ pipelock.{key}: the same in another order" for key in lists)
    git = {**P, "allow_force_push": True, "allow_deletions": True}
    lines = list(changes(make({"git": [P]}), make({"git": [git]})))
    assert lines == [f"+ git {P['upstream']}: {what} allowed" for what in ("force pushes", "deletions")]


def test_the_preview_warns_of_it(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warnings.append)
    monkeypatch.setattr(program, "room", lambda stack: None)
    before = dict(CONFIG.get())

    def read(network: str) -> None:
        bottle = {"network": {"outside": network}, "pipelock": {"trusted": []}}
        pulumi.runtime.set_all_config({"claude-bottle:bottle": json.dumps(bottle)}, [])
        program.read_manifest(pulumi.Config("claude-bottle"), "demo", base, Quiet())  # type: ignore[arg-type]

    try:
        read("corp-net")
        with pytest.raises(program.ManifestError, match=r"network\.outside: 'corpnet': no such network on this engine"):
            read("corpnet")
    finally:
        pulumi.runtime.set_all_config(before)
    assert [line.partition(":")[0] for line in warnings] == ["pipelock.trusted", "network.outside"]


def test_the_table_shows_it_once() -> None:
    (hint,) = Translated({"pipelock": {"trusted": []}}).hints()
    said = [{"severity": "warning", "message": f"<{{%reset%}}>{hint}<{{%reset%}}>\n"}] * 2
    preview = {"steps": [step("create", newState={"inputs": {"plan": make(ONE)}})], "diagnostics": said}
    text = " ".join(shown(preview).split())
    assert text.endswith(hint)
    assert text.count(STILL_WORKS) == 1
    document = as_json(preview)
    assert document is not None and document["hints"] == [hint]


def test_check_says_it_and_finds_nothing_wrong(place: Place) -> None:  # noqa: F811
    file = place.folder / "stacks/Pulumi.demo.yaml"
    file.write_text("config: {claude-bottle:bottle: {egress: {routes: []}, network: {outside: corp-net}}}\n")
    hint = f"network.outside: the key is called external now; {STILL_WORKS}"
    done = place.run("check", "demo")
    assert (done.exit_code, done.stdout) == (0, f"demo: in order\n  {hint}\n")
    assert json.loads(place.run("check", "--json").stdout) == [{"stack": "demo", "findings": [], "hints": [hint]}]


def test_new_files_have_the_names_of_today(place: Place) -> None:  # noqa: F811
    texts = [
        stack_file("demo", Wishes(use, repo, "/src/p", True, model))
        for use in ("", *TOOLS)
        for repo in ("", "https://git.example.com/a/p.git", "git@git.example.com:a/p.git")
        for model in (True, False)
    ]
    texts += convert(ORIGINAL).values()
    assert place.run("init", "other", "--repo", "https://git.example.com/a/p.git").exit_code == 0
    texts += [(place.folder / "stacks/Pulumi.other.yaml").read_text()]
    assert not [text for text in texts if stack_check.check(text, place.folder, ask_machine=False).hints]
    old = "|".join(key.old for key in RENAMED)
    assert not [line for text in texts for line in text.splitlines() if re.search(rf"\b({old}):", line)]


def test_an_approval_leaves_the_owners_spelling() -> None:
    bottle = """config:
  claude-bottle:bottle:
    pipelock: {trusted: [git.corp.example.com], upstream_roots: [root.pem]}   # mine
    egress:
      routes:
        - host: a.example.com
    git:
      - {name: p, upstream: "https://git.example.com/acme/p.git", token_ref: ONE, force: allow}
    network:
      outside: corp-net
"""
    for change in (
        {"path": "egress.routes", "value": {"host": "b.example.com", "methods": ["GET"]}},
        {"path": "pipelock.allow", "value": "b.example.com"},
        {"path": "agent.memory", "value": "2g"},
    ):
        lines = changed(bottle, Change.read(change)).splitlines()
        names = ("trusted: [git.corp.example.com], upstream_roots: [root.pem]", "force: allow", "outside: corp-net")
        assert all(any(name in line for line in lines) for name in names)
        assert not [key.new for key in RENAMED if any(f"{key.new}:" in line for line in lines)]


def test_the_page_names_every_old_key() -> None:
    section = manifest_page().partition("## Old names\n")[2].partition("\n## ")[0]
    for key in RENAMED:
        assert f"| `{key.within}.{key.old}" in section
        assert f"| `{key.within}.{key.new}" in section
    assert "| `git[].force: allow` | `git[].allow_force_push: true` |" in section


def test_the_model_has_only_the_names_of_today() -> None:
    parts = {"pipelock": Manifest().pipelock, "network": Manifest().network}
    for key in RENAMED:
        fields = type(parts[key.within]).model_fields if key.within in parts else Manifest.model_fields["git"].annotation.__args__[0].model_fields  # type: ignore[union-attr]  # fmt: skip
        assert key.new in fields
        assert key.old not in fields
