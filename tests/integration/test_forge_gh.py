"""The shipped stack for a GitHub project, used with GitHub's own program, `gh`, against a fake api.github.com."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world
import yaml

pytestmark = pytest.mark.docker

HOST = "api.github.com"
SHIPPED = world.ROOT / "stacks/examples/Pulumi.github-project.yaml"
TOKENS = {
    "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-" + secrets.token_hex(24),
    "GITHUB_TOKEN": "own-" + secrets.token_hex(20),
}


@contextlib.contextmanager
def fake_github(internet: world.Internet, image: str) -> Iterator[world.Internet]:
    """Bring GitHub up on the fake internet; taken away at the end."""
    name, here = f"claude-bottle-test-github-{secrets.token_hex(4)}", Path(__file__).parent
    argv = ["create", "--name", name, "--label", f"{world.LABEL}=github", "--network", internet.network, "--user", "0"]
    files = {f"fake/{source}": (here / source).read_bytes() for source in ("fake_internet.py", "fake_github.py")}
    try:
        run = ["--entrypoint", "/opt/proxy/bin/python", image, "-u", "/fake/fake_github.py"]
        world.docker(*argv, "--network-alias", HOST, *run)
        world.docker("cp", "-", f"{name}:/", stdin=world.tar({**files, "fake/server.pem": internet.leaf(HOST)}))
        world.docker("start", name)
        yield world.Internet(internet.network, name, internet.ca, "")
    finally:
        world.docker("rm", "-f", "-v", name, check=False)


@pytest.fixture(scope="module")
def github(internet: world.Internet, sidecar_image: str) -> Iterator[world.Internet]:
    with fake_github(internet, sidecar_image) as github:
        yield github


def manifest(internet: world.Internet, forge: list[str] | None = None) -> dict[str, Any]:
    """The shipped bottle as it is, but for a smaller agent, the fake internet and its root. forge: what GitHub's routes name."""
    settings: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())["config"]["claude-bottle:bottle"]
    settings["agent"]["memory"] = "1g"
    for route in settings["egress"]["routes"]:
        if forge and route["host"] == HOST:
            route["forge"] = forge
    return {**settings, "network": {"external": internet.network}, "pipelock": {"ca_files": ["root.pem"]}}


@pytest.fixture(scope="module")
def bottle(
    internet: world.Internet, github: world.Internet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[world.BottleUnderTest]:
    folder = tmp_path_factory.mktemp("project")
    with world.bottle(folder, manifest(internet), TOKENS, {"root.pem": internet.ca}) as bottle:
        bottle.up()
        yield bottle


def writes(requests: list[dict[str, Any]]) -> list[str]:
    """What of the requests may change something: its method and path, or its GraphQL."""
    asked = [
        json.loads(r["end"])["query"] if r["path"] == "/graphql" else f"{r['method']} {r['path']}" for r in requests
    ]
    return [one for one in asked if "mutation" in one or re.match("(POST|PUT|PATCH|DELETE) ", one)]


# What a person does with issues and pull requests, in this order; what `gh` says, and how many writes arrive.
PASSES = [
    ("issue list", "The first issue", 0),
    ("issue create --title 'A bug' --body 'MARK-created'", "https://github.com/acme/project/issues/3", 1),
    ("issue list --search bug", "", 0),
    ("issue view 3", "MARK-created", 0),
    ("issue comment 3 --body 'MARK-comment'", "issues/3#issuecomment-1", 1),
    ("issue view 3 --comments", "MARK-comment", 0),
    ("issue edit 3 --title 'A worse bug' --add-label bug", "issues/3", 2),
    ("issue close 3 --comment done", "Closed issue", 2),
    ("issue lock 1 --reason resolved", "", 1),
    ("issue status", "The first issue", 0),
    ("pr list", "The first pull request", 0),
    (
        "pr create --title 'A fix' --body 'MARK-fix' --head agent/fix --base main",
        "https://github.com/acme/project/pull/4",
        1,
    ),
    ("pr view agent/fix", "MARK-fix", 0),
    ("pr comment 4 --body 'Please look.'", "pull/4#issuecomment-1", 1),
    ("pr edit 4 --title 'A better fix'", "pull/4", 1),
    ("pr ready 4 --undo", "draft", 1),
    ("pr diff 4", "project", 0),
    ("pr close 4", "Closed pull request", 1),
    ("label create flaky", "", 1),
    ("api repos/{owner}/{repo}/issues --jq '.[].title'", "A bug", 0),
    ("api repos/acme/project/pulls", "MARK-fix", 0),
    ("api graphql -f query='{viewer{login}}'", "octocat", 0),
]


@pytest.mark.parametrize(("argv", "says", "wrote"), PASSES)
def test_issues_and_pull_requests_pass_with_the_owners_token(
    bottle: world.BottleUnderTest, github: world.Internet, argv: str, says: str, wrote: int
) -> None:
    mark = github.mark()
    said = bottle.agent(f"gh {argv} && echo DONE || echo FAILED")
    arrived = github.since(mark)
    assert said.rstrip().endswith("DONE"), said
    assert says in said
    assert arrived
    assert len(writes(arrived)) == wrote
    assert {dict(r["headers"])["authorization"] for r in arrived} == {f"Bearer {TOKENS['GITHUB_TOKEN']}"}
    assert TOKENS["GITHUB_TOKEN"] not in said


GATE = "git://git-gate/<name>.git"
COMMIT = "mutation{createCommitOnBranch(input:{}){clientMutationId}}"
REFUSED = [
    ("pr merge 2 --squash", "merge"),
    ("pr merge 2 --auto --squash", "merge"),
    ("pr review 2 --approve", "review"),
    ("issue delete 1 --yes", "settings"),
    ("api -X PUT repos/acme/project/contents/x -f message=m -f content=eA==", "code"),
    (
        "api -X POST repos/acme/project/git/refs -f ref=refs/heads/x -f sha=0123456789abcdef0123456789abcdef01234567",
        "code",
    ),
    ("api -X DELETE repos/acme/project/git/refs/heads/main", "code"),
    ("api -X PUT repos/acme/project/pulls/2/merge", "merge"),
    (f"api graphql -f query='{COMMIT}'", "code"),
    ("repo deploy-key add /etc/hostname", "keys"),
    ("workflow run ci.yml --ref main", "pipelines"),
    ("secret set NAME --body value", "secrets"),
    ("variable set NAME --body value", "secrets"),
    ("release create v1 --title one --notes hi", "releases"),
    ("release delete v1 --yes", "releases"),
    ("repo edit acme/project --description x", "settings"),
    ("repo delete acme/project --yes", "settings"),
    ("repo fork acme/project", "settings"),
]


@pytest.mark.parametrize(("argv", "capability"), REFUSED)
def test_what_goes_past_git_gate_is_refused_and_the_refusal_says_what_to_do(
    bottle: world.BottleUnderTest, github: world.Internet, argv: str, capability: str
) -> None:
    mark = github.mark()
    said = bottle.agent(f"gh {argv} && echo DONE || echo FAILED")
    assert said.rstrip().endswith("FAILED"), said
    assert GATE in said
    assert f"forge: [{capability}]" in said
    assert writes(github.since(mark)) == []
    assert TOKENS["GITHUB_TOKEN"] not in said


@pytest.mark.parametrize("argv", ["api repos/acme/other/issues", "api user", "gist create /etc/hostname"])
def test_rest_is_held_to_the_repository(bottle: world.BottleUnderTest, github: world.Internet, argv: str) -> None:
    mark = github.mark()
    said = bottle.agent(f"gh {argv} && echo DONE || echo FAILED")
    assert said.rstrip().endswith("FAILED"), said
    assert "This path of api.github.com is not among the declared ones." in said
    assert github.since(mark) == []


OTHERS = [
    "issue list -R acme/other",
    "pr list -R acme/other",
    "issue view 1 -R acme/other",
    "issue create -R acme/other --title t --body b",
    "issue list -R acme/other --search bug",
    "issue transfer 1 acme/other",
    "repo list acme",
    "repo view acme/other",
    "api graphql -f query='{viewer{repositories(first: 9){nodes{name}}}}'",
    'api graphql -f query=\'{repository(owner: "acme", name: "project"){forks(first: 9){nodes{name}}}}\'',
    'api graphql -f query=\'mutation{addComment(input: {subjectId: "I_other", body: "x"}){clientMutationId}}\'',
]


@pytest.mark.parametrize("argv", OTHERS)
def test_graphql_is_held_to_the_repository(bottle: world.BottleUnderTest, github: world.Internet, argv: str) -> None:
    """`gh` prints the refusal, which says to what it is held."""
    mark = github.mark()
    said = bottle.agent(f"gh {argv} && echo DONE || echo FAILED")
    assert said.rstrip().endswith("FAILED"), said
    assert "limited to acme/project" in said or "not among the declared ones" in said, said
    assert not [r for r in github.since(mark) if "other" in r["end"] and "I_other" not in argv]
    assert writes(github.since(mark)) == []


def test_a_route_that_names_merge_lets_gh_merge_and_no_more(
    bottle: world.BottleUnderTest, internet: world.Internet, github: world.Internet
) -> None:
    """Last in this file. It shows too that what was refused above would have got through as far as GitHub."""
    bottle.write(manifest(internet, forge=["merge"]))
    bottle.up()
    mark = github.mark()
    refused = f"gh api graphql -f query='{COMMIT}'"
    for _ in range(60):  # the running egress takes the edit within a second or so
        said = bottle.agent(f"gh pr merge 2 --squash && echo MERGED; {refused} || echo FAILED")
        if "MERGED" in said:
            break
    assert "MERGED" in said, said
    assert "forge: [code]" in said
    assert [("mergePullRequest" in one) for one in writes(github.since(mark))] == [True]
