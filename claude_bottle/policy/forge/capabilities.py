"""The capabilities that a call to a forge may need, and that a route's `forge` can list. Pure."""

from __future__ import annotations

# Capability to what it allows, for messages and documentation.
CAPABILITIES = {
    "code": "write files, commits, branches, tags or LFS objects past git-gate",
    "merge": "merge pull requests or branches",
    "review": "approve or dismiss reviews",
    "releases": "publish releases and packages",
    "pipelines": "start, stop or configure pipelines, workflows and deployments",
    "checks": "report statuses and checks, which can open a protected branch",
    "keys": "add or remove keys and tokens",
    "hooks": "add or change webhooks and integrations",
    "secrets": "add or change secrets and variables",
    "members": "invite or change members and their rights",
    "settings": "create, change, move or delete repositories, or anything else that is not listed",
}
NOTHING: frozenset[str] = frozenset()
# Needed by a request that can be read in more than one way. No route can list it.
UNREADABLE = frozenset(["unreadable"])
