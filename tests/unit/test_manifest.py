"""What a manifest may say, and what it gets told when it may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_bottle.checks.validation import examine
from claude_bottle.cli.manifest_tool import stack_file_schema
from claude_bottle.manifest.model import EgressConfig, EgressRoute, Manifest
from claude_bottle.manifest.render.routes import RouteTableFile, assign_slots
from claude_bottle.plan.resolved import plan, sha256
from claude_bottle.policy.errors import ManifestError
from claude_bottle.workspace.copies import Copies

VOLUMES = {"home": "claude-bottle-home-s", "mirrors": "claude-bottle-mirrors-s"}

ROOT = Path(__file__).parents[2]
TOKENS = {
    "GH": "a-token-of-some-length",
    "CLAUDE_CODE_OAUTH_TOKEN": "another-token-of-length",
    "GITHUB_TOKEN": "a-third-token-of-length",
    "ACME_TOKEN": "a-fourth-token-of-length",
    "WIDGETS_TOKEN": "a-fifth-token-of-length",
    "SHORT": "abc",
    "LINE": "abcdefgh\nijkl",
}
LEAK = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"


def check(raw: Any, base: Path = ROOT / "stacks") -> Manifest:
    examined = examine(raw, TOKENS.get, base)
    if examined.findings or examined.manifest is None:
        raise ManifestError(examined.findings)
    return examined.manifest


def routes(*items: Any) -> dict[str, Any]:
    return {"egress": {"routes": list(items)}}


def findings(raw: Any) -> dict[str, str]:
    with pytest.raises(ManifestError) as error:
        check(raw)
    assert all("\n" not in str(finding) for finding in error.value.findings)
    return {finding.path: str(finding) for finding in error.value.findings}


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({"colour": 1}, "colour", "unknown key; accepted here: use, agent, env, prompt, skills, workspace, egress"),
        ({"agent": {"colour": 1}}, "agent.colour", "accepted here: image, dockerfile"),
        ({"agent": {"apt": ["jq", "curl-"]}}, "agent.apt[1]", "name of a Debian package"),  # apt-get(8): removes it
        ({"agent": {"apt": ["[l.+]"]}}, "agent.apt[0]", "name of a Debian package"),
        (routes({"host": "a.example.com", "hots": 1}), "egress.routes[0].hots", "accepted here: host, path"),
        (routes({}), "egress.routes[0].host", "required"),
        (routes({"host": 3}), "egress.routes[0].host", "write text, in quotes"),
        (
            routes({"host": "https://a.example.com"}),
            "egress.routes[0].host",
            "a URL is not a host name; write a.example.com",
        ),
        (routes({"host": "*"}), "egress.routes[0].host", "'*'"),
        (routes({"host": "*.com"}), "egress.routes[0].host", "before a name of two or more"),
        (routes({"host": "10.0.0.1"}), "egress.routes[0].host", "IP address"),
        (routes({"host": "a.example.com", "path": ["repos"]}), "egress.routes[0].path[0]", "absolute path"),
        (routes({"host": "a.example.com", "path": ["/a/../b"]}), "egress.routes[0].path[0]", "dot segments"),
        (routes({"host": "a.example.com", "methods": ["TRACE"]}), "egress.routes[0].methods[0]", "TRACE"),
        (routes({"host": "a.example.com", "methods": []}), "egress.routes[0].methods", "at least 1"),
        (routes({"host": "a.example.com", "auth_scheme": "bearer"}), "egress.routes[0]", "needs a token_ref"),
        (
            routes({"host": "a.example.com", "auth_scheme": "digest", "token_ref": "GH"}),
            "egress.routes[0].auth_scheme",
            "header:<Name>",
        ),
        (
            routes({"host": "a.example.com", "auth_scheme": "header:Host", "token_ref": "GH"}),
            "egress.routes[0].auth_scheme",
            "header:<Name>",
        ),
        (routes({"host": "*.example.com", "token_ref": "GH"}), "egress.routes[0]", "exact host only"),
        (
            routes({"host": "a.example.com", "token_ref": "NONE"}),
            "egress.routes[0].token_ref",
            "./bottle secret NAME NONE",
        ),
        (routes({"host": "a.example.com", "token_ref": "SHORT"}), "egress.routes[0].token_ref", "at least 8"),
        (routes({"host": "a.example.com", "token_ref": "LINE"}), "egress.routes[0].token_ref", "line end"),
        (
            routes({"host": "a.example.com"}, {"host": "A.example.com"}),
            "egress.routes[1]",
            "conflicts with egress.routes[0]",
        ),
        ({"env": {"https_proxy": "x"}}, "env.https_proxy", "cannot be changed"),
        ({"env": {"A B": "x"}}, "env.A B", "not the name"),
        ({"env": {"TOKEN": LEAK}}, "env.TOKEN", "looks like a secret (rule github-pat)"),
        ({"env": {"A": 1}}, "env.A", "write text, in quotes"),
        ({"agent": {"memory": "lots"}}, "agent.memory", "2g, 512m"),
        ({"agent": {"dockerfile": "no/Dockerfile"}}, "agent.dockerfile", "no such file"),
        ({"agent": {"cpus": 0}}, "agent.cpus", "a number above 0, 256 at most"),
        ({"agent": {"image": "a", "dockerfile": "b"}}, "agent", "not both"),
        ({"pipelock": {"engine": "upstream"}}, "pipelock", "pinned by digest"),
        ({"pipelock": {"engine": "upstream", "image": "x:latest"}}, "pipelock", "pinned by digest"),
        ({"pipelock": {"image": "x"}}, "pipelock", "belongs to engine upstream"),
        ({"pipelock": {"engine": "other"}}, "pipelock.engine", "builtin"),
        ({"pipelock": {"passthrough": ["x.example.com"]}}, "pipelock.passthrough[0]", "neither a route's host"),
        ({"pipelock": {"ca_files": ["no-such.pem"]}}, "pipelock.ca_files[0]", "not a readable PEM"),
        ({"pipelock": {"crl_files": ["no-such.pem"]}}, "pipelock.crl_files[0]", "not a readable PEM"),
        ({"pipelock": {"dlp": {"disabled_rules": ["nonsense"]}}}, "pipelock.dlp.disabled_rules[0]", "no such rule"),
        (
            {"pipelock": {"dlp": {"hosts": {"a.example.com": {"disabled_rules": ["nonsense"]}}}}},
            "pipelock.dlp.hosts.a.example.com.disabled_rules[0]",
            "no such rule",
        ),
        (
            {"pipelock": {"engine": "upstream", "image": "p@sha256:" + "0" * 64, "dlp": {"packs": ["payment"]}}},
            "pipelock",
            "neither packs nor rules for one host",
        ),
        (
            {"pipelock": {"dlp": {"patterns": [{"name": "x", "regex": "(((("}]}}},
            "pipelock.dlp.patterns[0].regex",
            "not an RE2",
        ),
        ({"tokens": {"GH": "x"}}, "tokens", "token_ref"),
        ({"cred_proxy": {}}, "cred_proxy", "egress: {routes:"),
        ({"egress_proxy": {}}, "egress_proxy", "write instead: {egress: {routes:"),
        ({"ssh": {}}, "ssh", "write instead: {git: ["),
        (routes({"host": "a.example.com", "role": "git"}), "egress.routes[0].role", "write: {host: a.example.com}"),
        ([], "claude-bottle:bottle", "write a mapping"),
        (None, "claude-bottle:bottle", "write a mapping"),
        ({"egress": []}, "egress", "write a mapping"),
        ({"egress": {"routes": {}}}, "egress.routes", "list"),
        # What is shown to people draws nothing on their terminal.
        ({"network": {"external": "a\x1b[2Jb"}}, "network.external", "name of a Docker network"),
        ({"network": {"external": "a\u202eb"}}, "network.external", "name of a Docker network"),
        ({"agent": {"command": ["sleep", "1\x1b[2J"]}}, "agent.command[1]", "control characters"),
        ({"agent": {"command": ["sleep", "1\u202e"]}}, "agent.command[1]", "control characters"),
        ({"agent": {"image": "a\x1bb"}}, "agent.image", "control characters"),
        (
            routes({"host": "a.example.com", "description": "a\u2066b"}),
            "egress.routes[0].description",
            "control characters",
        ),
    ],
)
def test_each_mistake_is_one_line_with_its_key_path(raw: Any, path: str, words: str) -> None:
    problems = findings(raw)
    assert list(problems) == [path]
    assert words in problems[path]


def test_everything_is_told_in_one_go() -> None:
    raw = {
        "tokens": {},
        "x": 1,
        "env": {"T": LEAK},
        **routes({"host": "a..b"}, {"host": "ok.example.com", "token_ref": "NONE"}),
    }
    assert set(findings(raw)) == {"tokens", "x", "env.T", "egress.routes[0].host", "egress.routes[1].token_ref"}


def test_no_error_shows_what_may_be_a_secret() -> None:
    raw = {
        "env": {"T": LEAK},
        **routes({"host": "a.example.com", "token_ref": LEAK + "!"}, {"host": "b.example.com", "token_ref": "SHORT"}),
    }
    with pytest.raises(ManifestError) as error:
        check(raw)
    assert LEAK not in str(error.value)
    assert TOKENS["SHORT"] not in str(error.value).replace("SHORT", "")


@pytest.mark.parametrize(
    "value",
    ["ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4p5Q6r7S8", "sk_live_51abcdefghijklmnopqrstuv", "AKIAIOSFODNN7EXAMPLE",
     "npm_abcdefghij0123456789abcdefghij012345", "0123456789abcdef0123456789abcdef01234567"[1:]],
)  # fmt: skip
def test_a_secret_in_a_names_place_is_not_shown_and_not_advised(value: str) -> None:
    with pytest.raises(ManifestError) as error:
        check(routes({"host": "a.example.com", "token_ref": value}))
    assert value not in str(error.value)
    assert "name" in str(error.value)


def test_names_of_secrets_are_names() -> None:
    for name in ("my_github_token_2024", "team_a_service_account_token_1", "CLAUDE_CODE_OAUTH_TOKEN", "github_token"):
        EgressRoute.model_validate({"host": "a.example.com", "token_ref": name})


def test_different_paths_or_methods_are_no_conflict() -> None:
    check(
        routes(
            {"host": "a.example.com", "path": ["/a"]},
            {"host": "a.example.com", "path": ["/b"]},
            {"host": "a.example.com"},
        )
    )
    check(routes({"host": "a.example.com", "methods": ["GET"]}, {"host": "a.example.com", "methods": ["POST"]}))


def test_slots_follow_the_first_mention_and_are_shared() -> None:
    manifest = check(
        routes(
            {"host": "a.example.com", "token_ref": "GH"},
            {"host": "b.example.com", "token_ref": "CLAUDE_CODE_OAUTH_TOKEN"},
            {"host": "c.example.com", "token_ref": "GH", "auth_scheme": "basic"},
            {"host": "d.example.com"},
        )
    )
    assert assign_slots(manifest.egress) == {"GH": "EGRESS_TOKEN_0", "CLAUDE_CODE_OAUTH_TOKEN": "EGRESS_TOKEN_1"}
    table = json.loads(RouteTableFile.of(manifest).table)["routes"]
    assert [(r.get("slot"), r.get("auth_scheme")) for r in table] == [
        ("EGRESS_TOKEN_0", "bearer"), ("EGRESS_TOKEN_1", "bearer"), ("EGRESS_TOKEN_0", "basic"), (None, None),
    ]  # fmt: skip
    assert assign_slots(EgressConfig()) == {}


def test_the_plan_is_stable_and_holds_no_secret() -> None:
    manifest = check({"env": {"A": "the-value"}, **routes({"host": "a.example.com", "token_ref": "GH"})})
    images = {"agent": "a", "egress": "e", "pipelock": "p", "supervise": "s"}
    document = plan("s", manifest, RouteTableFile.of(manifest), Copies(), [], images, VOLUMES)
    assert document["schema"] == 2
    assert document["egress"]["token_slots"] == {"EGRESS_TOKEN_0": "GH"}
    assert document["agent"]["env"] == {"A": sha256("the-value")}
    assert TOKENS["GH"] not in json.dumps(document)
    assert "the-value" not in json.dumps(document)
    assert json.dumps(document) == json.dumps(
        plan("s", manifest, RouteTableFile.of(manifest), Copies(), [], images, VOLUMES)
    )


def test_the_stored_schema_is_the_models() -> None:
    stored = json.loads((ROOT / "stacks" / "manifest.schema.json").read_text())
    assert stored == stack_file_schema(), "run: make docs"


@pytest.mark.parametrize("file", sorted((ROOT / "stacks/examples").glob("Pulumi.*.yaml")), ids=lambda file: file.name)
def test_every_stack_file_of_the_project_is_valid(file: Path) -> None:
    check(yaml.safe_load(file.read_text())["config"]["claude-bottle:bottle"])
