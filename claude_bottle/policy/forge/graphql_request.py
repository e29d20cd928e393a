"""What a GraphQL request to a forge does: its mutations, and the commands in the words that they write. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_plus

from claude_bottle.policy.forge.api import is_github
from claude_bottle.policy.forge.commands import is_json, needed_by_texts, strings
from claude_bottle.policy.forge.paths import read_path, words_of
from claude_bottle.policy.strict_json import read_json

if TYPE_CHECKING:
    from graphql import DocumentNode

# Mutations that write nothing but words: issues, comments, labels, pull requests opened and edited.
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
    issueSetLabels issueSetAssignees issueMove mergeRequestCreate mergeRequestUpdate mergeRequestSetLabels
    mergeRequestSetAssignees mergeRequestSetReviewers mergeRequestSetDraft mergeRequestSetMilestone
    discussionToggleResolve awardEmojiAdd awardEmojiRemove awardEmojiToggle workItemCreate workItemUpdate
    labelCreate todoMarkDone
    """.split()  # noqa: SIM905 - a list of names
)
# On hosts that are no known forge these alone are refused, for other services have mutations of their own.
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
# By name, for refusals in words.
_KINDS = (
    ("merge", re.compile(r"(?i)merge(?!requestcreate|requestupdate|requestset)|automerge|queue")),
    ("code", re.compile(r"(?i)commit|ref(s)?$|branch|tag|revert|file|snippet|wiki|protection|rule|lfs")),
    ("secrets", re.compile(r"(?i)secret|variable")),
    ("keys", re.compile(r"(?i)key|token")),
    ("hooks", re.compile(r"(?i)hook|integration")),
    ("pipelines", re.compile(r"(?i)pipeline|workflow|deploy|environment|dispatch|runner|job|^ci")),
    ("checks", re.compile(r"(?i)check|status")),
    ("review", re.compile(r"(?i)review|approv")),
    ("members", re.compile(r"(?i)member|collaborator|invit|team|access|enterprise|organization")),
    ("releases", re.compile(r"(?i)release|package")),
)
# Beyond these a request needs `code`. GitHub takes no more than 10,000 nodes of a query, Apollo batches ten by default.
_MAX_QUERIES, _MAX_TOKENS, _MAX_BODY, _MAX_QUERY = 20, 20_000, 1 << 20, 256 << 10
_NAME = re.compile(r"graphql(?:\.[a-z]+)?\Z")  # Rails serves `/api/graphql.json` too; so do Shopify's own paths
# What a server that reads a form would take from it.
_FORM_NAMES = frozenset(["query", "variables", "operationname", "operations", "map", "id", "extensions", "_json"])


def is_graphql(path: str) -> bool:
    """Whether requests to this path are GraphQL, by the name that its servers use."""
    readings = read_path(path)
    if readings is None:
        words = words_of(path)
        return words is None or any(_NAME.match(word) for word in words)
    return any(bool(segments) and bool(_NAME.match(segments[-1])) for segments in readings)


def needed_by_graphql(host: str, path: str, content_type: str, body: bytes) -> str | None:
    """The capability that a GraphQL request needs; `code` if nobody can say what it does, or it is beyond a bound."""
    query = path.partition("?")[2]
    if len(body) > _MAX_BODY or len(query) > _MAX_BODY or ";" in query:
        return "code"
    asked = _asked_in_query(query)
    if not body and not asked:
        return None if not query else "code"
    if body:
        in_body = _asked_in_body(content_type, body)
        if in_body is None:
            return "code"
        asked += in_body
    if len(asked) > _MAX_QUERIES:
        return "code"
    known = is_github(host) or _is_forges(path)
    tokens = _MAX_TOKENS
    for text, words in asked:
        # A stored query is no text.
        document, used = _parse(text, tokens) if isinstance(text, str) else (None, 0)
        if document is None:
            return "code"
        tokens -= used
        called = _mutations(document)
        needed = _needed_by_names(known, called)
        if needed is None and not is_github(host) and not _FREE.isdisjoint(called):
            # GitLab's comments by GraphQL run commands as those by REST do.
            needed = needed_by_texts(_texts(document, words))
        if needed is not None:
            return needed
    return None


def _is_forges(path: str) -> bool:
    readings = read_path(path)
    if readings is None:
        return True
    return any(len(found) > 1 and found[-2] == "api" and bool(_NAME.match(found[-1])) for found in readings)


Asked = tuple[Any, Any]  # a query's text, and what else was sent with it


def _asked_in_query(query: str) -> list[Asked]:
    if not query:
        return []
    told = parse_qs(query, keep_blank_values=True, max_num_fields=None)
    others = [value for name, values in told.items() if name != "query" for value in values]
    return [(text, others) for text in told.get("query", [])]


def _asked_in_body(content_type: str, body: bytes) -> list[Asked] | None:
    """What a body asks; None if it is none that is known, or can be read as another."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/graphql":
        return [(body.decode("utf-8", "replace"), [])]
    if kind.startswith("multipart/"):
        return None
    if not is_json(content_type) and _has_form(body):
        return None
    told = read_json(body)
    asked: list[Asked] = []
    for one in told if isinstance(told, list) else [told]:
        if not isinstance(one, dict):
            return None
        asked.append((one.get("query"), [value for name, value in one.items() if name != "query"]))
        if len(asked) > _MAX_QUERIES:
            return None
    return asked


def _has_form(body: bytes) -> bool:
    """Whether a server that reads a form would find a query in it. GitHub's own example sends JSON as a form."""
    for pair in re.split("[&;]", body.decode("utf-8", "replace")):
        name = re.split(r"[\[.]", unquote_plus(pair.partition("=")[0]).strip().lower(), maxsplit=1)[0]
        if name in _FORM_NAMES:
            return True
    return False


def _parse(text: str, tokens: int) -> tuple[DocumentNode | None, int]:
    """The document and how many tokens it has; None if it cannot be read, or has more than there are left."""
    # Imported when it is first needed: it takes a tenth of a second and 14 MB.
    from graphql import GraphQLError
    from graphql.language.parser import Parser

    if len(text) > _MAX_QUERY or tokens < 1:
        return None, 0
    parser = Parser(text, no_location=True, max_tokens=tokens)
    try:
        document = parser.parse_document()
    except (GraphQLError, RecursionError):
        return None, 0
    return document, parser.token_count


def _mutations(document: DocumentNode) -> list[str]:
    """The mutations that a document calls, by name; an empty one where a fragment at the root hides them."""
    from graphql import OperationDefinitionNode, OperationType
    from graphql.language.ast import FieldNode

    return [
        field.name.value if isinstance(field, FieldNode) else ""
        for operation in document.definitions
        if isinstance(operation, OperationDefinitionNode) and operation.operation is OperationType.MUTATION
        for field in operation.selection_set.selections
    ]


def _needed_by_names(known: bool, called: list[str]) -> str | None:
    for name in called:
        if not name:
            return "code"
        if name not in _FREE if known else name in _FORGES_OWN:
            return next((kind for kind, pattern in _KINDS if pattern.search(name)), "settings")
    return None


def _texts(document: DocumentNode, others: Any) -> Iterator[str]:
    """Every string of a document with its escapes undone, and of its variables, which may be JSON in a string."""
    from graphql.language.ast import Node, StringValueNode

    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, StringValueNode):
            yield node.value
        elif isinstance(node, Node):
            waiting.extend(getattr(node, key, None) for key in node.keys)
        elif isinstance(node, (list, tuple)):
            waiting.extend(node)
    for text in strings(others):
        yield text
        if text.lstrip()[:1] in ("{", "["):
            yield from strings(read_json(text))
