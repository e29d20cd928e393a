"""The ways in which arguments of a GraphQL field name a repository of GitHub's: by ids, by name, in a search. Pure."""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from claude_bottle.policy.forge.graphql.ids import KnownIds, OutsideError, Steps

# Mutations whose input names things only by ids and `repositoryNameWithOwner`, from the inputs of GitHub's public
# schema (July 2026). Whether a route also allows them is decided by `forge`.
_HELD = frozenset(
    """
    addComment updateIssueComment deleteIssueComment createIssue updateIssue closeIssue reopenIssue deleteIssue pinIssue
    unpinIssue transferIssue lockLockable unlockLockable addLabelsToLabelable removeLabelsFromLabelable
    clearLabelsFromLabelable createLabel updateLabel deleteLabel addAssigneesToAssignable
    removeAssigneesFromAssignable replaceActorsForAssignable addReaction removeReaction addSubIssue removeSubIssue
    reprioritizeSubIssue addBlockedBy removeBlockedBy updateIssueIssueType createPullRequest updatePullRequest
    closePullRequest reopenPullRequest markPullRequestReadyForReview convertPullRequestToDraft requestReviews
    requestReviewsByLogin addPullRequestReviewComment addPullRequestReviewThread addPullRequestReviewThreadReply
    resolveReviewThread unresolveReviewThread updatePullRequestReviewComment createDiscussion updateDiscussion
    addDiscussionComment updateDiscussionComment markDiscussionCommentAsAnswer unmarkDiscussionCommentAsAnswer
    updateSubscription minimizeComment unminimizeComment
    createCommitOnBranch createRef updateRef updateRefs deleteRef mergeBranch createLinkedBranch deleteLinkedBranch
    mergePullRequest enablePullRequestAutoMerge disablePullRequestAutoMerge enqueuePullRequest dequeuePullRequest
    updatePullRequestBranch revertPullRequest addPullRequestReview submitPullRequestReview updatePullRequestReview
    dismissPullRequestReview deletePullRequestReview deletePullRequestReviewComment
    createCheckRun updateCheckRun createCheckSuite rerequestCheckSuite createDeployment createDeploymentStatus
    createBranchProtectionRule updateBranchProtectionRule deleteBranchProtectionRule updateRepository
    archiveRepository unarchiveRepository
    """.split()  # noqa: SIM905 - a list of names
)
# All inputs of type ID in that schema have such names, including `inReplyTo`. The other two are texts of the sender's.
_ID_KEY = re.compile(r"(?:\Aids?|[a-z0-9]I[dD]s?|\AinReplyTo)\Z")
_NO_ID = frozenset(["clientMutationId", "externalId"])
_PEOPLE_KEY = re.compile(r"(?:assignee|user|reviewer|actor|team|bot)Ids?\Z", re.IGNORECASE)
_NAME_KEY, _BRANCH_KEY, _URL_KEY = "repositoryNameWithOwner", "headRefName", re.compile(r"issueUrl\Z", re.IGNORECASE)
# docs.github.com/en/search-github/searching-on-github/searching-issues-and-pull-requests: several `repo:`, `user:` and
# `org:` mean any of them, in any position; OR and brackets combine conditions ("advanced issue search", 2025).
_ELSEWHERE = re.compile(r"(?:user|org|owner|enterprise)\s*:|(?:\bNOT|(?:\A| )-)\s+repo:", re.IGNORECASE)
_NOT_OF_NOTHING = re.compile(r'\bNOT\s+(?:"\W*"|[^\w"])')  # it could apply to the next word
_JOINED = re.compile(r'[()"]|\bOR\b', re.IGNORECASE)
_QUOTED = re.compile(r'(?:\A|(?<=[ :]))"[^"]*"(?= |\Z)')
_REPO = re.compile(r"(?:\A| )repo:([A-Za-z0-9-]+/[A-Za-z0-9._-]+)(?= |\Z)", re.IGNORECASE)
_SEARCHES = frozenset(["ISSUE", "ISSUE_ADVANCED", "DISCUSSION"])


def named_by_input(
    mutation: str, given: Mapping[str, Any], repositories: Collection[str], known: KnownIds, steps: Steps
) -> str:
    """The repository that a mutation is about, or "" if it is about more than one of them. Raises OutsideError unless
    everything that its input names belongs to these repositories.
    """
    if mutation not in _HELD:
        raise OutsideError(f"the mutation {mutation} is of no repository, or nobody knows of which")
    named: set[str] = set()
    for key, value in _leaves("", given, steps):
        if key == _NAME_KEY:
            if not isinstance(value, str) or folded(value) not in repositories:
                raise OutsideError("it names another repository")
            named.add(folded(value))
        elif key == _BRANCH_KEY and (not isinstance(value, str) or ":" in value):
            raise OutsideError("owner:branch is of a fork; give the branch of this repository alone")
        elif _URL_KEY.search(key):
            raise OutsideError(f"{key} may name another repository; use an ID")
        elif _ID_KEY.search(key) and key not in _NO_ID:
            if _PEOPLE_KEY.search(key) and known.is_person(value):
                continue
            named.add(known.repository(value, repositories))
    if not named:
        raise OutsideError(f"the mutation {mutation} names nothing of a repository")
    return named.pop() if len(named) == 1 else ""


def named_by_search(given: Mapping[str, Any], repositories: Collection[str], steps: Steps) -> str:
    """The repository that a search is limited to. Raises OutsideError unless it is one of these."""
    text, kind = given.get("query"), given.get("type")
    if not isinstance(text, str) or not isinstance(kind, str) or kind not in _SEARCHES:
        raise OutsideError("a search is for issues, pull requests and discussions here, with type ISSUE or DISCUSSION")
    steps.take(len(text) // 20)
    plain = _QUOTED.sub("-", text)
    names = {folded(name) for name in _REPO.findall(plain)}
    # The only printable blank is a space.
    odd = "\\" in text or not text.isprintable() or _NOT_OF_NOTHING.search(text)
    if odd or text.lower().count("repo:") != 1 or _ELSEWHERE.search(text) or _JOINED.search(plain) or not names:
        raise OutsideError(
            "a search names one repo:OWNER/NAME here, outside quotation marks, and no user: or org:; OR and brackets "
            "stand in quotation marks"
        )
    if not names <= {*repositories}:
        raise OutsideError("it searches another repository")
    return str(names.pop())


def check_ids(given: Mapping[str, Any], repositories: Collection[str], known: KnownIds, steps: Steps) -> None:
    """Raises OutsideError if an argument of a field names a thing of another repository by its id."""
    for key, value in _leaves("", given, steps):
        if _ID_KEY.search(key) and key not in _NO_ID and not known.is_person(value):
            known.repository(value, repositories)


def folded(name: str) -> str:
    """A name as GitHub compares it: without case for ASCII letters only."""
    return name.translate(_LOWER)


_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def _leaves(key: str, value: Any, steps: Steps) -> Iterator[tuple[str, Any]]:
    """Every value of an input with its key, also within lists. Null values are skipped."""
    steps.take()
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _leaves(name, one, steps)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _leaves(key, one, steps)
    elif value is not None and type(value).__name__ != "UndefinedType":  # of graphql-core: a variable that was not sent
        yield key, value
