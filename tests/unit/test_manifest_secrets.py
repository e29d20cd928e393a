"""What stands in a manifest and is a secret is refused, wherever it stands, and never shown.

Sources of the shapes: RFC 3986, 3.2.1 (user information of a URL); Claude Code's `setup-token`, whose tokens begin with
sk-ant-oat01- and are 108 letters long; docs.github.com, "About authentication to GitHub" (ghp_ and 36 letters).
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest

from claude_bottle.checks.validation import examine

TOKEN = "own-Token/with+all_kinds-of:letters-47"
UNNAMED = "a-secret-that-no-route-names-4711"
CLAUDE = "sk-ant-oat01-" + "aB3x_Zk9Qw-R7tLmN2pVc" * 4 + "aB3x_Zk9Q" + "AA"
PAT = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
ROUTE = {"host": "api.example.com", "token_ref": "OWN_TOKEN"}


def messages(secrets: dict[str, str] | None = None, **raw: Any) -> list[str]:
    examined = examine(
        {"egress": {"routes": [ROUTE]}, **raw},
        {"OWN_TOKEN": TOKEN}.get,
        secrets={"UNNAMED": UNNAMED, **(secrets or {})},
    )
    return [str(finding) for finding in examined.findings]


def places(value: str) -> dict[str, dict[str, Any]]:
    """Key path to a manifest that has a value there."""
    return {
        "env.X": {"env": {"X": value}},
        "agent.command[1]": {"agent": {"command": ["run", f"--key={value}"]}},
        "prompt.text": {"prompt": {"text": f"use {value} for it"}},
        "prompt": {"prompt": f"use {value} for it"},
        "egress.routes[0].description": {"egress": {"routes": [{**ROUTE, "description": value}]}},
        "egress.routes[0].path[0]": {"egress": {"routes": [{**ROUTE, "path": [f"/{value}"]}]}},
        "pipelock.dlp.patterns[0].regex": {"pipelock": {"dlp": {"patterns": [{"name": "own", "regex": value}]}}},
        "git[0].upstream": {
            "git": [{"name": "x", "upstream": f"https://example.com/{value}/x.git", "token_ref": "OWN_TOKEN"}]
        },
        "network.external": {"network": {"external": value}},
        "unknown.key": {"unknown": {"key": value}},
    }


@pytest.mark.parametrize("where", places(""))
@pytest.mark.parametrize("name", ["own", "unnamed", "base64", "percent", "claude", "pat"])
def test_a_secret_is_refused_wherever_it_stands(where: str, name: str) -> None:
    value = {
        "own": TOKEN,
        "unnamed": UNNAMED,
        "base64": base64.b64encode(f"x:{TOKEN}".encode()).decode(),
        "percent": quote(TOKEN, safe=""),
        "claude": CLAUDE,
        "pat": PAT,
    }[name]
    if where == "git[0].upstream" and name == "own":
        value = TOKEN.replace("/", "%2F")
    lines = [line for line in messages(**places(value)[where]) if line.startswith(f"{where}:")]
    assert any("holds the value of" in line or "looks like a secret" in line for line in lines), lines
    assert value not in "\n".join(lines)


def test_a_key_of_the_manifest_is_looked_at_too() -> None:
    assert any("env" in line and "holds the value of OWN_TOKEN" in line for line in messages(env={TOKEN: "x"}))


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("https://me:hunter2hunter2@example.com/x", True),
        ("postgres://app:s3cr3t-and-more@db.example.com:5432/app", True),
        ("https://:hunter2hunter2@example.com/", True),
        ("https://me@example.com/x", False),
        ("https://example.com/a:b@c", False),
        ("postgres://postgres:postgres@localhost:5432/app", False),
        ("postgres://app:${PASSWORD}@db.example.com/app", False),
        ("postgres://app:<password>@db.example.com/app", False),
    ],
)
def test_a_url_with_a_password(url: str, refused: bool) -> None:
    lines = [line for line in messages(env={"URL": url}) if line.startswith("env.URL")]
    assert bool([line for line in lines if "URL with a password" in line]) == refused, lines
    assert "hunter2" not in "".join(lines)


def test_the_name_of_a_secret_is_no_variable_of_the_agents() -> None:
    assert any(line.startswith("env.OWN_TOKEN: is the name of a secret") for line in messages(env={"OWN_TOKEN": "x"}))
    assert messages(env={"GH_TOKEN": "placeholder"}) == []


def test_what_is_no_secret_passes() -> None:
    assert (
        messages(
            env={"GH_REPO": "acme/project", "DIGEST": "sha256:" + "0123456789abcdef" * 4, "EMPTY": ""},
            agent={"image": "example.com/agent@sha256:" + "0123456789abcdef" * 4, "command": ["sleep", "infinity"]},
            prompt="Keep commits small. See https://example.com/docs/a-page-with-a-long-name-of-many-words",
            git=[],
        )
        == []
    )


def test_a_disabled_rule_is_left_out_here_too() -> None:
    assert messages(env={"X": PAT})
    assert messages(env={"X": PAT}, pipelock={"dlp": {"disabled_rules": ["github-pat"]}}) == []
