"""Old keys are answered with the new YAML, and old files become stack files that are valid."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from claude_bottle.checks.validation import examine
from claude_bottle.cli.app import app
from claude_bottle.cli.legacy_convert import convert
from claude_bottle.manifest import legacy
from claude_bottle.manifest.legacy import rewrite, rewrite_role
from claude_bottle.manifest.model import Manifest
from claude_bottle.policy.errors import BottleError

SECRET = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
OLD = {
    "bottles": {
        "dev": {
            "env": {"TZ": "Europe/Paris", "ASKED": "?token", "LEAK": SECRET, "HTTPS_PROXY": "http://x"},
            "cred_proxy": {
                "routes": [
                    {
                        "path": "/anthropic/",
                        "upstream": "https://api.anthropic.com",
                        "auth_scheme": "Bearer",
                        "token_ref": "CLAUDE_CODE_OAUTH_TOKEN",
                        "role": "anthropic-base-url",
                    }
                ]
            },
            "egress": {"allowlist": ["files.example.com"], "dlp": {}},
            "runtime": "runsc",
            "ssh": [{"Host": "git", "Hostname": "git.example.com", "IdentityFile": "~/.ssh/id"}],
        },
        "alone": {"egress": {"allowlist": ["files.example.com"]}},
    },
    "agents": {"my impl": {"bottle": "dev", "skills": [], "prompt": "Be good.\nAlways.\n", "colour": "blue"}},
}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (
            "cred_proxy",
            OLD["bottles"]["dev"]["cred_proxy"],  # type: ignore[index]
            [{"host": "api.anthropic.com", "auth_scheme": "bearer", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"}],
        ),
        (
            "egress_proxy",
            {"routes": [{"host": "api.github.com", "path_allowlist": ["/repos/a"], "auth": {"scheme": "Bearer", "token_ref": "GH"}}]},
            [{"host": "api.github.com", "path": ["/repos/a"], "auth_scheme": "bearer", "token_ref": "GH"}],
        ),
        ("egress_proxy", {"routes": [{"host": "a.example.com"}]}, [{"host": "a.example.com"}]),
        ("tokens", [{"kind": "github", "token_ref": "GH"}], [{"host": "api.github.com", "auth_scheme": "bearer", "token_ref": "GH"}]),
        ("tokens", {"GH_TOKEN": "api.github.com"}, [{"host": "api.github.com", "auth_scheme": "bearer", "token_ref": "GH_TOKEN"}]),
        ("tokens", {"GH_TOKEN": SECRET}, [{"host": "NAME-THE-HOST", "auth_scheme": "bearer", "token_ref": "GH_TOKEN"}]),
        ("tokens", [SECRET], [{"host": "NAME-THE-HOST", "auth_scheme": "bearer", "token_ref": "NAME_OF_THE_SECRET"}]),
        ("tokens", {}, [{"host": "NAME-THE-HOST", "auth_scheme": "bearer", "token_ref": "NAME_OF_THE_SECRET"}]),
    ],
)  # fmt: skip
def test_an_old_key_is_answered_with_the_new_yaml(key: str, value: Any, expected: list[dict[str, Any]]) -> None:
    line = rewrite(key, value)
    assert "\n" not in line
    assert SECRET not in line
    assert yaml.safe_load(line) == {"egress": {"routes": expected}}


def test_ssh_becomes_a_git_remote() -> None:
    entry = {"Host": "x", "Hostname": "git.example.com", "Port": 2222, "IdentityFile": "~/.ssh/id", "KnownHostKey": "ssh-ed25519 AAAA"}  # fmt: skip
    assert yaml.safe_load(rewrite("ssh", [entry])) == {
        "git": [
            {
                "name": "repository",
                "upstream": "ssh://git@git.example.com:2222/OWNER/REPOSITORY.git",
                "identity_file": "~/.ssh/id",
                "known_hosts": "[git.example.com]:2222 ssh-ed25519 AAAA",
            }
        ]
    }


def test_a_role_says_where_its_token_went() -> None:
    route = yaml.safe_load(rewrite_role({"host": "api.anthropic.com", "role": "claude_code_oauth"}))
    assert route == {"host": "api.anthropic.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"}
    assert SECRET not in rewrite_role({"host": "a.example.com", "role": "x", "token_ref": SECRET})


def test_a_converted_file_is_valid_and_says_what_is_missing(tmp_path: Path) -> None:
    files = convert(OLD)
    assert sorted(files) == ["alone", "my-impl"]
    text = files["my-impl"]
    assert SECRET not in text
    for words in (
        "env.ASKED",
        "env.LEAK",
        "env.HTTPS_PROXY",
        "runtime: not known",
        "colour",
        "git repository: paste",
    ):
        assert words in text.partition("config:")[0], words
    bottle = Manifest.model_validate(yaml.safe_load(text)["config"]["claude-bottle:bottle"])
    assert [(remote.name, remote.identity_file) for remote in bottle.git] == [("repository", "~/.ssh/id")]
    assert [route.host for route in bottle.egress.routes] == ["api.anthropic.com", "files.example.com"]
    assert bottle.env == {"TZ": "Europe/Paris"}
    assert bottle.prompt is not None
    assert "Always." in (bottle.prompt.text or "")
    alone = examine(yaml.safe_load(files["alone"])["config"]["claude-bottle:bottle"], lambda _: None, tmp_path).manifest
    assert alone is not None
    assert [item.host for item in alone.pipelock.allow] == ["files.example.com"]


def test_the_command_writes_files_and_never_over_others(tmp_path: Path) -> None:
    old, out = tmp_path / "old.json", tmp_path / "stacks"

    def convert(file: Path) -> Result:
        return CliRunner().invoke(app, ["convert", str(file), "--out", str(out)])

    old.write_text(json.dumps(OLD))
    assert convert(old).exit_code == 0
    assert sorted(p.name for p in out.iterdir()) == ["Pulumi.alone.yaml", "Pulumi.my-impl.yaml"]
    again = convert(old)
    assert (again.exit_code, "already exist" in again.stderr) == (1, True)
    old.write_text("{")
    broken = convert(old)
    assert (broken.exit_code, "not JSON" in broken.stderr) == (1, True)
    assert convert(tmp_path / "none").exit_code == 1


@pytest.mark.parametrize("old", [[], {}, {"bottles": []}, {"bottles": {}, "agents": {"a": {"bottle": "none"}}}])
def test_what_is_no_such_file_is_told(old: Any) -> None:
    with pytest.raises(BottleError):
        convert(old)


def test_the_converters_have_an_end_and_say_so_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = rewrite("ssh", []), rewrite_role({"host": "a.example.com"}), convert(OLD)["alone"]
    assert legacy.ended(legacy.END) == ""
    assert not [text for text in before if "ended" in text]
    monkeypatch.setattr(legacy, "END", datetime.date(2020, 1, 1))
    after = rewrite("ssh", []), rewrite_role({"host": "a.example.com"}), convert(OLD)["alone"]
    for old, new in zip(before, after, strict=True):
        assert "ended on 2020-01-01" in new
        assert yaml.safe_load(new) == yaml.safe_load(old), "a comment, so that it can be pasted as it is"
