"""Tables of writes by a forge's API outside one repository: accounts, organisations, the forge itself. Pure.

Every write below a forge's root needs a capability unless it is listed as free. If other services have the same root,
`own` lists the words that only the forge has. Sources: the forges' own references, at each entry.
"""

from __future__ import annotations

from claude_bottle.policy.forge.rules import (
    AZURE,
    DATA_CENTER,
    GITEA,
    GITHUB,
    GITLAB,
    GRAPE_FORMAT,
    JERSEY_FORMAT,
    RUNNER_TOKENS,
    WRITE,
    Forge,
    kinds,
    own,
    rests,
)

# https://docs.github.com/en/rest (version 2022-11-28, with enterprise-server@3.18 below /api/v3).
_GITHUB_FREE = rests(
    r"POST markdown(?:/raw)?",
    rf"{WRITE} (?:notifications|user/(?:starred|following|subscriptions))(?:/.*)?",
    rf"{WRITE} gists/[^/]+/star",
    rf"{WRITE} (?:orgs|users?)/[^/]+/projectsv2/[0-9]+/(?:items|drafts)(?:/.*)?",
    r"POST graphql",  # judged by its body
)
_OWNER = r"(?:user|(?:orgs|organizations|enterprises)/[^/]+)"
_KEYS = "keys|gpg_keys|ssh_signing_keys|emails?|applications|tokens|personal_access_tokens|impersonation_tokens"
_GITHUB_KINDS = kinds(
    keys=rf"user/(?:{_KEYS})|users/[^/]+/(?:{_KEYS})|admin/(?:users/[^/]+/)?(?:keys|tokens|authorizations)"
    r"|authorizations|credentials|applications/[^/]+/(?:token|grant)|installation/token"
    rf"|app/installations/[^/]+/access_tokens|orgs/[^/]+/personal-access-token.*|{_OWNER}/actions/{RUNNER_TOKENS}",
    hooks=r"(?:user|orgs/[^/]+|admin)/hooks|admin/pre-receive-.*|app/hook|app-manifests",
    secrets=rf"{_OWNER}/(?:actions|dependabot|codespaces|agents)/(?:secrets|variables|organization-.*)"
    r"|orgs/[^/]+/private-registries",
    pipelines=rf"{_OWNER}/actions",
    releases=r"(?:user|(?:orgs|users)/[^/]+)/(?:packages|docker)|packages",
    members=r"(?:orgs|organizations|enterprises)/[^/]+/(?:members|memberships|teams?|invitations|outside_collaborators"
    r"|organization-roles|security-managers)|teams/[^/]+|user/(?:memberships|repository_invitations)|scim",
)
# Words that no ordinary service uses, on any host.
_GITHUB_WORDS = (
    rf"user/(?:{_KEYS}|hooks|repos|installations|migrations|memberships|repository_invitations|packages|blocks|docker"
    r"|codespaces|interaction-limits|social_accounts|(?:actions|dependabot)/(?:secrets|variables))",
    r"orgs/[^/]+", r"enterprises/[^/]+", "gists", "authorizations",
    r"teams/[0-9]+/(?:members|memberships|repos|projects|discussions|invitations|team-sync)",
    r"app/installations", r"app-manifests/[^/]+/conversions", r"applications/[^/]+/(?:token|grant)",
)  # fmt: skip
_ENTERPRISE_WORDS = (
    *_GITHUB_WORDS, "user", "admin", "enterprise", "organizations", "teams", "app", "applications", "installation",
    "scim", "setup", "staff", "credentials", "repos", "repositories",
    r"users/[^/]+/(?:site_admin|suspended|packages|docker|authorizations|projectsv2|keys)",
)  # fmt: skip
# Mattermost's words below /api/v4 (developers.mattermost.com/api-documentation). GitLab has none of them.
_MATTERMOST = (
    "posts|channels|reactions|files|uploads|emoji|teams|commands|bots|drafts|status|system|plugins|actions|threads|websocket"
    "|users/(?:ids|usernames|search|autocomplete|status|login|logout|me)"
)

ACCOUNTS = (
    Forge(GITHUB, ((),), _GITHUB_FREE, _GITHUB_KINDS, own=own(*_GITHUB_WORDS), at_start=True),
    Forge(GITHUB, ((),), _GITHUB_FREE, _GITHUB_KINDS, at_start=True, host_only=True),
    # docs.github.com/en/enterprise-server/rest/enterprise-admin/manage-ghes
    Forge(
        GITHUB,
        (("manage", "v1"),),
        (),
        kinds(keys=r"access/ssh"),
        own=own("access/ssh", r"config/(?:apply|init|license|settings)", "maintenance"),
        at_start=True,
    ),
    Forge(GITHUB, (("api", "v3"),), _GITHUB_FREE, _GITHUB_KINDS, own=own(*_ENTERPRISE_WORDS)),
    # https://docs.gitea.com/api (1.25), https://codeberg.org/api/swagger (Forgejo 13), github.com/gogs/docs-api. Many
    # services have /api/v1/users, so only paths with a forge's own words count.
    Forge(
        GITEA,
        (("api", "v1"),),
        (),
        kinds(
            keys=rf"user/(?:{_KEYS}|gpg_key_verify)|users/[^/]+/(?:tokens|keys)|admin/users/[^/]+/keys"
            rf"|(?:user|orgs/[^/]+|admin)/(?:actions/)?{RUNNER_TOKENS}",
            hooks=r"(?:user|orgs/[^/]+|admin)/hooks",
            secrets=r"(?:user|orgs/[^/]+|admin)/actions/(?:secrets|variables)",
            pipelines=r"(?:user|orgs/[^/]+|admin)/(?:actions|runners)",
            members=r"orgs/[^/]+/(?:members|memberships|public_members|teams|invitations|outside_collaborators)|teams/[^/]+",
            releases=r"packages",
        ),
        own=own(
            rf"user/(?:{_KEYS}|gpg_key_verify|hooks|actions|repos|blocks?)", r"users/[^/]+/(?:tokens|keys|gpg_keys)",
            r"orgs(?:/[^/]+)?", r"org/[^/]+/repos", "admin", "repos", "repositories", r"teams/[^/]+",
            r"packages/[^/]+/[^/]+/[^/]+",
        ),
    ),
    # https://docs.gitlab.com/api/api_resources/ (18.6). Preferences decide what job tokens reveal about the user
    # (docs.gitlab.com/api/users, pass_user_identities_to_ci_jwt).
    Forge(
        GITLAB,
        (("api", "v4"),),
        rests(r"POST markdown", rf"{WRITE} (?:todos|user/status)(?:/.*)?"),
        kinds(
            keys=rf"user/(?:{_KEYS})|users/[^/]+/(?:{_KEYS})|personal_access_tokens|deploy_keys|deploy_tokens|keys"
            r"|applications|token|user/runners|runners/(?:[0-9]+/)?reset_[a-z]+_token",
            secrets=r"admin/ci/variables",
            pipelines=r"runners|jobs?|admin/clusters",
            hooks=r"hooks|integrations",
            code=r"snippets|suggestions",  # snippets are repositories; applying a suggestion is a commit
            releases=r"packages|virtual_registries|container_registry_event",
            members=r"(?:projects|groups)/[^/]+/members",
        ),
        own=own(rf"(?!(?:{_MATTERMOST})(?:/|\Z))[^/]+"),
        suffix=GRAPE_FORMAT,
    ),
    # https://developer.atlassian.com/cloud/bitbucket/rest/; Box has /2.0/users and /2.0/webhooks too.
    Forge(
        "Bitbucket",
        (("2.0",),),
        (),
        kinds(
            keys=r"users/[^/]+/(?:ssh-keys|gpg-keys)|workspaces/[^/]+/projects/[^/]+/deploy-keys"
            r"|workspaces/[^/]+/(?:pipelines[-_]config/)?runners",
            hooks=r"(?:workspaces|teams|users)/[^/]+/hooks|addon",
            secrets=r"(?:workspaces|teams|users)/[^/]+/pipelines[-_]config/(?:variables|ssh)",
            pipelines=r"(?:workspaces|teams|users)/[^/]+/pipelines[-_]config",
            members=r"workspaces/[^/]+/(?:members|permissions|projects/[^/]+/(?:permissions-config|default-reviewers))",
            code=r"snippets",
        ),
        own=own(
            "repositories", "workspaces", "snippets", "addon", r"teams/[^/]+/(?:hooks|pipelines_config|projects)",
            r"users/[^/]+/(?:ssh-keys|gpg-keys|hooks|pipelines_config|properties)", "pullrequests",
        ),
    ),
    # https://developer.atlassian.com/server/bitbucket/rest/; Jira and Confluence have rest/api/2 and rest/api/content.
    Forge(
        DATA_CENTER,
        (("rest",),),
        rests(rf"{WRITE} comment-likes/.*", r"POST api/[^/]+/markup/preview", r"POST api/[^/]+/inbox/.*"),
        kinds(
            keys=r"(?:access-tokens|ssh|gpg|keys)/[^/]+",
            code=r"(?:branch-permissions|branch-utils|git|sync|git-lfs|mirroring)/[^/]+",
            checks=r"(?:build-status|insights|required-builds)/[^/]+",
            members=r"default-reviewers/[^/]+|api/[^/]+/admin/(?:users|groups|permissions|user-directories)"
            r"|api/[^/]+/projects/[^/]+/permissions",
            hooks=r"api/[^/]+/(?:projects/[^/]+/(?:webhooks|settings/hooks)|hooks)",
        ),
        own=own(
            r"api/(?:1\.0|latest)/(?:projects|repos|users|admin|hooks|migration|mirroring|signing|secret-scanning)",
            r"(?:access-tokens|ssh|gpg|keys|branch-permissions|branch-utils|git|sync|git-lfs|mirroring|build-status"
            r"|insights|required-builds|default-reviewers|policies)/(?:[0-9.]+|latest|admin|storage)",
            r"[^/]+/[^/]+/projects/[^/]+/repos/[^/]+",
        ),
        suffix=JERSEY_FORMAT,
    ),
    # https://learn.microsoft.com/en-us/rest/api/azure/devops/ (7.1). Work items are text; a search is a POST. With
    # wit/sendmail the text of work items goes to any address.
    Forge(
        AZURE,
        (("_apis",),),
        rests(rf"{WRITE} wit/(?:workitems|attachments|wiql|workitemsbatch)(?:/.*)?", r"POST search/[a-z]+"),
        kinds(
            secrets=r"distributedtask/(?:variablegroups|securefiles)|serviceendpoint",
            pipelines=r"pipelines|build|release|distributedtask",
            hooks=r"hooks",
            code=r"wiki|tfvc|git/(?:refs|pushes)",
            keys=r"tokens?|tokenadmin|tokenadministration|delegatedauthorization",
            members=r"graph|groupentitlements|userentitlements|memberentitlements|securityroles|accesscontrol.*"
            r"|permissions|identities|serviceprincipalentitlements",
            releases=r"packaging",
        ),
    ),
)  # fmt: skip
