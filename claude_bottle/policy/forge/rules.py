"""Tables of writes by each forge's API within one repository, and the capabilities they need. Pure.

Sources: the forges' own references, at each entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ID = "*"
Patterns = tuple[re.Pattern[str], ...]
Kinds = tuple[tuple[str, re.Pattern[str]], ...]


@dataclass(frozen=True)
class Forge:
    """One part of a forge's API.

    roots: the segments at its start, anywhere in a path; ID matches any segment. free: METHOD and the rest of a path
    that may be written. kinds: capability to the rests that need it; rests in neither need `settings`. own: the rests
    that belong to this forge, if others use the same root. at_start: the roots are at the start of a path. host_only:
    for GitHub's own hosts. suffix: what a server strips from the end.
    """

    name: str
    roots: tuple[tuple[str, ...], ...]
    free: Patterns
    kinds: Kinds
    own: re.Pattern[str] | None = None
    at_start: bool = False
    host_only: bool = False
    suffix: re.Pattern[str] | None = None

    def judge(self, method: str, rest: str) -> str | None:
        """The capability that a write to this rest needs; None if it is free."""
        asked = f"{method} {self.suffix.sub('', rest) if self.suffix else rest}"
        if any(pattern.match(asked) for pattern in self.free):
            return None
        return next((name for name, pattern in self.kinds if pattern.match(asked)), "settings")


def rests(*patterns: str) -> Patterns:
    """Patterns of METHOD and the whole rest of a path."""
    return tuple(re.compile(rf"(?:{pattern})\Z", re.IGNORECASE) for pattern in patterns)


def kinds(**patterns: str) -> Kinds:
    """Capability to a pattern of the start of a rest, for any method. The first match counts."""
    return tuple((name, re.compile(rf"[A-Z-]+ (?:{p})(?:/.*)?\Z", re.IGNORECASE)) for name, p in patterns.items())


def own(*patterns: str) -> re.Pattern[str]:
    """One pattern of the starts of rests."""
    return re.compile(rf"(?:{'|'.join(patterns)})(?:/.*)?\Z", re.IGNORECASE)


WRITE = "(?:POST|PUT|PATCH|DELETE)"
RUNNER_TOKENS = r"runners(?:(?=\Z)|/(?:registration-token|remove-token|generate-jitconfig))"  # the first is Forgejo's
# Grape serves `…/merge.json` as `…/merge`, and any other extension where an API has several formats
# (github.com/ruby-grape/grape, "API Formats"; lib/grape/path.rb).
GRAPE_FORMAT = re.compile(r"\.[^/.]+\Z")
# Atlassian's servers strip these from a path (com.atlassian.plugins.rest.common.filter, ExtensionJerseyFilter).
JERSEY_FORMAT = re.compile(r"\.(?:txt|html?|json|xml|atom)\Z")
# https://docs.github.com/en/rest (version 2022-11-28); https://docs.gitea.com/api (1.25) and
# https://codeberg.org/api/swagger (Forgejo 13), which have GitHub's shape below /api/v1.
# An issue that is put below or before another one may be in any repository of the owner, and is then shown there
# (docs.github.com/en/rest/issues/sub-issues, …/issue-dependencies; Gitea's routers/api/v1/repo/issue_dependency.go).
# Words below an issue that refer to nothing else: GitHub's, and Gitea's (routers/api/v1/api.go).
_OF_ISSUES = (
    "comments|labels|assignees|lock|reactions|issue-field-values|assets|deadline|pin|stopwatch|subscriptions|times"
)
_GITHUB_FREE = rests(
    rf"{WRITE} issues(?:/[0-9]+(?:/(?:{_OF_ISSUES})(?:/.*)?)?)?",
    rf"{WRITE} issues/(?:[0-9]+/)?comments/[0-9]+(?:/(?:reactions|pin|assets)(?:/.*)?)?",
    r"POST issues/[0-9]+/suggestions/[^/]+/dismiss",
    rf"{WRITE} (?:labels|milestones|assignees|notifications|subscription)(?:/.*)?",
    r"POST pulls",
    r"PATCH pulls/[0-9]+",
    rf"{WRITE} pulls/(?:[0-9]+/)?(?:comments|requested_reviewers|reactions)(?:/.*)?",
    rf"{WRITE} (?:commits/[^/]+/comments|comments)(?:/.*)?",
)
# A runner receives every secret of its jobs, so what registers one is a key. A fork is a new repository. A variant
# analysis queries other repositories; an autofix is a commit (docs.github.com/en/rest/code-scanning). An approved
# suggestion may assign the issue to an agent (docs.github.com/en/rest/issues).
_GITHUB_KINDS = kinds(
    keys=rf"keys|actions/{RUNNER_TOKENS}",
    secrets=r"(?:actions|dependabot|codespaces|agents|environments/.+)/(?:secrets|variables|organization-.*)",
    merge=r"merges|merge-upstream|pulls/[0-9]+/merge|pulls/[0-9]+/(?:update|update-branch)|pulls/[0-9]+/auto-merge",
    review=r"pulls/[0-9]+/reviews",
    code=r"contents|git|branches/[^/]+/rename|branches|tags|refs|diffpatch|wiki|file-contents"
    r"|code-scanning/alerts/[0-9]+/autofix|issues/[^/]+/suggestions/[^/]+/approve",
    releases=r"releases|packages",
    pipelines=r"actions/(?:workflows|runs|jobs|runners|artifacts|caches|tasks|permissions|cache)|dispatches|deployments"
    r"|environments|pages|workflows",
    checks=r"statuses|check-runs|check-suites|code-scanning/(?:sarifs|alerts|analyses)|commits/[^/]+/statuses",
    hooks=r"hooks|autolinks|interaction-limits|push_mirrors|mirror-sync|push_mirrors-sync|git/hooks",
    members=r"collaborators|invitations|teams",
)
# The same below an issue, an epic or a merge request of GitLab's (lib/api, ee/lib/api).
_OF_GITLABS = (
    "notes|discussions|award_emoji|todos?|subscribe|unsubscribe|time_estimate|reset_time_estimate|add_spent_time"
    "|reset_spent_time|resource_[a-z_]+"
)
_GITHUB_ROOTS = (("repos", ID, ID), ("repositories", ID))
GITHUB, GITLAB, GITEA = "GitHub", "GitLab", "Gitea"
AZURE, DATA_CENTER = "Azure DevOps", "Bitbucket Data Center"
REPOSITORIES = (
    Forge(GITEA, (("api", "v1", "repos", ID, ID),), _GITHUB_FREE, _GITHUB_KINDS),
    Forge(GITHUB, _GITHUB_ROOTS, _GITHUB_FREE, _GITHUB_KINDS, at_start=True),
    Forge(GITHUB, tuple(("api", "v3", *root) for root in _GITHUB_ROOTS), _GITHUB_FREE, _GITHUB_KINDS),
    # upload_url of a release, on a self-hosted server (docs.github.com/en/enterprise-server/rest/releases/assets)
    Forge(GITHUB, (("api", "uploads", "repos", ID, ID),), (), kinds(releases=r"releases")),
    # docs.gitea.com/usage/packages; Forgejo has the same
    Forge(GITEA, (("api", "packages", ID),), (), kinds(releases=r".*")),
    # https://docs.gitlab.com/api/api_resources/ (18.6)
    Forge(
        GITLAB,
        (("api", "v4", "projects", ID), ("api", "v4", "groups", ID)),
        # links, move and clone name another project; promote names the group, also without an id before it
        # (lib/api/labels.rb): none of them is free. Nor is ci/lint, which fetches files that the content includes, from
        # any address (docs.gitlab.com/ci/yaml/includes).
        rests(
            rf"{WRITE} (?!labels/(?:[^/]+/)?promote\Z)(?:labels|boards|snippets/[0-9]+/notes)(?:/.*)?",
            rf"{WRITE} milestones(?:/[0-9]+)?",
            rf"{WRITE} (?:issues|epics)(?:/[0-9]+(?:/(?:reorder|metric_images|{_OF_GITLABS})(?:/.*)?)?)?",
            r"POST merge_requests",
            r"PUT merge_requests/[0-9]+",
            # bulk_publish submits a review, which can approve.
            rf"{WRITE} merge_requests/[0-9]+/(?!draft_notes/bulk_publish)(?:draft_notes|{_OF_GITLABS})(?:/.*)?",
            rf"{WRITE} repository/commits/[^/]+/(?:comments|discussions)(?:/.*)?",
        ),
        kinds(
            # The tokens of triggers, of clusters, and of runners, which receive the secrets of jobs.
            keys=r"deploy_keys|deploy_tokens|access_tokens|keys|triggers|cluster_agents/[^/]+/tokens"
            r"|runners/reset_registration_token|service_accounts/[^/]+/personal_access_tokens|ssh_certificates"
            r"|error_tracking/client_keys",
            merge=r"merge_requests/[0-9]+/(?:merge|merge_ref|rebase|cancel_merge_when_pipeline_succeeds"
            r"|add_to_merge_train)|merge_trains",
            review=r"merge_requests/[0-9]+/(?:approve|unapprove|approvals|reset_approvals|approval_.*"
            r"|draft_notes/bulk_publish)|approval.*",
            code=r"repository|protected_branches|protected_tags|wikis|snippets|mirror|lfs_objects",
            releases=r"releases|packages|registry",
            pipelines=r"(?:merge_requests/[0-9]+/)?pipelines?|jobs|trigger|ref/[^/]+/trigger|pipeline_schedules|environments"
            r"|deployments|runners|cluster.*|pages|ci",
            checks=r"statuses",
            secrets=r"variables|secure_files|ci_cd_variables",
            # A mirror receives every commit, wherever it is, and an external check every merge request.
            hooks=r"hooks|integrations|services|remote_mirrors|external_status_checks",
            members=r"members|invitations|access_requests|share|groups|import_project_members|billable_members"
            r"|(?:saml|ldap)_group_links",
        ),
        suffix=GRAPE_FORMAT,
    ),
    # https://developer.atlassian.com/cloud/bitbucket/rest/
    Forge(
        "Bitbucket",
        (("2.0", "repositories", ID, ID),),
        rests(
            rf"{WRITE} issues(?:/[0-9]+(?:/(?:comments|attachments|vote|watch|changes)(?:/.*)?)?)?",
            r"POST pullrequests", r"PUT pullrequests/[0-9]+",
            r"POST pullrequests/[0-9]+/decline",
            rf"{WRITE} pullrequests/[0-9]+/(?:comments|tasks)(?:/.*)?", rf"{WRITE} commit/[^/]+/comments(?:/.*)?",
        ),
        kinds(
            keys=r"deploy-keys|pipelines[-_]config/runners",
            merge=r"pullrequests/[0-9]+/merge", review=r"pullrequests/[0-9]+/(?:approve|request-changes)",
            secrets=r"pipelines_config/(?:variables|ssh)|deployments_config/.*/variables",
            code=r"src|refs|commits|branch-restrictions|branching-model", releases=r"downloads",
            pipelines=r"pipelines|pipelines_config|environments|deployments.*",
            checks=r"commit/[^/]+/(?:statuses|reports)",
            hooks=r"hooks", members=r"permissions-config|default-reviewers",
        ),
    ),
    # https://developer.atlassian.com/server/bitbucket/rest/
    Forge(
        DATA_CENTER,
        (("rest", "api", ID, "projects", ID, "repos", ID),),
        rests(
            r"POST pull-requests", r"PUT pull-requests/[0-9]+", r"POST pull-requests/[0-9]+/(?:decline|reopen)",
            rf"{WRITE} pull-requests/[0-9]+/(?:blocker-)?comments(?:/[0-9]+)?",
            rf"{WRITE} commits/[^/]+/comments(?:/.*)?",
        ),
        kinds(merge=r"pull-requests/[0-9]+/(?:merge|auto-merge)",
              review=r"pull-requests/[0-9]+/(?:approve|participants|review)",
              checks=r"commits/[^/]+/(?:builds|deployments|reports)",
              code=r"browse|branches|tags|commits|pull-requests/[0-9]+/comments/[0-9]+/apply-suggestion",
              hooks=r"webhooks|settings/hooks", keys=r"ssh",
              members=r"permissions"),
        suffix=JERSEY_FORMAT,
    ),
    # https://learn.microsoft.com/en-us/rest/api/azure/devops/git/ (7.1). A PATCH of a pull request can complete it.
    Forge(
        AZURE,
        (("_apis", "git", "repositories", ID),),
        rests(
            r"POST pullrequests", rf"{WRITE} pullrequests/[0-9]+/(?:threads|labels|workitems)(?:/.*)?",
            r"POST (?:pullrequestquery|commitsbatch|itemsbatch)",  # reads, by their names
        ),
        kinds(merge=r"pullrequests/[0-9]+(?=\Z)|merges", review=r"pullrequests/[0-9]+/reviewers",
              checks=r"pullrequests/[0-9]+/(?:iterations/[0-9]+/)?statuses|commits/[^/]+/statuses",
              code=r"pushes|refs|commits|cherrypicks|reverts|importrequests|annotatedtags|forkSyncRequests"),
    ),
    # https://github.com/git-lfs/git-lfs/tree/main/docs/api. The body of a batch says whether it is an upload. GitLab
    # receives the objects themselves here (gitlab.com/gitlab-org/gitlab, config/routes/git_http.rb).
    Forge("Git LFS", (("info", "lfs"),), rests(r"POST objects/batch"), kinds(code=r".*")),
    Forge("GitLab's LFS", (("gitlab-lfs",),), (), kinds(code=r".*")),
)  # fmt: skip
