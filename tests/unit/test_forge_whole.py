"""A call to a forge needs all that its parts need, and what servers could read in two ways passes on no route.

Each case is what a look from outside got past egress. Rack's readings were seen with its releases 2.2.24, 3.1.8 and
3.2.3, graphql-ruby's with 2.3.5, 2.4.13 and 2.5.16; other sources are named beside the cases.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from forge_needs import needed, needed_by_body
from mitmproxy.test import tutils

from addons.egress.checks import refuse_body, refuse_head, refuse_stream
from addons.egress.forms import FormOverrideScan, method_override_in_form
from claude_bottle.policy.forge.fields import fields_of_body
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.table import RouteTable

JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
NOTES = "/api/v4/projects/1/merge_requests/1/notes"
REQUESTS = "/api/v4/projects/1/merge_requests"


def route(*forge: str, methods: tuple[str, ...] = ("GET", "POST", "PUT")) -> Any:
    table = {"version": 1, "routes": [{"host": "gitlab.example.com", "methods": list(methods), "forge": list(forge)}]}
    return RouteTable.parse(json.dumps(table).encode()).routes[0]


def refused(forge: tuple[str, ...], path: str, kind: str, body: bytes) -> Refusal | None:
    request = tutils.treq(method=b"POST", path=path.encode(), content=body, headers=((b"content-type", kind.encode()),))
    return refuse_body(request, "gitlab.example.com", route(*forge))


def called(*mutations: str) -> bytes:
    fields = " ".join(f"a{at}: {name}(input: {{}}) {{ clientMutationId }}" for at, name in enumerate(mutations))
    return json.dumps({"query": f"mutation {{ {fields} }}"}).encode()


@pytest.mark.parametrize(
    ("path", "body", "needs"),
    [
        # spec.graphql.org, 6.2.2: all fields of a mutation, in order.
        ("/api/graphql", called("addPullRequestReview", "createCommitOnBranch"), "code review"),
        ("/api/graphql", called("mergePullRequest", "createNote", "deleteBranchProtectionRule"), "code merge"),
        (
            "/api/graphql",
            b"[" + called("mergePullRequest") + b"," + called("createCommitOnBranch") + b"]",
            "code merge",
        ),
        # lib/gitlab/quick_actions/extractor.rb takes out every command.
        (NOTES, b'{"body": "/rebase\\n/run_pipeline\\n/tag v1\\n/approve"}', "code merge pipelines review"),
        (NOTES, b'{"a": "/merge", "b": ["/tag v1"]}', "code merge"),
        (REQUESTS, b'{"description": "/merge", "target_project_id": 2}', "merge settings"),
    ],
)
def test_one_capability_gives_no_other(path: str, body: bytes, needs: str) -> None:
    assert needed_by_body("gitlab.example.com", path, JSON, body) == needs
    names = needs.split()
    assert refused(tuple(names), path, JSON, body) is None
    for name in names:
        refusal = refused((name,), path, JSON, body)
        assert refusal is not None
        assert refusal.forge.split(", ") == [other for other in refusal.forge.split(", ") if other != name]
        assert set(refusal.forge.split(", ")) | {name} == set(names)


@pytest.mark.parametrize(
    ("method", "path", "needs"),
    [
        ("PUT", "/repos/acme/site/actions/secrets/_apis", "secrets settings"),
        ("PUT", "/repos/acme/site/environments/info%2Flfs/secrets/x", "code pipelines secrets"),
        ("POST", "/api/v4/projects/1/ci/lint", "pipelines"),  # docs.gitlab.com/ci/yaml/includes: from any address
        ("POST", "/api/v4/ci/lint", "settings"),
        ("POST", "/api/v4/projects/1/work_items/2/move", "settings"),
        # developer.atlassian.com/server/bitbucket/rest: "Apply pull request suggestion"
        ("POST", "/rest/api/latest/projects/P/repos/r/pull-requests/1/comments/5/apply-suggestion", "code"),
        ("POST", "/rest/api/latest/projects/P/repos/r/pull-requests/1/comments", None),
        ("PUT", "/rest/api/latest/projects/P/repos/r/pull-requests/1/comments/5", None),
        # docs.github.com/en/enterprise-server/rest/releases/assets; docs.gitea.com/usage/packages/generic
        ("POST", "/api/uploads/repos/acme/site/releases/1/assets?name=a", "releases"),
        ("PUT", "/api/packages/acme/generic/a/1/f", "releases"),
    ],
)
def test_where_readings_differ_all_is_needed(method: str, path: str, needs: str | None) -> None:
    said = needed(method, path)
    assert said == needs or (needs is not None and said is not None and set(needs.split()) >= set(said.split()) > set())
    if " " in (needs or ""):
        assert " " in (said or "")


def part(head: str, value: str = "x") -> bytes:
    return f"--b\r\n{head}\r\n\r\n{value}\r\n--b--\r\n".encode()


NAMED = 'Content-Disposition: form-data; name="body"'
UNREADABLE = [
    # Grape reads a body without a type by its default, and Rack's media type ends at a comma (grape, formatter.rb).
    (NOTES, "", b'{"body": "a\\n/merge"}'),
    (NOTES, "application/json,x", b'{"body": "a\\n/merge", "body": "a\\n/merge"}'),
    (NOTES, "text/plain", b"/merge"),
    (NOTES, FORM, b'/**/{"body": "a\\n/merge"}'),
    (NOTES, "application/json; charset=utf-16", b'{"body": "x"}'),
    # A part in other letters: Rack 3.2 takes its escapes out, by every name that Ruby has for them.
    (NOTES, MULTIPART, part(f"{NAMED}\r\nContent-Type: text/plain; charset=iso2022-jp", "/me\x1b(Brge")),
    (NOTES, MULTIPART, part(f"{NAMED}\r\nContent-Type: text/plain; charset=CP65000", "+AC8-merge")),
    (NOTES, MULTIPART, part(f"{NAMED}\r\nContent-Transfer-Encoding: base64", "L21lcmdl")),
    # A part without a name is named by Content-ID; a backslash in a name is left out; two names, of which one counts.
    (REQUESTS, MULTIPART, part("Content-ID: target_project_id", "2")),
    (REQUESTS, MULTIPART, part('Content-Disposition: form-data; name="target\\_project_id"', "2")),
    (REQUESTS, MULTIPART, part(f"{NAMED}\r\n{NAMED.replace('body', 'target_project_id')}", "2")),
    (REQUESTS, MULTIPART, part('Content-Disposition: form-data; name="a"; name="target_project_id"', "2")),
    # lib/rack/request.rb takes a zero byte off the end of a form ("Safari Ajax postings").
    (NOTES, FORM, b"body=/merge\0"),
    (NOTES, FORM, b"body=\xff/merge"),
    # Ruby's JSON.load, which Grape calls where MultiJson is not there, makes a string of this (json 2.6.1); Oj alike.
    (NOTES, JSON, b'{"body": {"json_class": "String", "raw": [47, 109, 101, 114, 103, 101]}}'),
    (NOTES, JSON, b'{"body": {"^o": "String"}}'),
    # json 2.6.1 of Ruby takes the letter behind half of a pair, a backslash too: "?\n/merge".
    (NOTES, JSON, b'{"body": "\\ud800\\\\n/merge"}'),
    (NOTES, JSON, b'{"body": "\xed\xa0\x80"}'),
    (NOTES, JSON, '{"body": "x"}'.encode("utf-16")),
    ("/api/graphql", JSON, b'{"query": "{ a(b: \\"\\ud800\\") { id } }"}'),
    (NOTES, MULTIPART, b"x"),
    (NOTES, MULTIPART, b""" "x" """),
    (NOTES, f"{FORM}; xcharset=utf-8; charset=utf-16", b"body=x"),
    (REQUESTS, MULTIPART, part("Content-Disposition: form-data;\r\n name=\"target_project_id\"", "2")),
    # Rack ends a boundary at a comma, and 3 takes the last one of a value (lib/rack/multipart/parser.rb).
    (NOTES, "multipart/form-data; boundary=b,c", part(NAMED).replace(b"--b", b"--b,c")),
    (NOTES, "multipart/form-data; boundary=c?boundary=b", part(NAMED).replace(b"--b", b"--c?boundary=b")),
    (NOTES, MULTIPART, part(f"{NAMED}; filename*=")),
    (NOTES, MULTIPART, part(f'{NAMED}; filename="{"a" * 1600}"')),
    # A part that ends earlier for who wants no line end before the mark.
    (NOTES, MULTIPART, part(NAMED, "x--b\r\nContent-Disposition: form-data; name=\"c\"\r\n\r\n/merge")),
    (NOTES, "multipart/form-data; boundary=b; boundary=c", part(NAMED)),
    (NOTES, "multipart/mixed; boundary=b", part(NAMED, "/merge")),
    (NOTES, MULTIPART, b"words before\r\n" + part(NAMED)),
    (NOTES, MULTIPART, part(NAMED) + b"--b\r\nmore"),
    # app/controllers/graphql_controller.rb takes Rails' params: those of the URL and of the body together.
    ("/api/graphql?variables=%7B%22b%22%3A%22x%5Cn%2Fmerge%22%7D", JSON,
     b'{"query": "mutation($b: String!) { createNote(input: {noteableId: \\"1\\", body: $b}) { errors } }"}'),
    ("/api/graphql?query=%7Ba%7D", JSON, b'{"query": "{ b }"}'),
    # lib/graphql/language.rb, add_space_between_numbers_and_names, from 2.3 to 2.5.16.
    ("/api/graphql", JSON, json.dumps({"query": "mutation { __typename #x1b\n:createNote(input: {}) { errors } }"}).encode()),
    ("/api/graphql", JSON, json.dumps({"query": "{ a0x # 1\n , # two\n : b }"}).encode()),
    # lexer.rb, replace_escaped_characters_in_place, before 2.3: `\\` first, and then `\u000a`.
    ("/api/graphql", JSON, json.dumps({"query": 'mutation { createNote(input: {body: "x\\\\u000a/merge"}) { errors } }'}).encode()),
]  # fmt: skip


@pytest.mark.parametrize(("path", "kind", "body"), UNREADABLE)
def test_what_two_servers_read_in_two_ways_passes_on_no_route(path: str, kind: str, body: bytes) -> None:
    assert needed_by_body("gitlab.example.com", path, kind, body) == "unreadable"
    everything = ("code", "merge", "review", "releases", "pipelines", "checks", "keys", "hooks", "secrets", "members")
    refusal = refused((*everything, "settings"), path, kind, body)
    assert refusal is not None
    assert refusal.reason == "unclear_forge_call"
    assert b"No approval allows this" in refusal.body(method="POST", host="gitlab.example.com", path=path)


@pytest.mark.parametrize(
    ("path", "kind", "body", "needs"),
    [
        # Rack parts a form at `&` alone since 3, at `;` too before (lib/rack/query_parser.rb).
        (NOTES, FORM, b"body=x;%0A/merge", "merge"),
        (NOTES, FORM, b"a=1;body=x%0A/merge", "merge"),
        (f"{NOTES}?body=x;%0A/merge", JSON, b"", "merge"),
        # Not every Rack takes it for a file: 2.2 none with a name in another character set alone.
        (NOTES, MULTIPART, part(f'{NAMED}; filename="x"', "/merge"), "merge"),
        (NOTES, MULTIPART, part(f"{NAMED}; filename*=utf-8''x", "/merge"), "merge"),
        (NOTES, FORM, b"body=x%0A/relate+;acme/other%231", "settings"),
        (REQUESTS, MULTIPART, part("Content-Disposition: form-data; name=target_project_id", "2"), "settings"),
        ("/api/v4/projects/1/issues", JSON, b'{"title": "x", "epic_id": 7}', "settings"),
        ("/api/v4/groups/1/epics", JSON, b'{"title": "x", "parent_id": 7}', "settings"),
        (REQUESTS, FORM, b"source_branch=a&]target_project_id=2", "settings"),
        (f"{REQUESTS}?]target_project_id=2", JSON, b"", "settings"),
        # docs.gitlab.com/user/markdown, "GitLab-specific references": a project of the same group needs no slash.
        (NOTES, JSON, b'{"body": "/relate other#1"}', "settings"),
        (NOTES, JSON, b'{"body": "/merge\\u0000"}', "merge"),
        (NOTES, JSON, b'{"body": "/merge, please"}', "merge"),
        # config/routes/api.rb: `/api/graphql` is a Rails route, which has `(.:format)`.
        ("/api/graphql.mp4", JSON, called("mergeRequestAccept"), "merge"),
        ("/api/glql.a_b", JSON, called("mergeRequestAccept"), "merge"),
        (NOTES, JSON, b'{"body": "/blocks #1 other#2"}', "settings"),
        (NOTES, JSON, b'{"body": "/epic group&1"}', "settings"),
        (NOTES, JSON, b'{"body": "/promote"}', "settings"),
        (NOTES, JSON, b'{"body": "/promote_to epic"}', "settings"),
        (NOTES, JSON, b'{"body": "\\n\\n\\n\\n\\n\\n\\n\\n\\n/relate acme/other#1"}', "settings"),
        (NOTES, JSON, b'{"body": "x\\r\\r\\r\\r\\r\\r\\r\\r\\r\\n/relate acme/other#1"}', "settings"),
        # docs.gitlab.com/api/graphql/reference: Query.ciConfig, Mutation.issueMove.
        ("/api/graphql", JSON, b'{"query": "{ ciConfig(projectPath: \\"a\\", content: \\"include: {}\\") { mergedYaml } }"}', "pipelines"),
        ("/api/graphql", JSON, called("issueMove"), "settings"),
    ],
)  # fmt: skip
def test_every_reading_counts(path: str, kind: str, body: bytes, needs: str) -> None:
    assert needed_by_body("gitlab.example.com", path, kind, body) == needs


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        (NOTES, JSON, b'{"body": "/relate #12, #13\\n/epic &4\\n/unlink #5\\n/duplicate !6\\n/promote_to incident"}'),
        (NOTES, FORM, b"body=Looks+good%21&internal=true"),
        (NOTES, "application/json;charset=UTF-8", b'{"body": "fine"}'),
        # As curl -F, Python's requests and Node's FormData write them.
        (NOTES, "multipart/form-data; boundary=------------------------d74496d66958873e",
         b'--------------------------d74496d66958873e\r\nContent-Disposition: form-data; name="body"\r\n\r\nfine\r\n'
         b"--------------------------d74496d66958873e--\r\n"),
        ("/api/v4/projects/1/issues/2/metric_images", MULTIPART,
         part('Content-Disposition: form-data; name="file"; filename="a b.png"\r\nContent-Type: image/png', "\x89PNG")),
        # glab always says where to (profclems/glab, commands/mr/create/mr_create.go).
        (REQUESTS, JSON, b'{"source_branch": "a", "target_branch": "main", "title": "x", "target_project_id": 1}'),
        (REQUESTS, JSON, b""),
        ("/api/graphql?operationName=Q", JSON, b'{"query": "query Q { a }", "operationName": "Q"}'),
        ("/api/graphql", JSON, b'{"query": "query($projectV2Id: ID!) { node(id: $projectV2Id) { id } } # v2beta: see there"}'),
    ],
)  # fmt: skip
def test_what_honest_clients_send_is_free(path: str, kind: str, body: bytes) -> None:
    assert needed_by_body("gitlab.example.com", path, kind, body) is None


def test_a_form_has_a_bound() -> None:
    assert needed_by_body("gitlab.example.com", NOTES, FORM, b"body=" + b"a" * (2 << 20)) == "unreadable"


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ('{"assignees": ["anthropic-code-agent[bot]"]}', "code"),  # as public repositories assign it
        ('{"assignees": ["openai-code-agent"]}', "code"),
        ('["copilot-swe-agent[bot]"]', "unreadable"),
        ('{"assignees": ["jane", "some-app[bot]"]}', "code"),
        # docs.github.com/en/rest/issues: who is assigned may be an object; a duplicate is of any repository.
        ('{"assignees": [{"login": "copilot-swe-agent[bot]", "suggest": false}]}', "code"),
        ('{"assignee": {"login": "copilot"}}', "code"),
        ('{"assignees": [{"login": "jane", "rationale": "wrote it"}]}', None),
        ('{"state": "closed", "state_reason": "duplicate", "duplicate_issue_id": 7}', "settings"),
        ('{"parent_issue_id": 7, "agent_assignment": {}}', "code settings"),
        ('{"state": "closed", "state_reason": "completed", "milestone": null, "type": {"value": "Bug"}}', None),
        ('{"body": "x", "title": "y", "labels": ["a"], "issue_field_values": [{"field_id": 1, "value": "x"}]}', None),
        ("null", None),
        ('{"assignees": ["jane-doe", "reagent-9"]}', None),
        ("", None),
        ('/**/{"assignees": ["copilot"]}', "unreadable"),
        ("assignees[]=copilot-swe-agent%5Bbot%5D", "unreadable"),
        ('\ufeff{"assignees": ["copilot"]}', "unreadable"),
    ],
)
def test_no_issue_is_given_to_an_agent(body: str, needs: str | None) -> None:
    assert needed_by_body("api.github.com", "/repos/acme/site/issues/1/assignees", JSON, body.encode()) == needs


def test_nobody_is_assigned_in_a_query() -> None:
    path = "/repos/acme/site/issues/1/assignees?assignees[]=copilot-swe-agent[bot]"
    assert needed_by_body("api.github.com", path, JSON, b"{}") == "unreadable"
    assert needed_by_body("api.github.com", "/repos/acme/site/issues/1?per_page=1", JSON, b"{}") is None


@pytest.mark.parametrize("charset", ["utf-8; charset=utf-16", '"\\u\\t\\f-16"', "utf-8x"])
def test_a_form_in_other_letters_asks_for_who_knows_what(charset: str) -> None:
    assert method_override_in_form(b"a=1", f"{FORM}; charset={charset}")
    assert not method_override_in_form(b"a=1", f'{FORM}; charset="UTF-8"; x=1')


@pytest.mark.parametrize("body", ['["bug", "agent"]', '{"labels": ["copilot"]}', ""])
def test_labels_have_any_name(body: str) -> None:
    """docs.github.com/en/rest/issues/labels: a list, or an object."""
    assert needed_by_body("api.github.com", "/repos/acme/site/issues/1/labels", JSON, body.encode()) is None


@pytest.mark.parametrize(
    "words", ["set the user-agent-string header", "reported by dependabot[bot]", "an agent did it"]
)
def test_an_issue_may_speak_of_agents(words: str) -> None:
    query = "mutation($i: CreateIssueInput!) { createIssue(input: $i) { issue { id } } }"
    body = json.dumps({"query": query, "variables": {"i": {"repositoryId": "R_1", "title": "x", "body": words}}})
    assert needed_by_body("api.github.com", "/graphql", JSON, body.encode()) is None


@pytest.mark.parametrize("number", [42, "42", 43])
def test_a_project_that_the_route_names_by_its_number(number: int | str) -> None:
    """profclems/glab, commands/mr/create/mr_create.go: the path has the name of the project, and the body its number."""
    path = "/api/v4/projects/acme%2Fsite"
    body = json.dumps({"source_branch": "a", "target_project_id": number}).encode()
    prefixes = (path, "/api/v4/projects/42")
    needs = needed_by_body("gitlab.example.com", f"{path}/merge_requests", JSON, body, prefixes)
    assert needs == (None if str(number) == "42" else "settings")
    assert needed_by_body("gitlab.example.com", f"{path}/merge_requests", JSON, body, (path,)) == "settings"


@pytest.mark.parametrize(
    "text", ["#0a\n" * 64_000, "0a" * 128_000, "0a " * 80_000, "# 0a" * 60_000, "0a," * 80_000 + "\n"]
)
def test_no_text_takes_long(text: str) -> None:
    """Each took minutes with an expression that ran from every number to the end of all comments."""
    query = json.dumps({"query": text + "{a}"}).encode()
    assert needed_by_body("gitlab.example.com", "/api/graphql", JSON, query) in (None, "unreadable")


@pytest.mark.parametrize(
    "words", ["/unlink\n" * 100_000, "/relate " + "#1 " * 200_000, "/relate " + "1" * 900_000, ">" * 900_000]
)
def test_no_comment_takes_long(words: str) -> None:
    needed_by_body("gitlab.example.com", NOTES, JSON, json.dumps({"body": words}).encode())


@pytest.mark.parametrize("name", ["-agent" * 40_000 + " x", "a" * 240_000, "-" * 240_000])
def test_no_name_takes_long(name: str) -> None:
    body = json.dumps({"assignees": [name]}).encode()
    assert needed_by_body("api.github.com", "/repos/acme/site/issues/1", JSON, body) is None


@pytest.mark.parametrize(
    "between", ['name="' + "[" * 1100, "name" + " " * 1100, 'name="' + " " * 3000, "name='" + "+" * 2000]
)
def test_a_name_is_found_in_two_pieces(between: str) -> None:
    """Rack 2.2.24 leaves brackets before a name out, Commons FileUpload blanks around it."""
    end = '_method"\r\n\r\nDELETE\r\n--b--\r\n' if "=" in between else '="_method"\r\n\r\nDELETE\r\n--b--\r\n'
    scan = FormOverrideScan(MULTIPART)
    scan.feed(f"--b\r\nContent-Disposition: form-data; {between}".encode())
    assert scan.feed(end.encode())


PADDED = [
    (FORM, "a=1&" + " " * 1100 + "_me", "thod=DELETE"),
    (FORM, "a=1&" + "+" * 3000, "_method=DELETE"),
    (FORM, "a=1;" + "%20" * 600 + "_", "method=DELETE"),
    (
        MULTIPART,
        "--b\r\nContent-Disposition: form-data;" + " " * 1100 + "na",
        'me="_method"\r\n\r\nDELETE\r\n--b--\r\n',
    ),
    (
        MULTIPART,
        "--b\r\nContent-Disposition: form-data; name=" + '"' + "[" * 1100 + "_me",
        'thod"\r\n\r\nDELETE\r\n--b--\r\n',
    ),
]


@pytest.mark.parametrize(("kind", "first", "second"), PADDED)
def test_pieces_are_read_as_the_whole_is(kind: str, first: str, second: str) -> None:
    """Rack::MethodOverride of 2.2.24, and of forms of 3.1.8 and 3.2.3, made DELETE of each."""
    assert method_override_in_form((first + second).encode(), kind)
    for at in range(max(0, len(first) - 8), len(first) + 8):
        whole, scan = (first + second).encode(), FormOverrideScan(kind)
        scan.feed(whole[:at])
        assert scan.feed(whole[at:])


@pytest.mark.parametrize("path", ["/-/cable", "/gitlab/-/cable", "/-/cable/", "/api/graphql", "/a/../-/cable",
    "/api/v4/ai/duo_workflows/ws", "/api/v4/projects/1/x"])  # fmt: skip
def test_what_is_said_on_a_websocket_is_not_looked_at(path: str) -> None:
    """GitLab, app/channels/graphql_channel.rb: it executes what a client says, by the token of the connection. At
    `ai/duo_workflows/ws` (ee/lib/api/ai/duo_workflows) an agent does what it is told there, with that token too.
    """
    fields = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))
    request = tutils.treq(method=b"GET", path=path.encode(), headers=fields)
    refusal = refuse_head(request, "gitlab.example.com", route("code", methods=("GET",)), True)
    assert refusal is not None
    assert refusal.reason == "unclear_forge_call"
    for others in (b"/v1/realtime", b"/api/v4/websocket"):  # Mattermost's
        request = tutils.treq(method=b"GET", path=others, headers=fields)
        assert refuse_head(request, "gitlab.example.com", route(methods=("GET",)), True) is None


def test_json_that_is_packed_may_hold_another_method() -> None:
    """Laravel takes a JSON name for a field (Illuminate's Request::createFromBase)."""
    fields = ((b"content-type", b"application/json"), (b"content-encoding", b"gzip"))
    request = tutils.treq(method=b"POST", path=b"/x", headers=fields)
    assert refuse_stream(request, route(methods=("GET", "POST")), 1 << 18) is not None
    assert refuse_stream(request, route(methods=("GET", "POST", "PUT", "PATCH", "DELETE")), 1 << 18) is None


@pytest.mark.parametrize("ids", ['assigneeIds: ["MDM6Qm90NDk2OTkzMzM="]', 'assigneeIds: ["BOT_kgDOC9w8XQ"]'])
@pytest.mark.parametrize("mutation", ["addAssigneesToAssignable", "updatePullRequest", "updateIssue"])
def test_an_id_of_before_is_an_agents_too(mutation: str, ids: str) -> None:
    """`03:Bot49699333` in base64: node_id of the users that apps have in REST's answers."""
    query = f"mutation {{ {mutation}(input: {{{ids}}}) {{ clientMutationId }} }}"
    assert needed_by_body("api.github.com", "/graphql", JSON, json.dumps({"query": query}).encode()) == "code"


@pytest.mark.parametrize("head", ["Content-ID: _method", "content-id:\r\n _method", f"Content-ID:{' ' * 40}_method"])
def test_a_part_that_content_id_names_asks_for_no_other_method(head: str) -> None:
    """lib/rack/multipart/parser.rb, handle_mime_head; Rack::MethodOverride made DELETE of such a POST."""
    body = part(head, "DELETE")
    assert method_override_in_form(body, MULTIPART)
    scan = FormOverrideScan(MULTIPART)
    assert any(scan.feed(bytes([byte])) for byte in body)
    assert fields_of_body(MULTIPART, body) is None


@pytest.mark.parametrize("end", [*"<>,():/?=\\@", "\t", " x"])
def test_a_name_without_quotation_marks_ends_at_many_letters(end: str) -> None:
    """Rack 2.2.24, lib/rack/multipart.rb, TOKEN: each of these made DELETE of a POST."""
    body = part(f"Content-Disposition: form-data; name=_method{end}", "DELETE")
    assert method_override_in_form(body, MULTIPART)
    scan = FormOverrideScan(MULTIPART)
    assert any(scan.feed(bytes([byte])) for byte in body)


@pytest.mark.parametrize("name", ["_methodical", "x_method-2", "the_method"])
def test_another_name_is_none(name: str) -> None:
    assert not method_override_in_form(part(f'Content-Disposition: form-data; name="{name}"'), MULTIPART)


@pytest.mark.parametrize("head", ["Content-ID: 1", "Content-ID: <image1@example.com>"])
def test_odatas_batches_and_mails_have_content_ids(head: str) -> None:
    """OData 4.01, 11.7.3; RFC 2392."""
    assert not method_override_in_form(part(f"Content-Type: application/http\r\n{head}\r\n{NAMED}"), MULTIPART)
