"""Which calls of a forge's API need a capability. The paths are those of the forges' own references, named at each."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from forge_needs import needed, needed_by_body

from claude_bottle.policy.forge import api as forge_api
from claude_bottle.policy.forge.body import reads_body
from claude_bottle.policy.forge.capabilities import CAPABILITIES
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.table import Route, RouteTable

ROOT = Path(__file__).resolve().parents[2]
# docs.github.com/en/rest: the operations' own paths, OWNER/REPO filled in.
GITHUB = [
    ("POST", "/repos/acme/project/git/blobs", "code"),
    ("POST", "/repos/acme/project/git/trees", "code"),
    ("POST", "/repos/acme/project/git/commits", "code"),
    ("POST", "/repos/acme/project/git/refs", "code"),
    ("PATCH", "/repos/acme/project/git/refs/heads/main", "code"),
    ("DELETE", "/repos/acme/project/git/refs/heads/main", "code"),
    ("POST", "/repos/acme/project/git/tags", "code"),
    ("PUT", "/repos/acme/project/contents/docs/a.md", "code"),
    ("DELETE", "/repos/acme/project/contents/docs/a.md", "code"),
    ("POST", "/repos/acme/project/branches/main/rename", "code"),
    ("PUT", "/repos/acme/project/branches/main/protection", "code"),
    ("POST", "/repos/acme/project/merges", "merge"),
    ("POST", "/repos/acme/project/merge-upstream", "merge"),
    ("PUT", "/repos/acme/project/pulls/1/merge", "merge"),
    ("PUT", "/repos/acme/project/pulls/1/update-branch", "merge"),
    ("POST", "/repos/acme/project/pulls/1/reviews", "review"),
    ("POST", "/repos/acme/project/releases", "releases"),
    ("POST", "/repos/acme/project/releases/1/assets?name=a", "releases"),
    ("POST", "/repos/acme/project/dispatches", "pipelines"),
    ("POST", "/repos/acme/project/actions/workflows/ci.yml/dispatches", "pipelines"),
    ("POST", "/repos/acme/project/actions/runs/1/rerun", "pipelines"),
    ("PUT", "/repos/acme/project/actions/permissions", "pipelines"),
    ("POST", "/repos/acme/project/deployments", "pipelines"),
    ("PUT", "/repos/acme/project/environments/prod", "pipelines"),
    ("POST", "/repos/acme/project/pages", "pipelines"),
    ("POST", "/repos/acme/project/statuses/0123abc", "checks"),
    ("POST", "/repos/acme/project/check-runs", "checks"),
    ("PUT", "/repos/acme/project/actions/secrets/TOKEN", "secrets"),
    ("POST", "/repos/acme/project/actions/variables", "secrets"),
    ("PUT", "/repos/acme/project/dependabot/secrets/TOKEN", "secrets"),
    ("PUT", "/repos/acme/project/environments/prod/secrets/TOKEN", "secrets"),
    ("POST", "/repos/acme/project/keys", "keys"),
    ("POST", "/repos/acme/project/hooks", "hooks"),
    ("PATCH", "/repos/acme/project/hooks/1/config", "hooks"),
    ("PUT", "/repos/acme/project/collaborators/eve", "members"),
    ("POST", "/repos/acme/project/transfer", "settings"),
    ("POST", "/repos/acme/project/rulesets", "settings"),
    ("PATCH", "/repos/acme/project", "settings"),
    ("DELETE", "/repos/acme/project", "settings"),
    ("POST", "/user/keys", "keys"),
    ("POST", "/user/gpg_keys", "keys"),
    ("POST", "/user/repos", "settings"),
    ("POST", "/orgs/acme/hooks", "hooks"),
    ("POST", "/orgs/acme/invitations", "members"),
    ("POST", "/repositories/1296269/keys", "keys"),  # where GitHub redirects a renamed repository to
    ("POST", "/api/v3/repos/acme/project/git/refs", "code"),  # GitHub Enterprise Server
    ("POST", "/repos/acme/project/issues", None),
    ("PATCH", "/repos/acme/project/issues/1", None),
    ("POST", "/repos/acme/project/issues/1/comments", None),
    ("POST", "/repos/acme/project/issues/1/labels", None),
    ("POST", "/repos/acme/project/pulls", None),
    ("PATCH", "/repos/acme/project/pulls/1", None),
    ("POST", "/repos/acme/project/pulls/1/comments", None),
    ("POST", "/repos/acme/project/pulls/1/requested_reviewers", None),
    ("POST", "/repos/acme/project/labels", None),
    ("POST", "/repos/acme/project/milestones", None),
    ("GET", "/repos/acme/project/contents/a", None),
    ("GET", "/repos/acme/project/keys", None),
]
# docs.gitlab.com/api
GITLAB = [
    ("POST", "/api/v4/projects/1/repository/commits", "code"),
    ("POST", "/api/v4/projects/acme%2Fproject/repository/files/a.md", "code"),
    ("POST", "/api/v4/projects/acme%2Fissues/repository/branches", "code"),
    ("POST", "/api/v4/projects/1/repository/tags", "code"),
    ("POST", "/api/v4/projects/1/protected_branches", "code"),
    ("POST", "/api/v4/projects/1/wikis", "code"),
    ("PUT", "/api/v4/projects/1/merge_requests/2/merge", "merge"),
    ("PUT", "/api/v4/projects/1/merge_requests/2/rebase", "merge"),
    ("POST", "/api/v4/projects/1/merge_requests/2/approve", "review"),
    ("POST", "/api/v4/projects/1/hooks", "hooks"),
    ("POST", "/api/v4/groups/1/hooks", "hooks"),
    ("POST", "/api/v4/projects/1/deploy_keys", "keys"),
    ("POST", "/api/v4/projects/1/deploy_tokens", "keys"),
    ("POST", "/api/v4/projects/1/access_tokens", "keys"),
    ("POST", "/api/v4/projects/1/variables", "secrets"),
    ("POST", "/api/v4/projects/1/triggers", "keys"),
    ("POST", "/api/v4/projects/1/trigger/pipeline", "pipelines"),
    ("POST", "/api/v4/projects/1/ref/main/trigger/pipeline?token=x", "pipelines"),
    ("POST", "/api/v4/projects/1/pipeline", "pipelines"),
    ("POST", "/api/v4/projects/1/jobs/2/play", "pipelines"),
    ("POST", "/api/v4/projects/1/statuses/0123abc", "checks"),
    ("POST", "/api/v4/projects/1/members", "members"),
    ("POST", "/api/v4/projects/1/releases", "releases"),
    ("PUT", "/api/v4/projects/1", "settings"),
    ("POST", "/api/v4/projects", "settings"),
    ("POST", "/gitlab/api/v4/projects/1/hooks", "hooks"),
    ("POST", "/api/v4/projects/1/issues", None),
    ("POST", "/api/v4/projects/1/issues/2/notes", None),
    ("POST", "/api/v4/projects/1/merge_requests", None),
    ("PUT", "/api/v4/projects/1/merge_requests/2", None),
    ("POST", "/api/v4/projects/1/merge_requests/2/discussions", None),
]
# docs.gitea.com/api, codeberg.org/api/swagger
GITEA = [
    ("POST", "/api/v1/repos/acme/project/contents/a.md", "code"),
    ("POST", "/api/v1/repos/acme/project/contents", "code"),
    ("POST", "/api/v1/repos/acme/project/branches", "code"),
    ("POST", "/api/v1/repos/acme/project/tags", "code"),
    ("POST", "/api/v1/repos/acme/project/diffpatch", "code"),
    ("POST", "/api/v1/repos/acme/project/wiki/new", "code"),
    ("POST", "/api/v1/repos/acme/project/pulls/1/merge", "merge"),
    ("POST", "/api/v1/repos/acme/project/pulls/1/update", "merge"),
    ("POST", "/api/v1/repos/acme/project/hooks", "hooks"),
    ("PATCH", "/api/v1/repos/acme/project/hooks/git/pre-receive", "hooks"),
    ("POST", "/api/v1/repos/acme/project/push_mirrors", "hooks"),
    ("POST", "/api/v1/repos/acme/project/keys", "keys"),
    ("PUT", "/api/v1/repos/acme/project/actions/secrets/T", "secrets"),
    ("POST", "/api/v1/user/keys", "keys"),
    ("POST", "/git/api/v1/repos/acme/project/hooks", "hooks"),
    ("POST", "/api/v1/repos/acme/project/issues", None),
    ("POST", "/api/v1/repos/acme/project/pulls", None),
    ("POST", "/api/v1/repos/acme/project/issues/1/comments", None),
]
# developer.atlassian.com (cloud and server), learn.microsoft.com/rest/api/azure/devops
OTHERS = [
    ("POST", "/2.0/repositories/acme/project/src", "code"),
    ("POST", "/2.0/repositories/acme/project/refs/branches", "code"),
    ("POST", "/2.0/repositories/acme/project/hooks", "hooks"),
    ("POST", "/2.0/repositories/acme/project/deploy-keys", "keys"),
    ("POST", "/2.0/repositories/acme/project/pipelines", "pipelines"),
    ("POST", "/2.0/repositories/acme/project/pullrequests/1/merge", "merge"),
    ("POST", "/2.0/repositories/acme/project/pullrequests/1/approve", "review"),
    ("POST", "/2.0/repositories/acme/project/pullrequests", None),
    ("POST", "/2.0/repositories/acme/project/pullrequests/1/comments", None),
    ("PUT", "/rest/api/latest/projects/ACME/repos/project/browse/a.md", "code"),
    ("POST", "/rest/api/1.0/projects/ACME/repos/project/pull-requests/1/merge?version=1", "merge"),
    ("POST", "/rest/api/1.0/projects/ACME/repos/project/webhooks", "hooks"),
    ("POST", "/rest/api/1.0/projects/ACME/repos/project/pull-requests", None),
    ("POST", "/acme/project/_apis/git/repositories/project/pushes?api-version=7.1", "code"),
    ("POST", "/acme/project/_apis/git/repositories/project/refs?api-version=7.1", "code"),
    ("PATCH", "/acme/project/_apis/git/repositories/project/pullrequests/1", "merge"),
    ("POST", "/acme/project/_apis/git/repositories/project/pullrequests/1/threads", None),
    ("POST", "/acme/project.git/info/lfs/locks", "code"),
    # Another spelling of a forge's path is not read in its favour.
    ("POST", "/repos/acme/project/%67it/refs", "code"),
    ("POST", "/repos/acme/project//git/refs", "code"),
    ("POST", "/REPOS/acme/project/GIT/refs", "code"),
    ("POST", "/repos/acme/project/issues/../git/refs", "unreadable"),
    ("POST", "/repos/acme/project/issues;x/../keys", "unreadable"),
    ("POST", "/api/v4/projects/acme%252Fissues/repository/commits", "unreadable"),
    # A server that decodes before it splits has another call: what is free must be free in both.
    ("PUT", "/api/v1/repos/acme%2Fproject/contents/issues/1", "code"),
    ("PUT", "/repos/acme/project%2Fcontents/x/issues/f", "code settings"),
    ("POST", "/api%2Fv4/projects/1/repository/commits", "code"),
    ("POST", "/repos%2Facme%2Fproject%2Fgit/refs", "code"),
    ("POST", "/info%2Flfs/objects/0123", "code"),
    ("PUT", "/api/v4/projects/1/labels/area%2Fcli", None),
    ("DELETE", "/repos/acme/project/issues/1/labels/area%2Fcli", None),
    ("DELETE", "/repos/acme/project/issues/1/labels/good%20first%20issue", None),
    ("POST", "/repos/acme/project/issues%20", "unreadable"),
    ("PUT", "/api/./v4/projects/1/hooks", "unreadable"),
    ("PUT", "/user;a=b/keys", "unreadable"),
    ("POST", "/x/..%252f..%252fuser/keys", "unreadable"),
    ("POST", "/api/v4/projects/1%2F..%2F2/issues", "unreadable"),
    # A forge's root within another's rest: GitHub writes the file `api/v1/repos/a/b/issues/x`.
    ("PUT", "/repos/acme/project/contents/api/v1/repos/a/b/issues/1", "code"),
    ("PUT", "/api/v1/repos/acme/project/contents/api/v4/projects/1/issues", "code"),
    ("POST", "/2.0/repositories/acme/project/src/info/lfs/objects/batch", "code"),
    # Grape serves a call with its format at the end (github.com/ruby-grape/grape, "API Formats").
    ("PUT", "/api/v4/projects/1/merge_requests/2/merge.json", "merge"),
    ("POST", "/api/v4/projects/1/issues.json", None),
    # No forges: docs.anthropic.com, platform.openai.com/docs, docs.aws.amazon.com/AmazonS3, supabase.com/docs.
    ("POST", "/v1/messages", None),
    ("POST", "/v1/chat/completions", None),
    ("POST", "/v1/organization/users", None),
    ("PUT", "/bucket/repos.tar", None),
    ("POST", "/rest/v1/items", None),
    ("POST", "/api/v1/users", None),
    ("POST", "/api/v1/user/login", None),
    ("POST", "/api/v1/query", None),  # prometheus.io/docs/prometheus/latest/querying/api
    ("POST", "/api/v1/query_range?query=up", None),
    ("POST", "/api/v1/namespaces/default/pods", None),  # kubernetes.io/docs/reference/kubernetes-api
    ("PUT", "/api/v1/statuses/1", None),  # docs.joinmastodon.org/methods/statuses
    ("POST", "/api/v1/projects", None),  # developer.todoist.com/api/v1
    ("POST", "/v1/projects/acme/topics/news:publish", None),  # cloud.google.com/pubsub/docs/reference/rest
    ("POST", "/v1/projects/acme/locations/us/publishers/google/models/m:generateContent", None),  # Vertex AI
    ("POST", "/rest/api/3/issue", None),  # developer.atlassian.com/cloud/jira/platform/rest/v3
    ("POST", "/rest/api/2/issue/ACME-1/comment", None),
    ("POST", "/rest/api/latest/issue", None),
    ("POST", "/rest/api/3/project", None),
    ("POST", "/rest/agile/1.0/sprint", None),
    ("POST", "/rest/servicedeskapi/request", None),
    ("POST", "/rest/api/content", None),  # developer.atlassian.com/server/confluence/rest
    ("PUT", "/wiki/rest/api/content/1", None),
    ("POST", "/rest/V1/products", None),  # developer.adobe.com/commerce/webapi/rest
    ("POST", "/v2/acme/image/blobs/uploads/", None),  # github.com/opencontainers/distribution-spec
    ("POST", "/2.0/files/1/copy", None),  # developer.box.com/reference
    ("PUT", "/2.0/users/1", None),
    ("POST", "/api/v4/posts", None),  # developers.mattermost.com/api-documentation
    ("POST", "/api/v4/users/ids", None),
    ("POST", "/api/v3/work_packages", None),  # openproject.org/docs/api
    ("POST", "/api/v3/order?symbol=A", None),  # developers.binance.com/docs/binance-spot-api-docs
    ("POST", "/api/v3/command", None),  # sonarr.tv/docs/api
    ("POST", "/teams/acme/players", None),
    ("POST", "/users/1/keys", None),
]
# docs.github.com/en/rest: what is about no one repository. The last is the answer at GitHub's own host.
GITHUB_ACCOUNTS = [
    ("PUT", "/teams/1/memberships/octocat", "members", "members"),
    ("DELETE", "/enterprises/acme/teams/1", "members", "members"),
    ("PATCH", "/enterprises/acme/properties/schema", "settings", "settings"),
    ("POST", "/gists", "settings", "settings"),
    ("PATCH", "/gists/1", "settings", "settings"),
    ("POST", "/user/codespaces", "settings", "settings"),
    ("PUT", "/user/installations/1/repositories/2", "settings", "settings"),
    ("PUT", "/user/codespaces/secrets/T", "secrets", "secrets"),
    ("POST", "/user/migrations", "settings", "settings"),
    ("PATCH", "/user/memberships/orgs/acme", "members", "members"),
    ("DELETE", "/user/packages/npm/a", "releases", "releases"),
    ("POST", "/orgs/acme/rulesets", "settings", "settings"),
    ("PATCH", "/orgs/acme", "settings", "settings"),
    ("POST", "/orgs/acme/actions/runners/registration-token", "keys", "keys"),
    ("POST", "/orgs/acme/personal-access-tokens", "keys", "keys"),
    ("POST", "/app/installations/1/access_tokens", "keys", "keys"),
    ("POST", "/applications/1/token", "keys", "keys"),
    ("PATCH", "/app/hook/config", None, "hooks"),
    ("PATCH", "/user", None, "settings"),
    ("POST", "/projects/columns/1/cards", None, "settings"),
    ("PUT", "/something/new", None, "settings"),
    ("POST", "/markdown", None, None),
    ("PUT", "/notifications", None, None),
    ("PATCH", "/notifications/threads/1", None, None),
    ("PUT", "/user/starred/acme/project", None, None),
    ("POST", "/graphql", None, None),
    ("POST", "/repos/acme/project/issues", None, None),
    ("GET", "/user/keys", None, None),
]
# docs.gitlab.com/api, developer.atlassian.com (Bitbucket, cloud and server), learn.microsoft.com/rest/api/azure/devops,
# docs.gitea.com/api, docs.github.com/en/enterprise-server@3.18/rest
ACCOUNTS = [
    ("POST", "/api/v4/user/runners", "keys"),
    ("POST", "/api/v4/user/keys", "keys"),
    ("POST", "/api/v4/user/personal_access_tokens", "keys"),
    ("POST", "/api/v4/users", "settings"),
    ("POST", "/api/v4/users/1/impersonation_tokens", "keys"),
    ("POST", "/api/v4/users/1/block", "settings"),
    ("POST", "/api/v4/snippets", "code"),
    ("PUT", "/api/v4/suggestions/1/apply", "code"),
    ("POST", "/api/v4/bulk_imports", "settings"),
    ("POST", "/api/v4/import/github", "settings"),
    ("PUT", "/api/v4/application/settings", "settings"),
    ("POST", "/api/v4/applications", "keys"),
    ("POST", "/api/v4/hooks", "hooks"),
    ("POST", "/api/v4/admin/ci/variables", "secrets"),
    ("POST", "/gitlab/api/v4/topics", "settings"),
    ("POST", "/api/v4/projects/1/merge_requests/2/draft_notes/bulk_publish", "review"),
    ("POST", "/api/v4/markdown", None),
    ("POST", "/api/v4/todos/1/mark_as_done", None),
    ("POST", "/api/v4/projects/1/ci/lint", "pipelines"),
    ("POST", "/2.0/workspaces/acme/hooks", "hooks"),
    ("POST", "/2.0/users/u/ssh-keys", "keys"),
    ("POST", "/2.0/workspaces/acme/pipelines-config/variables", "secrets"),
    ("POST", "/2.0/workspaces/acme/projects", "settings"),
    ("POST", "/2.0/snippets", "code"),
    ("PUT", "/rest/access-tokens/1.0/users/u", "keys"),
    ("PUT", "/rest/access-tokens/latest/projects/P/repos/r", "keys"),
    ("POST", "/rest/ssh/1.0/keys", "keys"),
    ("POST", "/rest/gpg/latest/keys", "keys"),
    ("POST", "/rest/keys/1.0/projects/P/repos/r/ssh", "keys"),
    ("POST", "/rest/api/1.0/projects/P/webhooks", "hooks"),
    ("POST", "/rest/api/latest/projects", "settings"),
    ("PUT", "/rest/api/1.0/admin/permissions/users", "members"),
    ("POST", "/bitbucket/rest/branch-permissions/2.0/projects/P/restrictions", "code"),
    ("POST", "/rest/build-status/1.0/commits/0123", "checks"),
    ("PUT", "/rest/git-lfs/storage/P/r/0123", "code"),
    ("POST", "/acme/project/_apis/pipelines/5/runs?api-version=7.1", "pipelines"),
    ("POST", "/acme/_apis/hooks/subscriptions", "hooks"),
    ("PUT", "/acme/project/_apis/policy/configurations/3", "settings"),
    ("PUT", "/acme/project/_apis/wiki/wikis/w/pages?path=a", "code"),
    ("POST", "/acme/project/_apis/git/repositories", "settings"),
    ("POST", "/acme/project/_apis/distributedtask/variablegroups", "secrets"),
    ("POST", "/acme/_apis/tokens/pats", "keys"),
    ("PATCH", "/acme/project/_apis/wit/workitems/1", None),
    ("POST", "/acme/project/_apis/wit/workitems/$Task", None),
    ("POST", "/acme/project/_apis/wit/wiql", None),
    ("POST", "/acme/project/_apis/git/repositories/p/pullrequestquery", None),
    ("POST", "/api/v1/admin/users", "settings"),
    ("POST", "/api/v1/admin/users/u/keys", "keys"),
    ("POST", "/api/v1/orgs/acme/teams", "members"),
    ("PUT", "/api/v1/teams/1/members/u", "members"),
    ("POST", "/api/v1/users/u/tokens", "keys"),
    ("POST", "/api/v1/repos/migrate", "settings"),
    ("PUT", "/api/v1/user/actions/secrets/T", "secrets"),
    ("POST", "/api/v1/packages/acme/npm/a/-/link/project", "releases"),
    ("POST", "/api/v3/gists", "settings"),
    ("POST", "/api/v3/admin/organizations", "settings"),
    ("PUT", "/api/v3/users/u/site_admin", "settings"),
    # github.com/git-lfs/git-lfs, docs/api; GitLab's config/routes/git_http.rb
    ("POST", "/acme/project.git/info/lfs/objects", "code"),
    ("PUT", "/acme/project.git/gitlab-lfs/objects/0123/5", "code"),
    ("POST", "/acme/project.git/info/lfs/objects/batch", None),
]


@pytest.mark.parametrize(("method", "path", "capability"), GITHUB + GITLAB + GITEA + OTHERS)
def test_what_a_call_needs(method: str, path: str, capability: str | None) -> None:
    assert needed(method, path) == capability


@pytest.mark.parametrize(("method", "path", "capability"), ACCOUNTS)
def test_what_an_account_needs(method: str, path: str, capability: str | None) -> None:
    assert needed(method, path) == capability


@pytest.mark.parametrize(("method", "path", "anywhere", "at_github"), GITHUB_ACCOUNTS)
def test_githubs_own_host(method: str, path: str, anywhere: str | None, at_github: str | None) -> None:
    assert needed(method, path, "app.example.com") == anywhere
    assert needed(method, path, "api.github.com") == at_github
    assert needed(method, path, "api.octocorp.ghe.com") == at_github


def test_a_path_beyond_the_bounds_is_not_followed() -> None:
    deep = "/a" * 32_768
    assert needed("POST", deep) is None
    assert needed("POST", "/a" * 524_288) is None
    assert needed("POST", deep, "api.github.com") == "unreadable"
    assert needed("POST", f"{deep}/api/v4/projects/1/hooks") == "unreadable"
    assert needed("POST", f"/api/v4/projects/1/issues{deep}") == "unreadable"
    assert needed("PUT", f"/repos/acme/project/issues/{'a' * 9000}") == "unreadable"
    assert needed("PUT", "/user/%2525252525252525252561") == "unreadable"
    assert not reads_body("POST", deep)
    assert needed("POST", "/" + "%25" * 349_525) == "unreadable"


def test_no_segment_of_a_deep_path_is_looked_at_more_than_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    stands = forge_api._stands

    def count(*args: object) -> bool:
        nonlocal looked
        looked += 1
        return stands(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(forge_api, "_stands", count)
    for word in ("api", "repos", "rest", "_apis", "2.0", "info"):
        needed("POST", f"/{word}" * 64)
        needed("POST", f"/{word}" * 4096)
    assert looked < 6 * 64 * 8


def graphql(text: str, host: str = "api.github.com", path: str = "/graphql") -> str | None:
    return needed_by_body(host, path, "application/json", json.dumps({"query": text}).encode())


# docs.github.com/en/graphql/reference/mutations; docs.gitlab.com/api/graphql/reference. The first two are what `gh pr
# create` and `gh issue create` send.
@pytest.mark.parametrize(
    ("text", "capability"),
    [
        ("mutation PullRequestCreate($input: CreatePullRequestInput!) { createPullRequest(input: $input) { pullRequest { id url } } }", None),
        ("mutation IssueCreate($input: CreateIssueInput!) { createIssue(input: $input) { issue { id url } } }", None),
        ("mutation PullRequestMerge($input: MergePullRequestInput!) { mergePullRequest(input: $input) { clientMutationId } }", "merge"),
        ("mutation { createCommitOnBranch(input: {}) { commit { url } } }", "code"),
        ("mutation { harmless: updateRef(input: {}) { clientMutationId } }", "code"),
        ("query A { viewer { login } } mutation B { deleteRef(input: {}) { clientMutationId } }", "code"),
        ("mutation { ...F } fragment F on Mutation { mergeBranch(input: {}) { clientMutationId } }", "unreadable"),
        ("mutation { addComment(input: {}) { clientMutationId } enablePullRequestAutoMerge(input: {}) { actor { login } } }", "merge"),
        ("mutation { someNewThing(input: {}) { clientMutationId } }", "settings"),
        ("# mutation { updateRef }\nquery { viewer { login } }", None),
        ('query { search(query: "mutation { updateRef }", type: ISSUE, first: 1) { issueCount } }', None),
        ("{ viewer { login } }", None),
        ("mutation {", "unreadable"),
        ("query " + "{a" * 30_000, "unreadable"),
    ],
)  # fmt: skip
def test_graphql(text: str, capability: str | None) -> None:
    assert graphql(text) == capability
    assert graphql(text, "git.example.com", "/api/graphql") == capability


# Bodies that `gh` 2.46.0 (Debian's) sent to a server of the tests, for the commands of tests/integration/test_forge_gh.py.
# fmt: off
GH = [
    (r'''{"query":"fragment issue on Issue {number,title,url,state,updatedAt,labels(first:100){nodes{id,name,description,color},totalCount},stateReason}\n\tquery IssueList($owner: String!, $repo: String!, $limit: Int, $endCursor: String, $states: [IssueState!] = OPEN, $assignee: String, $author: String, $mention: String) {\n\t\trepository(owner: $owner, name: $repo) {\n\t\t\thasIssuesEnabled\n\t\t\tissues(first: $limit, after: $endCursor, orderBy: {field: CREATED_AT, direction: DESC}, states: $states, filterBy: {assignee: $assignee, createdBy: $author, mentioned: $mention}) {\n\t\t\t\ttotalCount\n\t\t\t\tnodes {\n\t\t\t\t\t...issue\n\t\t\t\t}\n\t\t\t\tpageInfo {\n\t\t\t\t\thasNextPage\n\t\t\t\t\tendCursor\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n\t","variables":{"limit":30,"owner":"acme","repo":"project","states":["OPEN"]}}''', None),
    (r'''{"query":"\n\tquery IssueByNumber($owner: String!, $repo: String!, $number: Int!) {\n\t\trepository(owner: $owner, name: $repo) {\n\t\t\thasIssuesEnabled\n\t\t\tissue: issueOrPullRequest(number: $number) {\n\t\t\t\t__typename\n\t\t\t\t...on Issue{id,url}\n\t\t\t\t...on PullRequest{id,url}\n\t\t\t}\n\t\t}\n\t}","variables":{"number":1,"owner":"acme","repo":"project"}}''', None),
    (r'''{"query":"\n\tmutation IssueCreate($input: CreateIssueInput!) {\n\t\tcreateIssue(input: $input) {\n\t\t\tissue {\n\t\t\t\tid\n\t\t\t\turl\n\t\t\t}\n\t\t}\n\t}","variables":{"input":{"body":"It breaks.","repositoryId":"R_1","title":"A bug"}}}''', None),
    (r'''{"query":"mutation CommentCreate($input:AddCommentInput!){addComment(input: $input){commentEdge{node{url}}}}","variables":{"input":{"subjectId":"ID_1","body":"done"}}}''', None),
    (r'''{"query":"mutation IssueUpdate($input:UpdateIssueInput!){updateIssue(input: $input){__typename}}","variables":{"input":{"id":"ID_1","title":"new"}}}''', None),
    (r'''{"query":"mutation LabelAdd($input:AddLabelsToLabelableInput!){addLabelsToLabelable(input: $input){__typename}}","variables":{"input":{"labelableId":"ID_1","labelIds":["LA_1"]}}}''', None),
    (r'''{"query":"mutation IssueClose($input:CloseIssueInput!){closeIssue(input: $input){issue{id}}}","variables":{"input":{"issueId":"ID_1"}}}''', None),
    (r'''{"query":"mutation LockLockable($input:LockLockableInput!){lockLockable(input: $input){lockedRecord{locked}}}","variables":{"input":{"lockableId":"ID_1"}}}''', None),
    (r'''{"query":"fragment pr on PullRequest{number,title,state,url,headRefName,headRepositoryOwner{id,login,...on User{name}},isCrossRepository,isDraft,createdAt}\n\t\tquery PullRequestList(\n\t\t\t$owner: String!,\n\t\t\t$repo: String!,\n\t\t\t$limit: Int!,\n\t\t\t$endCursor: String,\n\t\t\t$baseBranch: String,\n\t\t\t$headBranch: String,\n\t\t\t$state: [PullRequestState!] = OPEN\n\t\t) {\n\t\t\trepository(owner: $owner, name: $repo) {\n\t\t\t\tpullRequests(\n\t\t\t\t\tstates: $state,\n\t\t\t\t\tbaseRefName: $baseBranch,\n\t\t\t\t\theadRefName: $headBranch,\n\t\t\t\t\tfirst: $limit,\n\t\t\t\t\tafter: $endCursor,\n\t\t\t\t\torderBy: {field: CREATED_AT, direction: DESC}\n\t\t\t\t) {\n\t\t\t\t\ttotalCount\n\t\t\t\t\tnodes {\n\t\t\t\t\t\t...pr\n\t\t\t\t\t}\n\t\t\t\t\tpageInfo {\n\t\t\t\t\t\thasNextPage\n\t\t\t\t\t\tendCursor\n\t\t\t\t\t}\n\t\t\t\t}\n\t\t\t}\n\t\t}","variables":{"limit":30,"owner":"acme","repo":"project","state":["OPEN"]}}''', None),
    (r'''{"query":"\n\t\tmutation PullRequestCreate($input: CreatePullRequestInput!) {\n\t\t\tcreatePullRequest(input: $input) {\n\t\t\t\tpullRequest {\n\t\t\t\t\tid\n\t\t\t\t\turl\n\t\t\t\t}\n\t\t\t}\n\t}","variables":{"input":{"baseRefName":"main","body":"Fixes it.","draft":false,"headRefName":"agent/fix","maintainerCanModify":true,"repositoryId":"R_1","title":"A fix"}}}''', None),
    (r'''{"query":"mutation PullRequestUpdate($input:UpdatePullRequestInput!){updatePullRequest(input: $input){__typename}}","variables":{"input":{"pullRequestId":"ID_2"}}}''', None),
    (r'''{"query":"mutation PullRequestClose($input:ClosePullRequestInput!){closePullRequest(input: $input){pullRequest{id}}}","variables":{"input":{"pullRequestId":"ID_2"}}}''', None),
    (r'''{"query":"query PullRequest_fields{PullRequest: __type(name: \"PullRequest\"){fields(includeDeprecated: true){name}},StatusCheckRollupContextConnection: __type(name: \"StatusCheckRollupContextConnection\"){fields(includeDeprecated: true){name}}}"}''', None),
    (r'''{"query":"mutation PullRequestReviewAdd($input:AddPullRequestReviewInput!){addPullRequestReview(input:$input){clientMutationId}}","variables":{"input":{"pullRequestId":"ID_2","body":"","event":"APPROVE"}}}''', "review"),
    (r'''{"query":"mutation PullRequestMerge($input:MergePullRequestInput!){mergePullRequest(input: $input){clientMutationId}}","variables":{"input":{"pullRequestId":"ID_2","mergeMethod":"SQUASH"}}}''', "merge"),
    (r'''{"query":"mutation IssueTransfer($input:TransferIssueInput!){transferIssue(input: $input){issue{url}}}","variables":{"input":{"issueId":"ID_1","repositoryId":"R_1"}}}''', "settings"),
    (r'''{"query":"mutation IssueDelete($input:DeleteIssueInput!){deleteIssue(input: $input){repository{id}}}","variables":{"input":{"issueId":"ID_1"}}}''', "settings"),
    (r'''{"query":"mutation{createCommitOnBranch(input:{}){clientMutationId}}"}''', "code"),
]
# fmt: on


@pytest.mark.parametrize(("body", "capability"), GH)
def test_what_gh_sends(body: str, capability: str | None) -> None:
    assert reads_body("POST", "/graphql")
    kind = "application/json; charset=utf-8"
    assert needed_by_body("api.github.com", "/graphql", kind, body.encode()) == capability


def test_graphql_of_others_is_theirs_but_for_a_forges_own_words() -> None:
    assert graphql("mutation { tagsAdd(id: 1) { node { id } } }", "shop.example.com") is None  # Shopify's Admin API
    assert graphql("mutation { mergePullRequest(input: {}) { id } }", "shop.example.com") == "merge"


@pytest.mark.parametrize(
    "body",
    [b'{"id": "PersistedQuery1"}', b'[{"query": "{a}"}, {"variables": {}}]', b"query=x", b'{"query": 1}', b"\xff\xfe"],
)
def test_graphql_that_cannot_be_read_is_refused(body: bytes) -> None:
    assert needed_by_body("api.github.com", "/graphql", "application/json", body) == "unreadable"


def test_a_command_in_a_comment_by_graphql() -> None:
    # gitlab.com/gitlab-org/gitlab/-/issues/346557 shows that such a note acts.
    body = {"query": "mutation($b: String!) { createNote(input: {body: $b}) { errors } }", "variables": {"b": "/merge"}}
    assert needed_by_body("git.example.com", "/api/graphql", "application/json", json.dumps(body).encode()) == "merge"


# The arguments of createNote: docs.gitlab.com/api/graphql/reference/#mutationcreatenote. Escapes and block strings:
# spec.graphql.org/October2021/#sec-String-Value.
@pytest.mark.parametrize(
    ("text", "capability"),
    [
        ('mutation{createNote(input:{noteableId:"gid://gitlab/MergeRequest/1",body:"/merge"}){errors}}', "merge"),
        ('mutation{createNote(input:{noteableId:"x",body:"hi\\u000a\\u002fmerge"}){errors}}', "merge"),
        ('mutation{createNote(input:{noteableId:"x",body:"hi\\n\\/approve"}){errors}}', "review"),
        ('mutation{createNote(input:{noteableId:"x",body:"/mer\\rge"}){errors}}', "merge"),
        ('mutation{createNote(input:{noteableId:"x",body:"""\n    hi\n    /merge\n"""}){errors}}', "merge"),
        ('mutation A($b:String="/merge"){createNote(input:{noteableId:"x",body:$b}){errors}}', "merge"),
        ('query Q{a} mutation M{createNote(input:{noteableId:"x",body:"/tag v9"}){errors}}', "code"),
        ('mutation{mergeRequestCreate(input:{title:"a",description:"/submit_review approve"}){errors}}', "review"),
        ('mutation{createNote(input:{noteableId:"x",body:"/label ~bug\\n/usr/bin is full"}){errors}}', None),
        ('query{search(text:"/merge"){id}}', None),
    ],
)
def test_commands_in_the_strings_of_a_document(text: str, capability: str | None) -> None:
    assert graphql(text, "gitlab.com", "/api/graphql") == capability
    assert graphql(text, "git.example.com", "/gitlab//api//graphql.json") == capability


def test_variables_may_be_json_in_a_string() -> None:
    # github.com/rmosolgo/graphql-ruby, its generated GraphqlController: prepare_variables.
    text = "mutation($i: CreateNoteInput!) { createNote(input: $i) { errors } }"
    body = json.dumps({"query": text, "variables": '{"i": {"body": "\\u002fmerge"}}'}).encode()
    assert needed_by_body("gitlab.com", "/api/graphql", "application/json", body) == "merge"


def test_paths_of_others_in_mutations_are_no_commands() -> None:
    # shopify.dev/docs/api/admin-graphql/latest/mutations/urlRedirectCreate
    text = 'mutation { urlRedirectCreate(urlRedirect: {path: "/old", target: "/new"}) { urlRedirect { id } } }'
    assert graphql(text, "shop.example.com", "/admin/api/2025-01/graphql.json") is None
    # docs.github.com/en/graphql/reference/mutations#addcomment: GitHub runs none.
    assert (
        graphql('mutation { addComment(input: {subjectId: "x", body: "/tmp is full"}) { clientMutationId } }') is None
    )


def test_graphql_that_two_servers_read_in_two_ways_is_refused() -> None:
    # RFC 8259, 4: what a parser makes of a name that stands twice is not said.
    twice = b'{"query": "mutation{mergeRequestAccept(input:{}){errors}}", "query": "{a}"}'
    assert needed_by_body("gitlab.com", "/api/graphql", "application/json", twice) == "unreadable"
    form = b'{"query":"{a}","x":"&query=mutation{mergeRequestAccept(input:{}){errors}}&"}'
    for kind in ("application/x-www-form-urlencoded", "", "text/plain"):
        assert needed_by_body("gitlab.com", "/api/graphql", kind, form) == "unreadable"
    assert needed_by_body("gitlab.com", "/api/graphql", "multipart/form-data; boundary=x", form) == "unreadable"
    # docs.github.com/en/graphql/guides/forming-calls-with-graphql: curl sends JSON as a form.
    call = b'{"query": "query { viewer { login }}"}'
    assert needed_by_body("api.github.com", "/graphql", "application/x-www-form-urlencoded", call) is None
    for path in ("/api/./graphql", "/api/graphql;a", "/api/graphql/.", "/api%252fgraphql", "/API/GraphQL/"):
        assert reads_body("POST", path)
        merge = json.dumps({"query": "mutation{someNewThing{a}}"}).encode()
        assert needed_by_body("git.example.com", path, "application/json", merge) == "settings"


# gitlab.com/gitlab-org/gitlab, app/controllers/graphql_controller.rb (`multiplex?`), Gitlab::Graphql::Variables
# (`ensure_hash`); Rack 1 and 2, normalize_params. Each was let through once.
MERGES = "mutation{mergeRequestAccept(input:{}){errors}}"
HIDDEN = [
    ("/api/graphql", {"query": "{__typename}", "_json": [{"query": MERGES}]}),
    (f"/api/graphql?_json[][query]={MERGES}", {"query": "{__typename}"}),
    (f"/api/graphql?[query]={MERGES}", []),
    (f"/api/graphql?[query]={MERGES}", {"query": "{__typename}"}),
    ("/api/graphql", {"query": "{__typename}", "operations": MERGES, "map": {}}),
    ("/api/graphql", {"query": "mutation($i:X){createNote(input:$i){errors}}",
                      "variables": '{"i":{"body":"hi\\n/merge"},"i":{}}'}),
    ("/api/graphql", {"query": "mutation($i:X){createNote(input:$i){errors}}",
                      "variables": json.dumps(json.dumps({"i": {"body": "hi\n/merge"}}))}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body"), HIDDEN)
def test_what_is_hidden_beside_a_query(path: str, body: object) -> None:
    assert needed_by_body("gitlab.example.com", path, "application/json", json.dumps(body).encode()) == "unreadable"


def test_a_form_in_json_by_another_name() -> None:
    body = json.dumps(
        {"query": "{__typename}", "x": "&[query]=mutation%7BmergeRequestAccept(input:%7B%7D)%7Berrors%7D%7D&"}
    )
    assert (
        needed_by_body("gitlab.example.com", "/api/graphql", "application/x-www-form-urlencoded", body.encode())
        == "unreadable"
    )


def test_graphql_has_a_budget() -> None:
    def batch(text: str, count: int) -> str | None:
        body = json.dumps([{"query": text}] * count).encode()
        return needed_by_body("api.github.com", "/graphql", "application/json", body)

    assert batch("{a}", 20) is None
    assert batch("{a}", 21) == "unreadable"
    assert batch("{" + "a " * 900 + "}", 10) is None
    assert batch("{" + "a " * 1800 + "}", 12) == "unreadable"  # more than 10,000 tokens in all, though each has few
    assert batch("{a}#" + " " * 300_000, 1) == "unreadable"
    packed = gzip.compress(b'[{"query":"{a}"}' + b',{"query":"{a}"}' * 199_999 + b"]")
    assert len(packed) < 10_000
    assert needed_by_body("api.github.com", "/graphql", "application/json", gzip.decompress(packed)) == "unreadable"


def test_graphql_in_a_query_string() -> None:
    path = "/api/graphql?query=mutation%7BupdateRef(input%3A%7B%7D)%7Ba%7D%7D"
    assert reads_body("GET", path)
    assert needed_by_body("git.example.com", path, "", b"") == "code"


# docs.gitlab.com/user/project/quick_actions
@pytest.mark.parametrize(
    ("content_type", "body", "capability"),
    [
        ("application/json", b'{"body": "/merge"}', "merge"),
        ("application/json", b'{"body": "done\\n/merge\\n"}', "merge"),
        ("application/json", b'{"body": "\\u002fmerge"}', "merge"),
        ("application/x-www-form-urlencoded", b"body=%2Fmerge", "merge"),
        ("application/x-www-form-urlencoded", b"body=ok%0A%2Frebase", "merge"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="body"\r\n\r\n/merge\r\n--x--', "merge"),
        ("application/json", b'{"body": "see docs/merge and /label ~bug"}', None),
        ("application/JSON", b' \n{"body": "\\u002fmerge"}', "merge"),
        ("text/plain", b' {"body": "\\u002fmerge"}', "unreadable"),
        ("application/x-www-form-urlencoded", b' {"body": "\\u002fmerge"}', "unreadable"),
        ("application/vnd.api+json; charset=utf-8", b'{"body": "\\u002fmerge"}', "merge"),
        ("application/json, text/plain", b"body=%2Fmerge", "unreadable"),
        ("", b"a=1&" + b" " * 200 + b"body=%2Fmerge", "unreadable"),
        ("application/x-www-form-urlencoded", b'["&body=%2Fmerge&"]', "unreadable"),
        ("application/x-www-form-urlencoded", b"a=1;body=x%0D%0A%2Fmerge", "merge"),
        # Ruby's JSON reads comments (github.com/ruby/json, "allow comments"), so what Python cannot read is refused.
        ("application/json", b'/**/{"body": "\\u002fmerge"}', "unreadable"),
        ("application/json", b'{"body": "/merge", "body": "x"}', "unreadable"),
        ("application/json", b'{"body": "/MERGE now"}', "merge"),
        ("application/json", b'{"body": "/mer\\rge"}', "merge"),
        ("application/json", b'{"body": "> /ship"}', "merge"),
        ("application/json", b'{"body": "/rebase\\n"}', "merge"),
        ("application/json", b'{"body": "/approve"}', "review"),
        ("application/json", b'{"body": "fine\\r\\n/submit_review approve"}', "review"),
        ("application/json", b'{"body": "/request_changes"}', "review"),
        ("application/json", b'{"body": "/tag v9 x"}', "code"),
        ("application/json", b'{"body": "/create_merge_request b"}', "code"),
        ("application/json", b'{"body": "/run_pipeline"}', "pipelines"),
        ("application/json", b'{"body": "/move acme/other"}', "settings"),
        ("application/json", b'{"body": "/a_new_command of next year"}', "settings"),
        ("application/json", b'{"body": "/label ~bug\\n/assign me\\n/due tomorrow\\n/shrug\\n/close"}', None),
        ("application/json", b'{"body": "/estimate 2d\\n/draft\\n/react :tada:\\n/milestone %9"}', None),
        ("application/json", b'{"body": "/usr/bin/env is there\\n  /opt is full\\n/docs."}', None),
        ("application/json", b"", None),
    ],
)  # fmt: skip
def test_commands_in_comments(content_type: str, body: bytes, capability: str | None) -> None:
    path = "/api/v4/projects/acme%2Fproject/merge_requests/1/notes"
    assert reads_body("POST", path)
    assert needed_by_body("git.example.com", path, content_type, body) == capability


# docs.gitlab.com/api: notes, discussions, commits, merge_requests, epics. The last are other spellings of the same.
@pytest.mark.parametrize(
    "path",
    [
        "/api/v4/projects/1/issues",
        "/api/v4/projects/1/issues/2/notes",
        "/api/v4/projects/1/merge_requests",
        "/api/v4/projects/1/merge_requests/2",
        "/api/v4/projects/1/merge_requests/2/draft_notes",
        "/api/v4/projects/1/merge_requests/2/draft_notes/bulk_publish",
        "/api/v4/projects/1/repository/commits/0123/comments",
        "/api/v4/projects/1/repository/commits/0123/discussions/4/notes",
        "/api/v4/projects/1/snippets/2/notes",
        "/api/v4/groups/1/epics/2/notes",
        "/api/v4/projects/1/merge%5Frequests/5/note%73",
        "/api/v4/projects/1/merge_requests%2F5%2Fnotes",
        "/%61pi/v4/projects/1/merge_requests/5/notes.json",
        "/api%2Fv4/projects/1/issues/5/notes",
        "/gitlab//api//v4//projects/1/issues/5/notes/",
        "/API/V4/Projects/1/Issues/5/Notes",
    ],
)
def test_where_commands_are_looked_for(path: str) -> None:
    assert reads_body("POST", path)
    assert not reads_body("GET", path)
    assert needed_by_body("git.example.com", path, "application/json", b'{"description":"/merge"}') == "merge"


def test_a_comment_has_a_bound() -> None:
    long = b"body=" + b"a" * (2 << 20)
    assert needed_by_body("gitlab.com", "/api/v4/projects/1/issues", "", long) == "unreadable"


def test_an_upload_is_no_comment() -> None:
    assert not reads_body("PUT", "/api/v4/projects/1/packages/generic/issues/1/notes.zip")
    assert not reads_body("POST", "/v1/messages")


LFS = "application/vnd.git-lfs+json"


@pytest.mark.parametrize(
    "path",
    [
        "/acme/project.git/info/lfs/objects/batch/",
        "//acme/project.git//info//lfs//objects//batch",
        "/acme/project.git/info/lfs/object%73/batch",
        "/acme/project.git/info%2Flfs/objects/batch",
        "/acme/project.git/INFO/LFS/objects/batch?a",
    ],
)
def test_lfs_in_other_spellings(path: str) -> None:
    assert reads_body("POST", path)
    assert needed_by_body("github.com", path, LFS, b'{"operation":"upload"}') == (
        "unreadable" if "?" in path else "code"
    )
    assert needed_by_body("github.com", path, LFS, b'{"operation":"upload","operation":"download"}') == "unreadable"
    assert needed_by_body("github.com", path, "", b'{"operation":"download"}') == "unreadable"
    assert needed_by_body("github.com", path.partition("?")[0], LFS, b'{"operation":"download"}') is None


# github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
@pytest.mark.parametrize(("operation", "capability"), [("upload", "code"), ("download", None), ("", "code")])
def test_lfs(operation: str, capability: str | None) -> None:
    path = "/acme/project.git/info/lfs/objects/batch"
    body = json.dumps({"operation": operation, "objects": []}).encode()
    assert reads_body("POST", path)
    assert needed_by_body("github.com", path, LFS, body) == capability


def table(*routes: dict[str, object]) -> RouteTable:
    return RouteTable.parse(json.dumps({"version": 1, "routes": list(routes)}).encode())


def decide(route_table: RouteTable, method: str, path: str) -> Route | Refusal:
    return route_table.decide(scheme="https", host="api.github.com", port=443, method=method, path=path)


def test_a_route_names_what_it_allows() -> None:
    plain = table({"host": "api.github.com", "paths": ["/repos/acme/project"]})
    refusal = decide(plain, "PUT", "/repos/acme/project/pulls/1/merge")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "forge_write"
    assert "forge: [merge]" in refusal.message
    assert isinstance(decide(plain, "POST", "/repos/acme/project/pulls"), Route)
    named = table({"host": "api.github.com", "paths": ["/repos/acme/project"], "forge": ["merge"]})
    assert isinstance(decide(named, "PUT", "/repos/acme/project/pulls/1/merge"), Route)
    assert isinstance(decide(named, "POST", "/repos/acme/project/git/refs"), Refusal)


def test_the_capability_is_named_before_the_method() -> None:
    plain = table({"host": "api.github.com", "paths": ["/repos/acme/project"], "methods": ["GET", "POST"]})
    for method, path, reason in (
        ("PUT", "/repos/acme/project/contents/x", "forge_write"),
        ("DELETE", "/repos/acme/project", "forge_write"),
        ("DELETE", "/repos/acme/project/issues/1/labels/bug", "method_not_declared"),
        ("DELETE", "/repos/acme/other", "path_not_declared"),
    ):
        refusal = decide(plain, method, path)
        assert isinstance(refusal, Refusal)
        assert refusal.reason == reason
    named = table({"host": "api.github.com", "paths": ["/repos/acme"], "methods": ["GET"], "forge": ["code"]})
    refusal = decide(named, "PUT", "/repos/acme/project/contents/x")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "method_not_declared"


def test_a_second_route_adds_what_it_names() -> None:
    both = table(
        {"host": "api.github.com", "paths": ["/repos/acme/project"]},
        {"host": "api.github.com", "paths": ["/repos/acme/project"], "methods": ["PUT"], "forge": ["merge"]},
    )
    assert isinstance(decide(both, "PUT", "/repos/acme/project/pulls/1/merge"), Route)
    assert isinstance(decide(both, "POST", "/repos/acme/project/merges"), Refusal)


def test_no_capability_is_lent_to_another_routes_credential() -> None:
    both = table(
        {"host": "api.github.com", "paths": ["/repos/acme"], "auth_scheme": "bearer", "slot": "EGRESS_TOKEN_0"},
        {"host": "api.github.com", "paths": ["/repos/acme"], "methods": ["PUT"], "forge": ["code"]},
    )
    carried = decide(both, "PUT", "/repos/acme/project/contents/x")
    assert isinstance(carried, Route)
    assert carried.slot is None


def test_a_capability_that_is_none_is_no_table() -> None:
    with pytest.raises(ValueError, match="forge"):
        table({"host": "api.github.com", "forge": ["everything"]})


def test_the_page_names_every_capability() -> None:
    page = (ROOT / "docs/forges.md").read_text()
    for name, means in CAPABILITIES.items():
        assert f"| `{name}` | {means} |" in page
