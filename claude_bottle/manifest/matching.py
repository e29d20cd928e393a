"""The section of docs/manifest.md about how a request finds its route. The route table judges its examples. Pure."""

from __future__ import annotations

import yaml

from claude_bottle.manifest.route_check import Asked, decide, table
from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.refusal import Refusal

ROUTES = """\
- {host: api.github.com, path: [/repos/acme/project], methods: [GET], token_ref: GITHUB_TOKEN}
- {host: api.github.com, path: [/repos/acme/project/issues], methods: [GET, POST], token_ref: GITHUB_TOKEN}
- {host: api.github.com, path: [/repos/acme/project/issues/1], methods: [GET]}
- {host: "*.example.com", methods: [GET]}
- {host: files.example.com, path: [/public], methods: [GET, PUT]}
"""
REQUESTS = (
    ("api.github.com", "GET", "/repos/acme/project"),
    ("api.github.com", "GET", "/repos/acme/project/labels?page=2"),
    ("api.github.com", "GET", "/repos/acme/project-two"),
    ("api.github.com", "POST", "/repos/acme/project/labels"),
    ("api.github.com", "POST", "/repos/acme/project/issues/2/comments"),
    ("api.github.com", "GET", "/repos/acme/project/issues/1"),
    ("api.github.com", "POST", "/repos/acme/project/issues/1/comments"),
    ("api.github.com", "GET", "/repos/acme/project/Issues"),
    ("api.github.com", "POST", "/repos/acme/project/Issues"),
    ("api.github.com", "GET", "/repos/acme/project/a%2Fb"),
    ("www.example.com", "GET", "/any/path"),
    ("example.com", "GET", "/"),
    ("files.example.com", "PUT", "/public/x"),
    ("files.example.com", "GET", "/other"),
)
_TEXT = """
## How a request finds its route
1. **Host.** An exact host takes precedence over every wildcard, and a longer wildcard over a shorter one. Only the
   routes of that one pattern count: an exact host gets nothing of what a wildcard allows.
2. **Path.** A prefix ends where a segment ends: `/a` matches `/a` and `/a/b`, not `/ab`. Case counts. Of the routes of
   the host, only those with the longest prefix of the path count: a longer prefix may allow less than a shorter one.
   A route without `path` matches every path, and is shorter than any prefix. The query is ignored.
3. **Method.** One of these routes must name it; the first that does carries the request, with its credential. `GET`
   does not include `HEAD`.
4. **Two readings.** Some servers ignore case, merge slashes, strip `;x` and trailing dots, decode `%2F` or resolve
   `..`. A path that they could read differently passes only where every reading of it is allowed, with the same
   credential.
5. **Time.** A route that has ended (`until`) keeps its place in 1 and 2 and carries nothing: no wildcard and no shorter
   prefix allows its requests instead. Another route with exactly that host and path still counts.
6. **Capabilities** (`forge`) are those of all routes with that longest prefix, that method and the same credential.

With these routes the table decides:

```yaml
"""


def matching_page() -> str:
    """The section as Markdown."""
    rows = [f"| `{method} {host}{path}` | {_verdict(host, method, path)} |" for host, method, path in REQUESTS]
    return "\n".join([f"{_TEXT}{ROUTES}```\n", "| request | verdict |", "|---|---|", *rows, "", _APPROVAL])


def _verdict(host: str, method: str, path: str) -> str:
    routes = table([EgressRoute.model_validate(row) for row in yaml.safe_load(ROUTES)])
    verdict = decide(routes, Asked("https", host, method, path))
    if isinstance(verdict, Refusal):
        return f"refused, `{verdict.reason}`"
    return f"by `{' '.join(verdict.paths) or verdict.host}`, " + (
        f"with {verdict.slot}" if verdict.slot else "without a credential"
    )


_APPROVAL = """\
## What an approval adds
The smallest edit that allows the request and ends nothing that was allowed before. Both tables are evaluated before it
is made. It consists of these, in this order:

- the route already exists and ends: it ends later, never sooner;
- the same path: the method is added to its route;
- a deeper path: a new route, with a copy of the rights of the routes around it at that path, and with their
  credential, which the proposal names (`with your GITHUB_TOKEN`, or `without a credential`);
- an exact host below a wildcard: copies of the wildcard's routes for that host, and the new right among them.

A path that no route surrounds gets no credential. Capabilities are given only to the methods and paths that they were
requested for. A copy ends when its original ends. Your own edit of a proposal is taken as you write it: without
`token_ref` it has no credential, and the access that it removes is noted before you approve.
"""
