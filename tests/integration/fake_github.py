"""A fake api.github.com with as much of GitHub's API as `gh` asks for. Runs in a container of the tests.

It takes every write, so that what should be refused on the way shows where it is not. The shape of its answers is from
docs.github.com/en/graphql/reference and docs.github.com/en/rest (2022-11-28).
"""

from __future__ import annotations

import json
from typing import Any

from fake_internet import Handler, main
from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, OperationDefinitionNode, Undefined, parse
from graphql.utilities import value_from_ast_untyped

WEB = "https://github.com/acme/project"
LISTS = ["comments", "assignees", "labels", "projectCards", "projectItems", "reviewRequests", "reviews", "commits"]


def connection(*nodes: Any) -> dict[str, Any]:
    """docs.github.com/en/graphql/guides/using-pagination-in-the-graphql-api."""
    pages = {"hasNextPage": False, "endCursor": None}
    return {"nodes": list(nodes), "totalCount": len(nodes), "pageInfo": pages}


def item(number: int, title: str, body: str, head: str = "") -> dict[str, Any]:
    """An issue; with a head it is a pull request to main."""
    branches = {"headRefName": head, "baseRefName": "main", "isDraft": False, "isCrossRepository": False}
    states = {"mergeable": "MERGEABLE", "mergeStateStatus": "CLEAN", "headRefOid": "0" * 40}
    return {
        "__typename": "PullRequest" if head else "Issue",
        "id": f"{'PR' if head else 'I'}_kwDOBGSOGs5kCfJ{number}",  # of the form that GitHub's have
        "number": number,
        "title": title,
        "body": body,
        "url": f"{WEB}/{'pull' if head else 'issues'}/{number}",
        "state": "OPEN",
        "author": {"login": "octocat"},
        "createdAt": "2026-01-02T03:04:05Z",
        "updatedAt": "2026-01-02T03:04:05Z",
        **{name: connection() for name in LISTS},
        "reactionGroups": [],
        **({**branches, **states, "headRepositoryOwner": {"login": "acme"}} if head else {}),
    }


ITEMS = [item(1, "The first issue", "MARK-issue"), item(2, "The first pull request", "MARK-pull", "agent/first")]


def of_kind(kind: str, head: str | None = None) -> list[dict[str, Any]]:
    return [i for i in ITEMS if i["__typename"] == kind and head in (None, i.get("headRefName"))]


def numbered(number: int, **_: Any) -> dict[str, Any]:
    return next(i for i in ITEMS if i["number"] == number)


def created(**given: Any) -> dict[str, Any]:
    """A new issue or pull request, in the answer of the mutation that made it."""
    ITEMS.append(item(len(ITEMS) + 1, given["title"], given["body"], given.get("headRefName", "")))
    return {"issue": ITEMS[-1], "pullRequest": ITEMS[-1]}


def commented(**given: Any) -> dict[str, Any]:
    subject = next(i for i in ITEMS if i["id"] == given["subjectId"])
    subject["comments"] = connection(
        *subject["comments"]["nodes"], {"body": given["body"], "author": subject["author"]}
    )
    return {"commentEdge": {"node": {"url": f"{subject['url']}#issuecomment-1"}}}


REPOSITORY = {
    "id": "R_kgDOBGSOGg",
    "name": "project",
    "owner": {"id": "O_kgDOAF3p4g", "login": "acme"},
    "nameWithOwner": "acme/project",
    "url": WEB,
    "hasIssuesEnabled": True,
    "viewerPermission": "WRITE",
    "defaultBranchRef": {"name": "main"},
    "squashMergeAllowed": True,
    "labels": connection({"id": "LA_kwDOBGSOGs7AbCdE", "name": "bug"}),
    "issues": lambda **_: connection(*of_kind("Issue")),
    "pullRequests": lambda headRefName=None, **_: connection(*of_kind("PullRequest", headRefName)),
    "issue": numbered,
    "pullRequest": numbered,
    "issueOrPullRequest": numbered,
}
# What `gh` must have of any other thing: a secret's public key, a release's address.
THING = {
    "id": 7,
    "name": "project",
    "key_id": "1",
    "key": "A" * 43 + "=",
    "url": "https://api.github.com/repos/acme/project/releases/7",
}
ROOT = {
    "repository": lambda **_: REPOSITORY,
    "viewer": {"login": "octocat"},
    "node": lambda id: next(i for i in ITEMS if i["id"] == id),
    "createIssue": lambda input: created(**input),
    "createPullRequest": lambda input: created(**input),
    "addComment": lambda input: commented(**input),
}


def answer(query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """What a document asks of ROOT, and null for what is not there: the decoder of `gh` takes no field more."""
    document = parse(query)
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}

    def chosen(value: Any, node: Any) -> Any:
        if isinstance(value, list):
            return [chosen(one, node) for one in value]
        if not isinstance(value, dict) or node.selection_set is None:
            return value
        out: dict[str, Any] = {}
        for part in node.selection_set.selections:
            if isinstance(part, FieldNode):
                field = value.get(part.name.value)
                if callable(field):
                    given = {a.name.value: value_from_ast_untyped(a.value, variables) for a in part.arguments}
                    field = field(**{name: one for name, one in given.items() if one is not Undefined})
                out[(part.alias or part.name).value] = chosen(field, part)
            else:
                out.update(chosen(value, fragments[part.name.value] if isinstance(part, FragmentSpreadNode) else part))
        return out

    (operation,) = (d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    return dict(chosen(ROOT, operation))


class GitHub(Handler):
    def answer(self, body: bytes) -> None:
        path, request = self.path.partition("?")[0], json.loads(body) if body[:1] == b"{" else {}
        if path == "/graphql":
            data = answer(request["query"], request.get("variables") or {})
            return self._send(200, json.dumps({"data": data}).encode())
        kind = {"issues": "Issue", "pulls": "PullRequest"}.get(path.rpartition("/")[2])
        content = of_kind(kind) if kind and self.command == "GET" else THING
        return self._send(200, json.dumps(content).encode())


if __name__ == "__main__":
    main(GitHub)
