"""What a call to a forge does beyond what its capability says, read from the forges' own sources: refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from forge_needs import needed, needed_by_body
from mitmproxy.test import tutils

from addons.egress.checks import form_scan, refuse_body
from claude_bottle.policy.routes.table import RouteTable

GITLAB, GITHUB = "/api/v4/projects/acme%2Fproject", "/repos/acme/project"
SERVER, AZURE = "/rest/api/1.0/projects/P/repos/r", "/acme/project/_apis"


@pytest.mark.parametrize(
    ("method", "path", "capability"),
    [
        # A name of a label may have a slash (lib/api/labels.rb: `:name` is NO_SLASH_URL_PART_REGEX, decoded afterwards).
        ("PUT", f"{GITLAB}/labels/kind%2Fbug/promote", "settings"),
        ("PUT", f"{GITLAB}/labels/kind%2fbug/promote.json", "settings"),
        ("PUT", f"{GITLAB}/labels/promote", "settings"),  # the name is in the body; of before 12.4, and there still
        ("PUT", f"{GITLAB}/labels/kind%2Fbug", None),
        # docs.github.com/en/rest/actions/secrets: "any slashes in the name must be replaced with %2F".
        ("PUT", f"{GITHUB}/environments/eu%2Fprod/secrets/TOKEN", "secrets"),
        ("POST", f"{GITHUB}/environments/eu%2Fprod/variables", "secrets"),
        ("PUT", f"{GITHUB}/environments/eu%2Fprod", "pipelines"),
    ],
)
def test_a_slash_in_a_name_is_a_letter_of_it(method: str, path: str, capability: str | None) -> None:
    assert needed(method, path) == capability


@pytest.mark.parametrize(
    ("method", "path", "capability"),
    [
        # docs.github.com/en/rest/code-scanning: a commit; a query over the repositories that the body names.
        ("POST", f"{GITHUB}/code-scanning/alerts/1/autofix/commits", "code"),
        ("POST", f"{GITHUB}/code-scanning/codeql/variant-analyses", "settings"),
        ("PATCH", f"{GITHUB}/code-scanning/default-setup", "settings"),
        # docs.github.com/en/rest/issues: what is approved may be that an agent gets the issue.
        ("POST", f"{GITHUB}/issues/1/suggestions/2/approve", "code"),
        ("POST", f"{GITHUB}/issues/1/suggestions/2/dismiss", None),
        ("POST", f"{GITHUB}/code-scanning/sarifs", "checks"),
        ("PATCH", f"{GITHUB}/code-scanning/alerts/1", "checks"),
        # A repository of its own, in another account.
        ("POST", f"{GITHUB}/forks", "settings"),
        ("POST", f"{GITLAB}/fork", "settings"),
        ("POST", "/2.0/repositories/acme/project/forks", "settings"),
        # docs.gitlab.com/api/remote_mirrors: every commit goes to an address of the sender's.
        ("POST", f"{GITLAB}/remote_mirrors", "hooks"),
        ("POST", f"{GITLAB}/mirror/pull", "code"),
        # The answer is a token.
        ("POST", f"{GITHUB}/actions/runners/registration-token", "keys"),
        ("POST", f"{GITHUB}/actions/runners/generate-jitconfig", "keys"),
        ("DELETE", f"{GITHUB}/actions/runners/1", "pipelines"),
        ("POST", "/api/v1/repos/acme/project/actions/runners", "keys"),  # Forgejo's RegisterRunner
        ("POST", "/api/v1/repos/acme/project/actions/runners/registration-token", "keys"),
        ("POST", "/api/v1/orgs/acme/actions/runners/registration-token", "keys"),
        ("POST", f"{GITLAB}/runners/reset_registration_token", "keys"),
        ("POST", f"{GITLAB}/cluster_agents/1/tokens", "keys"),
        ("POST", "/api/v4/runners/1/reset_authentication_token", "keys"),
        ("POST", "/2.0/repositories/acme/project/pipelines-config/runners", "keys"),
        ("POST", f"{GITLAB}/trigger/pipeline", "pipelines"),
        # docs.gitlab.com/api: service_accounts, group_ssh_certificates, error_tracking, status_checks, members.
        ("POST", "/api/v4/groups/acme/service_accounts/7/personal_access_tokens", "keys"),
        ("POST", "/api/v4/groups/acme/ssh_certificates", "keys"),
        ("POST", f"{GITLAB}/error_tracking/client_keys", "keys"),
        ("POST", f"{GITLAB}/external_status_checks", "hooks"),
        ("POST", f"{GITLAB}/import_project_members/2", "members"),
        ("POST", "/api/v4/groups/acme/ldap_group_links", "members"),
        ("POST", f"{GITLAB}/merge_requests/1/pipelines", "pipelines"),  # glab ci run --mr
        ("PUT", "/api/v4/user/preferences", "settings"),
        ("POST", "/manage/v1/access/ssh", "keys"),  # GitHub Enterprise Server
        ("PUT", "/manage/v1/config/settings", "settings"),
        # Below an issue only what is known is free.
        ("POST", f"{GITHUB}/issues/1/transfer", "settings"),
        ("POST", "/api/v1/repos/acme/project/issues/1/anything", "settings"),
        ("POST", f"{GITLAB}/issues/1/anything", "settings"),
        ("POST", "/api/v4/groups/acme/epics/1/links/2", "settings"),
        # ExtensionJerseyFilter: `merge.json` is `merge`.
        ("POST", f"{SERVER}/pull-requests/1/merge.json", "merge"),
        ("PUT", f"{SERVER}/permissions/users.xml", "members"),
        ("POST", f"{SERVER}/keys.merge", "settings"),
        # learn.microsoft.com/rest/api/azure/devops: a vote; a mail to any address.
        ("PUT", f"{AZURE}/git/repositories/p/pullrequests/1/reviewers/me", "review"),
        ("PATCH", f"{AZURE}/git/repositories/p/pullrequests/1", "merge"),
        ("POST", f"{AZURE}/git/repositories/p/pullrequests/1/statuses", "checks"),
        ("POST", f"{AZURE}/git/repositories/p/pullrequests/1/share", "settings"),
        ("POST", f"{AZURE}/wit/sendmail", "settings"),
    ],
)
def test_a_capability_gives_no_more_than_it_says(method: str, path: str, capability: str) -> None:
    assert needed(method, path) == capability


@pytest.mark.parametrize(
    "path",
    [
        f"{GITHUB}/issues/comments/7/reactions/8",
        f"{GITHUB}/issues/1/labels/kind%2Fbug",
        "/api/v1/repos/acme/project/issues/1/comments/2",
        "/api/v1/repos/acme/project/issues/1/times/2",
        f"{GITLAB}/issues/1/reorder",
        f"{GITLAB}/issues/1/notes/2/award_emoji",
        f"{GITLAB}/boards/1/lists/2",
        "/api/v4/groups/acme/epics/1/discussions/a/notes",
        "/2.0/repositories/acme/project/issues/1/comments/2",
    ],
)
def test_words_about_an_issue_are_free(path: str) -> None:
    assert needed("PUT", path) is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        # routers/api/v1/shared/runners.go, GetRegistrationToken: it makes one where there is none.
        "/api/v1/repos/acme/project/actions/runners/registration-token",
        "/api/v1/repos/acme/project/runners/registration%2Dtoken",
        "/api/v1/orgs/acme/actions/runners/registration-token",
        "/api/v1/user/actions/runners/registration-token",
        "/api/v1/admin/runners/registration-token",
        # lib/api/concerns/packages/conan/shared_endpoints.rb: a token that stands for who asks.
        f"{GITLAB}/packages/conan/v1/users/authenticate",
        f"{GITLAB}/packages/conan/v2/users/authenticate.txt",
        "/api/v4/packages/conan/v1/users/authenticate",
        "/api/packages/acme/conan/v1/users/authenticate",
    ],
)
def test_a_read_that_makes_a_token_is_none(method: str, path: str) -> None:
    assert needed(method, path) == "keys"


@pytest.mark.parametrize(
    ("path", "capability"),
    [
        ("/x/../api/v1/repos/acme/project/actions/runners/registration-token", "unreadable"),
        ("/x/../api/v1/repos/acme/project/contents/a", None),
        ("/x/../users/authenticate", None),
        ("/users/authenticate", None),
        ("/api/v1/repos/acme/project/actions/runners", None),
        (f"{GITLAB}/packages/conan/v1/ping", None),
        (f"{GITLAB}/repository/files/authenticate/raw", None),
    ],
)
def test_other_reads_are_free(path: str, capability: str | None) -> None:
    assert needed("GET", path) == capability


def by_graphql(text: str, variables: object = None, host: str = "gitlab.example.com") -> str | None:
    body = json.dumps({"query": text, "variables": variables}).encode()
    return needed_by_body(host, "/api/graphql", "application/json", body)


def test_a_merge_request_is_not_freed_of_its_reviews() -> None:
    """ee/app/graphql/ee/mutations/merge_requests/update.rb: "Override all requested changes"."""
    update = "mutation($i: MergeRequestUpdateInput!) { mergeRequestUpdate(input: $i) { errors } }"
    assert by_graphql(update, {"i": {"iid": "1", "overrideRequestedChanges": True}}) == "review"
    assert by_graphql(update.replace("$i)", '{iid: "1", overrideRequestedChanges: $i})'), {"i": True}) == "review"
    assert by_graphql(update, {"i": {"iid": "1", "title": "overrideRequestedChanges"}}) is None


@pytest.mark.parametrize(
    ("kind", "body", "capability"),
    [
        # ee/lib/ee/api/merge_requests.rb: parameters of creating and of editing a merge request.
        ("application/json", '{"approval_rules_attributes": [{"id": 5, "approvals_required": 0}]}', "review"),
        ("application/json", '{"title": "x", "approvals_before_merge": 0}', "review"),
        ("application/json", '{"v2_approval_rules_attributes": []}', "review"),
        ("application/x-www-form-urlencoded", "approval_rules_attributes[][id]=5", "review"),
        ("application/json", '{"title": "approve", "description": "approvals_before_merge"}', None),
    ],
)
def test_a_merge_request_needs_no_less_approvals(kind: str, body: str, capability: str | None) -> None:
    path = f"{GITLAB}/merge_requests/1"
    assert needed("PUT", path) is None
    assert needed_by_body("gitlab.example.com", path, kind, body.encode()) == capability


@pytest.mark.parametrize(
    ("mutation", "capability"),
    [
        # docs.gitlab.com/api/graphql/reference, docs.github.com/en/graphql/reference/mutations.
        ("approvalProjectRuleDelete", "code review"),
        ("mergeRequestDestroyRequestedChanges", "merge review"),
        ("dastProfileRun", "settings"),  # it starts a pipeline
        ("configureSecretDetection", "secrets settings"),  # it makes a commit
        ("aiDuoWorkflowCreate", "code pipelines"),
        ("updateOrganizationWebCommitSignoffSetting", "code members settings"),
        ("transferEnterpriseOrganization", "members settings"),
        ("updateEnterpriseProfile", "members settings"),
        ("approveVerifiableDomain", "review settings"),
        ("changeUserStatus", "settings"),
        ("runnerCreate", "keys pipelines"),  # each answers with a token
        ("pipelineTriggerCreate", "keys pipelines"),
        ("runnerUpdate", "pipelines"),
        ("mergeRequestBypassSecurityPolicy", "merge settings"),
        ("scanExecutionPolicyCommit", "code settings"),
        ("abortQueuedMigrations", "merge settings"),
        ("adminSidekiqQueuesDeleteJobs", "merge pipelines settings"),
        ("createDeploymentStatus", "pipelines"),
        ("commitCreate", "code"),
        ("mergeRequestAccept", "merge"),
        ("pipelineRetry", "pipelines"),
        ("addPullRequestReview", "review"),
        ("deleteBranchProtectionRule", "code"),
        ("createCheckRun", "checks"),
        ("projectMemberBulkUpdate", "members"),
    ],
)
def test_a_mutation_needs_all_that_it_speaks_of(mutation: str, capability: str) -> None:
    assert by_graphql(f"mutation {{ {mutation}(input: {{}}) {{ clientMutationId }} }}") == capability


JSON, FORM = "application/json", "application/x-www-form-urlencoded"
PART = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\nroot\r\n--b--\r\n'
NOTES, COMMENTS = f"{GITLAB}/issues/1/notes", "/api/v1/repos/acme/project/issues/1/comments"


@pytest.mark.parametrize(
    ("body", "capability"),
    [
        ('{"operation": "download", "objects": []}', None),
        # services/lfs/server.go, BatchHandler, links an object of any repository that the token reads to this one.
        ('{"operation": "download", "Operation": "upload", "objects": []}', "code"),
        ('{"OPERATION": "upload", "operation": "download"}', "code"),
        ('{"Operation": "download"}', None),
    ],
)
def test_a_name_in_another_case_is_the_same_to_go(body: str, capability: str | None) -> None:
    path, kind = "/acme/project.git/info/lfs/objects/batch", "application/vnd.git-lfs+json"
    assert needed_by_body("gitea.example.com", path, kind, body.encode()) == capability


def route(**more: object) -> Any:
    one = {"host": "git.example.com", "slot": "EGRESS_TOKEN_0", "auth_scheme": "bearer", **more}
    return RouteTable.parse(json.dumps({"version": 1, "routes": [one]}).encode()).routes[0]


def sent(path: str, kind: str, body: str, method: str = "POST") -> Any:
    fields = ((b"content-type", kind.encode()),) if kind else ()
    return tutils.treq(method=method.encode(), path=path.encode(), content=body.encode(), headers=fields)


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        # lib/api/helpers.rb, sudo_identifier: of Grape's params, which has forms and JSON; routers/api/v1/api.go, sudo:
        # FormString. Header and parameter are refused alike.
        (NOTES, JSON, '{"body": "x", "sudo": "root"}'),
        (NOTES, JSON, '{"body": "x", "s\\u0075do": 1}'),
        (NOTES, FORM, "body=x&sudo=root"),
        (NOTES, FORM, "%73udo=root"),
        # lib/gitlab/auth/auth_finders.rb, find_personal_access_token: the parameter before the header.
        (NOTES, FORM, "body=x&private_token=glpat-x"),
        (NOTES, JSON, '{"body": "x", "private_token": "glpat-x"}'),
        (COMMENTS, FORM, "body=x&access_token=x"),  # services/auth/oauth2.go, parseToken: of the form too
        (NOTES, "multipart/form-data; boundary=b", PART.format("sudo")),
        (f"{GITLAB}/merge_requests/1/approve", JSON, '{"sudo": 7}'),
        (f"{GITLAB}/merge_requests/1/approve", "", '{"sudo": 7}'),
        (COMMENTS, FORM, "body=x&sudo=root"),
        ("/x/../api/v1/repos/acme/project/issues/1/comments", FORM, "sudo=root"),
        # json 2.6.1 of Ruby, which is behind Grape, was run: no backslash before a letter counts, nor does a comment.
        (f"{GITLAB}/labels", JSON, '{"name": "x", "\\su\\do": "root"}'),
        (f"{GITLAB}/labels", JSON, '{"name": "x", "sudo"/**/: "root"}'),
        (f"{GITLAB}/labels", JSON, '{"private\\_token" // x\n: "glpat-x"}'),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
def test_no_field_makes_the_token_another_users(method: str, path: str, kind: str, body: str) -> None:
    request, forge = sent(path, kind, body, method), ["review"]
    refusal = refuse_body(request, "git.example.com", route(forge=forge))
    assert refusal is not None
    scan = form_scan(request, route(forge=forge))
    assert scan is not None
    assert any(scan.feed(bytes([byte])) for byte in body.encode())


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        (NOTES, JSON, '{"body": "use sudo: it is \\"sudo\\": true"}'),
        (NOTES, FORM, "body=sudo"),
        (COMMENTS, JSON, '{"body": "sudo"}'),
        ("/api/v1/servers", JSON, '{"sudo": true}'),  # of others
    ],
)
def test_words_may_speak_of_sudo(path: str, kind: str, body: str) -> None:
    assert refuse_body(sent(path, kind, body), "git.example.com", route()) is None


def test_sudo_passes_where_it_is_named_or_no_token_is_put_in() -> None:
    request = sent(NOTES, FORM, "body=x&sudo=root")
    assert refuse_body(request, "git.example.com", route(allow_headers=["sudo"])) is None
    assert refuse_body(request, "git.example.com", route(slot=None, auth_scheme=None)) is None
