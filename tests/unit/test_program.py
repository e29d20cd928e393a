"""What a preview stops at, as the program reads Pulumi's config: all of it in one go, each once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from mistakes import facts
from pulumi.runtime.config import CONFIG

from claude_bottle.manifest.config_keys import config_findings
from claude_bottle.policy.errors import ManifestError
from components import program

ROOT = Path(__file__).resolve().parents[2]


class Quiet:
    """A machine on which nothing of the stack is."""

    facts = staticmethod(facts())

    def known_ids(self) -> set[str]:
        return set()

    def last_plan(self) -> dict[str, Any]:
        return {}

    def bottles_name(self) -> str | None:
        return None

    def last_checkout(self) -> dict[str, str]:
        return {}


def preview(monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], secret: tuple[str, ...] = ()) -> list[str]:
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    before = dict(CONFIG.get())
    pulumi.runtime.set_all_config(values, list(secret))
    monkeypatch.setattr(program, "room", lambda stack: None)
    try:
        program.read_manifest(pulumi.Config("claude-bottle"), "demo", ROOT / "stacks", Quiet())  # type: ignore[arg-type]
    except ManifestError as error:
        return [str(finding) for finding in error.findings]
    finally:
        pulumi.runtime.set_all_config(before)
    return []


def test_a_wrong_type_hides_nothing_that_the_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    bottle = {
        "agent": {"apt": "python3", "memory": "64g", "runtime": "runsc"},
        "network": {"external": "corpnet"},
        "pipelock": {"dlp": {"disabled_rules": ["jwtt"], "patterns": [{"name": "t", "regex": "((tkt"}]}},
    }
    paths = [line.partition(": ")[0] for line in preview(monkeypatch, {"claude-bottle:bottle": bottle})]
    assert paths == [
        "agent.apt", "agent.memory", "agent.runtime", "network.external",
        "pipelock.dlp.disabled_rules[0]", "pipelock.dlp.patterns[0].regex",
    ]  # fmt: skip
    wrong = {"agent": {"memory": "lots", "cpus": "two"}, "network": {"external": 3}}
    assert len(preview(monkeypatch, {"claude-bottle:bottle": wrong})) == 3


@pytest.mark.parametrize(
    ("config", "secret", "words"),
    [
        ({"claude-bottle:botle": {"egress": {}}}, (), ["claude-bottle:botle: unknown key; did you mean claude-bottle:bottle?"]),
        ({"claude-bottle:agent.memory": "2g", "claude-bottle:bottle": {}}, (),
         ["claude-bottle:agent.memory: is not a key at this level; write it under claude-bottle:bottle: {agent:"
         " {memory: …}}"]),
        ({"claude-bottle:egress.routes[0].host": "a", "claude-bottle:bottle": {}}, (), ["write it under claude-bottle:bottle: {egress: {routes: …}}"]),
        ({"claude-bottle:bottle": "", "other:key": "x"}, (), ["claude-bottle:bottle: is missing or empty; write a mapping"]),
        ({"claude-bottle:bottle": "hello"}, (), ["claude-bottle:bottle: write a mapping"]),
        ({}, (), ["claude-bottle:bottle: is missing or empty"]),
        ({"claude-bottle:bottle": {}, "claude-bottle:verbose": "true"}, (), ["claude-bottle:verbose: unknown key; remove it"]),
        ({"claude-bottle:bottle": {}, "claude-bottle:GH_TOKEN": "x"}, (), ["claude-bottle:GH_TOKEN: is in plain text", ]),
        ({"claude-bottle:bottle": {}, "claude-bottle:GH_TOKEN": "x"}, ("claude-bottle:GH_TOKEN",), []),
        ({"claude-bottle:bottle": {}, "claude-bottle:BOTTLE_TOKEN": "x"}, ("claude-bottle:BOTTLE_TOKEN",), []),
        ({"claude-bottle:bottle": {}, "claude-bottle:agent.memory": "x"}, ("claude-bottle:agent.memory",), ["is not a key at this level"]),
        ({"claude-bottle:bottle": {}, "claude-bottle:a-b": "x"}, ("claude-bottle:a-b",), ["no bottle can use a secret"
        " of this name; remove this key from the file"]),
        ({"claude-bottle:bottle": {}, "pulumi:tags": "x"}, (), []),
        ({"claude-bottle:bottle": {}, "docker:host": "ssh://me@a.example.com"}, (), ["docker:host: 'ssh://me@a.example.com': comes from the project's defaults"]),
    ],
)  # fmt: skip
def test_keys_beside_the_bottle(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], secret: tuple[str, ...], words: list[str]
) -> None:
    lines = preview(monkeypatch, config, secret)
    assert len(lines) == len(words), lines
    for line, part in zip(lines, words, strict=True):
        assert part in line


def test_a_secret_that_the_bottle_names_may_have_any_name() -> None:
    assert config_findings({"claude-bottle:agent": True}, "demo", {"agent"}) == []
    assert config_findings({"claude-bottle:my_token": True, "claude-bottle:bottle": False}, "demo") == []
    (one,) = config_findings({"claude-bottle:my_token": False}, "demo", {"my_token"})
    assert one.message.endswith("./bottle secret demo my_token")


def test_an_engine_that_the_stack_file_names_is_that_of_every_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "stacks").mkdir()
    monkeypatch.chdir(tmp_path)
    config = {"claude-bottle:bottle": {}, "docker:host": "ssh://me@a.example.com"}
    file = tmp_path / "stacks/Pulumi.demo.yaml"
    file.write_text("config: {docker:host: 'ssh://me@a.example.com'}\n")
    assert preview(monkeypatch, config) == []
    file.write_text("config: {docker:host: 'ssh://me@b.example.com'}\n")
    assert ["docker:host" in line for line in preview(monkeypatch, config)] == [True]
