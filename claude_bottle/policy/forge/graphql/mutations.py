"""The capabilities that a GraphQL request's mutations need, and the commands in the texts that they write. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from claude_bottle.policy.forge.api import is_github
from claude_bottle.policy.forge.capabilities import NOTHING, UNREADABLE
from claude_bottle.policy.forge.commands import needed_by_texts
from claude_bottle.policy.forge.fields import parts_of, strings
from claude_bottle.policy.forge.graphql.request import Query, is_forges, read_queries
from claude_bottle.policy.forge.robots import KEY_GRAPHQL, are_agents
from claude_bottle.policy.strict_json import read_json

if TYPE_CHECKING:
    from graphql import DocumentNode

# Mutations that write only text: issues, comments, labels, pull requests opened and edited.
# https://docs.github.com/en/graphql/reference/mutations (2026), https://docs.gitlab.com/api/graphql/reference/ (18.6)
_FREE = frozenset(
    """
    addComment updateIssueComment deleteIssueComment createIssue updateIssue closeIssue reopenIssue pinIssue
    unpinIssue lockLockable unlockLockable addLabelsToLabelable removeLabelsFromLabelable clearLabelsFromLabelable
    createLabel updateLabel
    addAssigneesToAssignable removeAssigneesFromAssignable replaceActorsForAssignable addReaction removeReaction
    addSubIssue removeSubIssue reprioritizeSubIssue addBlockedBy removeBlockedBy updateIssueIssueType
    createPullRequest updatePullRequest closePullRequest reopenPullRequest markPullRequestReadyForReview
    convertPullRequestToDraft requestReviews requestReviewsByLogin addPullRequestReviewComment
    addPullRequestReviewThread addPullRequestReviewThreadReply resolveReviewThread unresolveReviewThread
    updatePullRequestReviewComment createDiscussion updateDiscussion addDiscussionComment
    updateDiscussionComment markDiscussionCommentAsAnswer addProjectV2ItemById addProjectV2DraftIssue
    updateProjectV2ItemFieldValue deleteProjectV2Item clearProjectV2ItemFieldValue updateSubscription
    minimizeComment unminimizeComment createNote updateNote destroyNote createDiffNote createDiscussion
    issueSetLabels issueSetAssignees mergeRequestCreate mergeRequestUpdate mergeRequestSetLabels
    mergeRequestSetAssignees mergeRequestSetReviewers mergeRequestSetDraft mergeRequestSetMilestone
    discussionToggleResolve awardEmojiAdd awardEmojiRemove awardEmojiToggle workItemCreate workItemUpdate
    labelCreate todoMarkDone
    """.split()  # noqa: SIM905 - a list of names
)
# On hosts that are not known forges only these are refused, because other services have mutations of their own.
_FORGES_OWN = frozenset(
    """
    createCommitOnBranch createRef updateRef updateRefs deleteRef mergeBranch mergePullRequest
    enablePullRequestAutoMerge enqueuePullRequest updatePullRequestBranch revertPullRequest addPullRequestReview
    submitPullRequestReview createBranchProtectionRule updateBranchProtectionRule deleteBranchProtectionRule
    createRepositoryRuleset updateRepositoryRuleset deleteRepositoryRuleset createRepository updateRepository
    cloneTemplateRepository createDeployment commitCreate createBranch mergeRequestAccept branchRuleCreate
    branchRuleUpdate pipelineCreate pipelineRetry jobPlay projectCiCdSettingsUpdate ciTriggerSchedule
    createSnippet updateSnippet releaseCreate
    """.split()  # noqa: SIM905 - a list of names
)
# Mutations that assign an issue or a pull request.
_ASSIGN = frozenset(
    ["createIssue", "updateIssue", "updatePullRequest", "addAssigneesToAssignable", "replaceActorsForAssignable"]
)
# Fields of a query. GitLab fetches files that the content includes, from other projects and from any address
# (docs.gitlab.com/api/graphql/reference, Query.ciConfig; docs.gitlab.com/ci/yaml/includes).
_FETCHES = frozenset(["ciConfig", "ciLint"])
# An argument of a free mutation that is not free (ee/app/graphql/ee/mutations/merge_requests/update.rb).
_OVERRIDES = "overrideRequestedChanges"
# By name. A name that matches two needs both: a rule about approvals is not about a branch alone.
_KINDS = (
    ("merge", re.compile(r"(?i)merge(?!requestcreate|requestupdate|requestset)|automerge|queue")),
    (
        "code",
        re.compile(r"(?i)commit|refs?$|branch|(?<!s)tag|revert|(?<!pro)file|snippet|wiki|protection|rule|lfs|duo"),
    ),
    ("secrets", re.compile(r"(?i)secret|variable")),
    # The responses of GitLab's contain a token of the runner or the trigger (app/graphql/mutations/ci).
    ("keys", re.compile(r"(?i)key|token|runnercreate|pipelinetrigger")),
    ("hooks", re.compile(r"(?i)hook|integration")),
    ("pipelines", re.compile(r"(?i)pipeline|workflow|deploy|environment|dispatch|runner|job|^ci")),
    ("checks", re.compile(r"(?i)check|(?<!deployment)(?<!user)status")),
    ("review", re.compile(r"(?i)review|approv|request(?:ed)?changes")),
    ("members", re.compile(r"(?i)member|collaborator|invit|team|access|enterprise|organization")),
    ("releases", re.compile(r"(?i)release|package")),
    ("settings", re.compile(r"(?i)setting|enterprise|organization|domain|configure|policy|policies|migration|^admin")),
)


def needed_by_graphql(host: str, path: str, content_type: str, body: bytes) -> frozenset[str]:
    """The capabilities that a GraphQL request needs, for all its queries and every field of each."""
    queries = read_queries(path, content_type, body)
    if queries is None:
        return UNREADABLE
    known = is_github(host) or is_forges(path)
    return NOTHING.union(*(_needed(query, known, is_github(host)) for query in queries))


def _needed(query: Query, known: bool, github: bool) -> frozenset[str]:
    called = _mutations(query.document)
    needs = _needed_by_names(known, called)
    if not github and not _FREE.isdisjoint(called):
        # GitLab runs commands in comments by GraphQL as in those by REST.
        needs |= needed_by_texts(_texts(query.document, query.others))
    if not _ASSIGN.isdisjoint(called) and _is_for_an_agent(query):
        needs |= {"code"}
    if "mergeRequestUpdate" in called and _OVERRIDES in _keys(query):
        needs |= {"review"}
    if known and not github and _fetches(query.document):
        needs |= {"pipelines"}
    return needs


def _is_for_an_agent(query: Query) -> bool:
    """Whether a query assigns something to GitHub's agent: its key occurs anywhere, or an assignee is not a person."""
    return KEY_GRAPHQL in _keys(query) or are_agents(_texts(query.document, query.others))


def _keys(query: Query) -> set[str]:
    """Every name in an input of a query, or in its variables."""
    from graphql.language.ast import ObjectFieldNode

    fields = (node.name.value for node in _nodes(query.document) if isinstance(node, ObjectFieldNode))
    return {*fields, *(name for part in parts_of(query.others) if isinstance(part, dict) for name in part)}


def _mutations(document: DocumentNode) -> list[str]:
    """The mutations that a document calls, by name; "" for a fragment at the root, which hides them."""
    from graphql import OperationDefinitionNode, OperationType
    from graphql.language.ast import FieldNode

    return [
        field.name.value if isinstance(field, FieldNode) else ""
        for operation in document.definitions
        if isinstance(operation, OperationDefinitionNode) and operation.operation is OperationType.MUTATION
        for field in operation.selection_set.selections
    ]


def _needed_by_names(known: bool, called: Iterable[str]) -> frozenset[str]:
    needs: set[str] = set()
    for name in called:
        if not name:
            needs |= UNREADABLE
        elif name not in _FREE if known else name in _FORGES_OWN:
            needs |= {kind for kind, pattern in _KINDS if pattern.search(name)} or {"settings"}
    return frozenset(needs)


def _fetches(document: DocumentNode) -> bool:
    from graphql.language.ast import FieldNode

    return any(isinstance(node, FieldNode) and node.name.value in _FETCHES for node in _nodes(document))


def _nodes(document: DocumentNode) -> Iterator[Any]:
    from graphql.language.ast import Node

    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Node):
            yield node
            waiting.extend(getattr(node, key, None) for key in node.keys)
        elif isinstance(node, (list, tuple)):
            waiting.extend(node)


def _texts(document: DocumentNode, others: Any) -> Iterator[str]:
    """Every string of a document, unescaped, and of its variables, also in JSON within a string."""
    from graphql.language.ast import StringValueNode

    for node in _nodes(document):
        if isinstance(node, StringValueNode):
            yield node.value
    for text in strings(others):
        yield text
        if text.lstrip()[:1] in ("{", "["):
            yield from strings(read_json(text))
