"""What a forge's server reads otherwise than it stands in a request, or does for another project: refused.

Each is what a look from outside got past egress. Sources are named beside the cases; what graphql-ruby makes of a text was
seen with its release 2.6.9 and with 1.13.15.
"""

from __future__ import annotations

import json

import pytest
from forge_needs import needed, needed_by_body
from test_graphql_scope import GH, refusal

from claude_bottle.policy.forge.body import reads_body
from claude_bottle.policy.forge.graphql.text import document_of

JSON, GITLAB = "application/json", "/api/v4/projects/acme%2Fproject"
MERGE = 'mergeRequestAccept(input: {projectPath: "acme/other", iid: "1", sha: "0"}) { errors }'
# lib/graphql/language.rb, escape_single_quoted_newlines, which GitLab calls before it parses
# (app/controllers/graphql_controller.rb): it counts quotation marks in comments too.
REWRITTEN = {
    "a quotation mark in comments": 'mutation {\n mergeRequestAccept # "\n : createNote # "\n (input: {}) { errors } }',
    "an escaped backslash": f'# "\n{{ a: project(a: "\\\\", b: """\nmutation {{ {MERGE} }}\n#""") {{ id }} }}',
    "a quotation mark in a block": '{ a(b: """ it " is\n""", c: """ " """) { id } }',
    "a line end in a string": '{ a(b: "\n") { id } }',
    # add_space_between_numbers_and_names of the same file.
    "a number and a name": "mutation { createNote # (1a\n : mergeRequestAccept { errors } }",
    "a number and a name before a comment": "{ a(b:1c # x\n :2) { id } }",
}
HONEST = [
    *GH,
    "# a comment, of two words: this\nquery { a(first: 100, after: null) { id } } # and (one) behind",
    'mutation { createNote(input: {body: "it\\nis \\"so\\""}) { errors } }',
    'mutation { createNote(input: {body: """\nsome words\n  and more\n"""}) { errors } }',
    "{ a(x: 1, y: -2.5, z: 1e5) { id } b(first:3) { id } }",
]


@pytest.mark.parametrize("text", REWRITTEN.values(), ids=REWRITTEN)
def test_a_text_that_a_server_rewrites_is_not_read(text: str) -> None:
    assert document_of(text, 1000) == (None, 0)
    body = json.dumps({"query": text}).encode()
    assert needed_by_body("gitlab.example.com", "/api/graphql", JSON, body) == "unreadable"


@pytest.mark.parametrize("text", HONEST, ids=range(len(HONEST)))
def test_an_honest_text_is_read(text: str) -> None:
    assert document_of(text, 10_000)[0] is not None


@pytest.mark.parametrize("words", ['"""ok\\n/merge"""', '"""evil\\u003abranch"""', '"""a\\\\b"""'])
def test_no_escape_in_a_block_string(words: str) -> None:
    """graphql-ruby before 2.3 undoes them there (lib/graphql/language/block_string.rb, lexer.rl)."""
    text = f"mutation {{ createNote(input: {{body: {words}}}) {{ errors }} }}"
    assert (
        needed_by_body("gitlab.example.com", "/api/graphql", JSON, json.dumps({"query": text}).encode()) == "unreadable"
    )


@pytest.mark.parametrize("path", ["/api/glql", "/api/glql.json", "/gitlab/api/glql", "/api/graphql"])
def test_gitlabs_graphql_has_two_names(path: str) -> None:
    """config/routes/api.rb: `/api/glql` is Glql::BaseController, which executes as GraphqlController does."""
    body = json.dumps({"query": f"mutation {{ {MERGE} }}"}).encode()
    assert reads_body("POST", path)
    assert needed_by_body("gitlab.example.com", path, JSON, body) == "merge"


@pytest.mark.parametrize(
    ("method", "path", "capability"),
    [
        # lib/api/issue_links.rb answers with the other issue; lib/api/issues.rb.
        ("POST", f"{GITLAB}/issues/1/links", "settings"),
        ("POST", f"{GITLAB}/issues/1/links.json", "settings"),
        ("POST", f"{GITLAB}/issues/1/move", "settings"),
        ("POST", f"{GITLAB}/issues/1/clone", "settings"),
        ("PUT", f"{GITLAB}/labels/bug/promote", "settings"),
        ("POST", f"{GITLAB}/milestones/1/promote", "settings"),
        ("POST", "/api/v4/groups/acme/epics/1/issues/7", "settings"),
        ("POST", f"{GITLAB}/issues/1/notes", None),
        ("POST", f"{GITLAB}/issues", None),
        ("PUT", f"{GITLAB}/labels/links", None),
        # routers/api/v1/repo/issue_dependency.go takes owner and repository from the body.
        ("POST", "/api/v1/repos/acme/project/issues/1/dependencies", "settings"),
        ("POST", "/api/v1/repos/acme/project/issues/1/blocks", "settings"),
        # docs.github.com/en/rest/issues/sub-issues: of the same owner.
        ("POST", "/repos/acme/project/issues/1/sub_issues", "settings"),
        ("DELETE", "/repos/acme/project/issues/1/sub_issue", "settings"),
        ("POST", "/repos/acme/project/issues/1/dependencies/blocked_by", "settings"),
        ("GET", "/repos/acme/project/issues/1/sub_issues", None),
        ("POST", "/repos/acme/project/issues/1/comments", None),
        ("POST", "/repos/acme/project/issues/1/labels", None),
    ],
)
def test_an_issue_is_put_beside_none_of_another_project(method: str, path: str, capability: str | None) -> None:
    assert needed(method, path, "api.github.com" if path.startswith("/repos") else "") == capability


FORM = "application/x-www-form-urlencoded"
PART = '--x\r\nContent-Disposition: form-data; name="{}"\r\n{}\r\n{}\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("path", "kind", "body", "capability"),
    [
        # docs.gitlab.com/api/merge_requests, "Create MR".
        ("merge_requests", JSON, b'{"title": "x", "target_project_id": 5}', "settings"),
        ("merge_requests", JSON, b'{"title": "x", "target\\u005fproject_id": 5}', "settings"),
        ("merge_requests", FORM, b"title=x&target_project_id=5", "settings"),
        ("merge_requests", FORM, b"title=x&[target%5Fproject_id=5", "settings"),
        ("merge_requests", "multipart/form-data; boundary=x", PART.format("target_project_id", "", 5).encode(), "settings"),
        ("merge_requests?target_project_id=5", JSON, b'{"title": "x"}', "settings"),
        ("merge_requests", JSON, b'{"title": "target_project_id", "description": "say target_project_id=5"}', None),
        # docs.gitlab.com/user/project/quick_actions: a reference with a slash is another project's.
        ("issues/1/notes", JSON, b'{"body": "/relate acme/other#1"}', "settings"),
        ("issues/1/notes", JSON, b'{"body": "words\\n/copy_metadata https://gitlab.example.com/a/b/-/issues/1"}', "settings"),
        ("issues/1/notes", JSON, b'{"body": "/relate #12\\nsee a/b"}', None),
        # lib/rack/multipart/parser.rb, handle_dummy_encoding: Rack 3.2 takes the escape out of name and words.
        ("merge_requests/1/notes", "multipart/form-data; boundary=x",
         PART.format("body", "Content-Type: text/plain; charset=ISO-2022-JP\r\n", "ok\n\x1b(B/merge").encode(), "unreadable"),
        ("merge_requests/1/notes", "multipart/form-data; boundary=x",
         PART.format("body", "Content-Type: text/plain; charset=utf-8\r\n", "ok").encode(), None),
    ],
)  # fmt: skip
def test_words_that_do_something_for_another_project(path: str, kind: str, body: bytes, capability: str | None) -> None:
    assert reads_body("POST", f"{GITLAB}/{path}")
    assert needed_by_body("gitlab.example.com", f"{GITLAB}/{path}", kind, body) == capability


@pytest.mark.parametrize(
    ("body", "capability"),
    [
        # github.blog/changelog/2025-12-03-assign-issues-to-copilot-using-the-api; the repository can be another one.
        ({"assignees": ["copilot-swe-agent[bot]"]}, "code"),
        ({"assignees": ["Copilot"]}, "code"),
        ({"assignee": "copilot"}, "code"),
        ({"title": "x", "agent_assignment": {"target_repo": "acme/other"}}, "code"),
        ({"title": "copilot", "body": "agent_assignment", "assignees": ["jane"]}, None),
        ({"labels": ["bug"]}, None),
    ],
)
def test_no_issue_is_given_to_githubs_agent(body: dict[str, object], capability: str | None) -> None:
    path = "/repos/acme/project/issues"
    assert reads_body("POST", path)
    assert reads_body("PATCH", f"{path}/1")
    for where in (path, f"{path}/1/assignees", "/api/v3/repos/acme/project/issues/1"):
        assert needed_by_body("api.github.com", where, JSON, json.dumps(body).encode()) == capability
    assert needed_by_body("api.github.com", path, JSON, b'{"assignees": ["copilot"], "assignees": []}') == "unreadable"


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ('assignableId: "I_1", actorIds: ["BOT_kgDOC9w8XQ"]', {}),
        ('assignableId: "I_1", actorLogins: ["copilot-swe-agent"]', {}),
        ('assignableId: "I_1", actorIds: $ids', {"ids": ["BOT_kgDOC9w8XQ"]}),
        ('assignableId: "I_1", actorIds: [], agentAssignment: {customInstructions: "x"}', {}),
        ("...$input", None),
    ],
)
def test_no_issue_is_given_to_it_by_graphql(arguments: str, variables: dict[str, object] | None) -> None:
    if variables is None:
        text = "mutation($i: ReplaceActorsForAssignableInput!) { replaceActorsForAssignable(input: $i) { clientMutationId } }"
        variables = {"i": {"assignableId": "I_1", "agentAssignment": {"baseRef": "main"}}}
    else:
        declared = "($ids: [ID!])" if "$ids" in arguments else ""
        text = f"mutation{declared} {{ replaceActorsForAssignable(input: {{{arguments}}}) {{ clientMutationId }} }}"
    body = json.dumps({"query": text, "variables": variables}).encode()
    assert needed_by_body("api.github.com", "/graphql", JSON, body) == "code"
    person = json.dumps({"query": text.replace("BOT_", "U_"), "variables": {"ids": ["U_1"]}}).encode()
    if "BOT_" in arguments or "$ids" in arguments:
        assert needed_by_body("api.github.com", "/graphql", JSON, person) is None


def test_apollos_client_tells_of_itself() -> None:
    """Apollo Client 4 (src/link/http): `extensions.clientLibrary`."""
    text = '{ repository(owner: "acme", name: "project") { id } }'
    assert refusal(text, extensions={"clientLibrary": {"name": "@apollo/client", "version": "4.0.0"}}) is None
    assert refusal(text, extensions={"persistedQuery": {"sha256Hash": "0"}}) is not None
