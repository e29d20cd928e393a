"""What a request about a pull request or a work item says besides words and branches: it needs what it does."""

from __future__ import annotations

import json

import pytest
from forge_needs import needed, needed_by_body

from claude_bottle.policy.forge.body import reads_body

JSON = "application/json"
AZURE = "/acme/project/_apis/git/repositories/p/pullrequests"
SERVER = "/rest/api/1.0/projects/P/repos/r/pull-requests"
GITLAB = "/api/v4/projects/acme%2Fproject/merge_requests"
OPENED = {"sourceRefName": "refs/heads/a", "targetRefName": "refs/heads/main", "title": "x"}


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        # learn.microsoft.com/rest/api/azure/devops/git/pull-requests/create
        ({}, None),
        ({"description": "vote", "isDraft": True, "workItemRefs": [{"id": "1"}], "labels": [{"name": "a"}]}, None),
        ({"reviewers": [{"id": "u", "isRequired": True, "vote": 0}]}, None),
        ({"autoCompleteSetBy": {"id": "me"}}, "merge"),
        ({"AUTOCOMPLETESETBY": {"id": "me"}}, "merge"),
        ({"completionOptions": {"bypassPolicy": True}}, "merge"),
        ({"status": "completed"}, "merge"),
        ({"reviewers": [{"id": "me", "Vote": 10}]}, "review"),
    ],
)
def test_azures_is_neither_merged_nor_approved(more: dict[str, object], needs: str | None) -> None:
    path = f"{AZURE}?api-version=7.1"
    assert needed("POST", path) is None
    assert reads_body("POST", path)
    assert needed_by_body("dev.azure.com", path, JSON, json.dumps(OPENED | more).encode()) == needs


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json; charset=utf-7"])
def test_azures_is_json(kind: str) -> None:
    assert needed_by_body("dev.azure.com", AZURE, kind, json.dumps(OPENED).encode()) == "unreadable"
    assert needed_by_body("dev.azure.com", AZURE, JSON, b'{"title": "x", /**/ "vote": 1}') == "unreadable"


@pytest.mark.parametrize(
    ("to", "needs"),
    [
        # developer.atlassian.com/server/bitbucket/rest, and Renovate, which names no repository.
        ({"id": "refs/heads/main"}, None),
        ({"id": "refs/heads/main", "repository": {"slug": "r", "name": None, "project": {"key": "P"}}}, None),
        ({"id": "refs/heads/main", "repository": {"slug": "R", "project": {"key": "p"}}}, None),
        ({"id": "refs/heads/main", "repository": {"slug": "other", "project": {"key": "P"}}}, "settings"),
        ({"id": "refs/heads/main", "repository": {"slug": "r", "project": {"key": "OTHER"}}}, "settings"),
        ({"id": "refs/heads/main", "repository": {"slug": "r", "id": 7, "project": {"key": "P"}}}, "settings"),
        ({"id": "refs/heads/main", "repository": "other"}, "settings"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", SERVER), ("PUT", f"{SERVER}/1"), ("POST", f"{SERVER}.json")])
def test_data_centers_is_of_its_own_repository(method: str, path: str, to: object, needs: str | None) -> None:
    body = {"title": "x", "fromRef": {"id": "refs/heads/a", "repository": {"slug": "fork"}}, "toRef": to}
    assert needed(method, path) is None
    assert reads_body(method, path)
    assert needed_by_body("git.example.com", path, JSON, json.dumps(body).encode()) == needs


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        ({"squash": True, "reviewer_ids": [1], "merge_after": "2027-01-01", "remove_source_branch": True}, None),
        ({"sudo": "root"}, None),  # where the owner lets it through
        ({"merge_when_pipeline_succeeds": True}, "settings"),
        ({"approver_ids": [1], "anything": 1}, "review settings"),
    ],
)
def test_gitlabs_has_known_fields(more: dict[str, object], needs: str | None) -> None:
    body = {"title": "x", "source_branch": "a", "target_branch": "main", **more}
    for path in (GITLAB, f"{GITLAB}/1", f"{GITLAB}/1.json"):
        assert needed_by_body("gitlab.example.com", path, JSON, json.dumps(body).encode()) == needs


PATCH = "application/json-patch+json"


@pytest.mark.parametrize(
    ("path", "body", "needs"),
    [
        # learn.microsoft.com/rest/api/azure/devops/wit/work-items/update: "Move work item", bypassRules; delete: destroy.
        ("7", '[{"op": "add", "path": "/fields/System.Title", "value": "of /fields/System.TeamProject"}]', None),
        ("7", '[{"op": "add", "path": "/fields/System.TeamProject", "value": "other"}]', "settings"),
        ("7", '[{"op": "add", "Path": "/fields/Team Project", "value": "other"}]', "settings"),
        ("$Task?api-version=7.1", '[{"op": "add", "path": "/fields/System.Title", "value": "x"}]', None),
        ("7?api-version=7.1&BypassRules=true", "[]", "settings"),
        ("7?destroy=true", "", "settings"),
        ("7", '[{"op": "add", /**/ "path": "/fields/System.TeamProject"}]', "unreadable"),
    ],
)
def test_a_work_item_stays_in_its_project(path: str, body: str, needs: str | None) -> None:
    path = f"/acme/project/_apis/wit/workitems/{path}"
    assert needed("PATCH", path) is None
    assert reads_body("PATCH", path)
    assert needed_by_body("dev.azure.com", path, PATCH, body.encode()) == needs
    assert not reads_body("POST", "/acme/project/_apis/wit/attachments")
