"""The part of GitHub's GraphQL schema that stays within one repository: its types, and the types of their fields. Pure.

Source: GitHub's public schema (docs.github.com/en/graphql/overview/public-schema, July 2026). A field that is not
listed leads out of the repository, or was not reviewed yet, so it is refused. Fields without a selection of their own
are plain values in every schema, so they need no entry.

A type is written `~T` if it is reached from the repository but may be outside it: people, the parent of a fork, a
board, an issue that another one refers to, and a `repository` field of any of these. Plain values and the listed fields
of such a type may be read, but its ids do not count as the repository's.
"""

from __future__ import annotations

from dataclasses import dataclass

_ROOTS = """
Query: repository=Repository viewer=~User node=Node nodes=Node search=SearchResultItem* rateLimit=~RateLimit
  user=~User organization=~Organization
"""
# The response to a mutation: the things that its input named, and those it created.
_PAYLOAD = """
Payload: actor=~Actor assignable=Node comment=Node commentEdge=IssueComment* commit=Commit discussion=Discussion
  reactionGroups=ReactionGroup duplicate=Node issue=Issue issueComment=IssueComment label=Label labelable=Node
  lockedRecord=Node minimizedComment=Node pullRequest=PullRequest pullRequestReview=PullRequestReview
  pullRequestReviewComment=PullRequestReviewComment reaction=Reaction ref=Ref repository=~Repository
  requestedReviewersEdge=~User* reviewEdge=PullRequestReview* subject=Node subscribable=Node
  thread=PullRequestReviewThread timelineEdge=TimelineItem* unlockedRecord=Node
"""
_INSIDE = """
Repository: assignableUsers=~User* issueTypes=~IssueType* suggestedActors=~Actor* codeOfConduct=~CodeOfConduct
  collaborators=~User* commitComments=CommitComment*
  contactLinks=~Link defaultBranchRef=Ref discussion=Discussion discussionCategories=DiscussionCategory*
  discussionCategory=DiscussionCategory discussions=Discussion* fundingLinks=~Link issue=Issue
  issueOrPullRequest=IssueOrPullRequest issueTemplates=~Template issues=Issue* label=Label labels=Label*
  languages=~Language* latestRelease=Release licenseInfo=~License mentionableUsers=~User* milestone=Milestone
  milestones=Milestone* object=GitObject owner=~RepositoryOwner parent=~Repository pinnedIssues=PinnedIssue*
  primaryLanguage=~Language projects=~Project* projectsV2=~ProjectV2* pullRequest=PullRequest
  pullRequestTemplates=~Template pullRequests=PullRequest* ref=Ref refs=Ref* release=Release releases=Release*
  repositoryTopics=~RepositoryTopic* stargazers=~User* templateRepository=~Repository watchers=~User*
Issue: assignedActors=~Actor* assignees=~User* author=~Actor blockedBy=~Issue* blocking=~Issue* issueType=~IssueType
  suggestedActors=~Actor* closedByPullRequestsReferences=~PullRequest* parent=~Issue
  subIssues=~Issue* trackedInIssues=~Issue* trackedIssues=~Issue* comments=IssueComment* editor=~Actor labels=Label*
  linkedBranches=LinkedBranch* milestone=Milestone participants=~User* projectCards=~ProjectCard*
  projectItems=~ProjectV2Item* reactionGroups=ReactionGroup reactions=Reaction* repository=~Repository
  subIssuesSummary=~SubIssuesSummary timelineItems=TimelineItem* userContentEdits=UserContentEdit*
PullRequest: assignedActors=~Actor* assignees=~User* author=~Actor suggestedActors=~Actor*
  suggestedReviewerActors=~SuggestedReviewerActor* autoMergeRequest=AutoMergeRequest baseRef=Ref
  closingIssuesReferences=~Issue* baseRepository=~Repository
  comments=IssueComment* commits=PullRequestCommit* editor=~Actor files=~PullRequestChangedFile* headRef=~Ref
  headRepository=~Repository headRepositoryOwner=~RepositoryOwner labels=Label*
  latestOpinionatedReviews=PullRequestReview* latestReviews=PullRequestReview* mergeCommit=Commit
  mergeQueueEntry=~MergeQueueEntry mergedBy=~Actor milestone=Milestone participants=~User*
  potentialMergeCommit=Commit projectCards=~ProjectCard* projectItems=~ProjectV2Item* reactionGroups=ReactionGroup
  reactions=Reaction* repository=~Repository reviewRequests=ReviewRequest* reviewThreads=PullRequestReviewThread*
  reviews=PullRequestReview* statusCheckRollup=StatusCheckRollup suggestedReviewers=~SuggestedReviewer
  timelineItems=TimelineItem* userContentEdits=UserContentEdit* viewerLatestReview=PullRequestReview
IssueOrPullRequest:
SearchResultItem:
Node:
IssueComment: author=~Actor editor=~Actor issue=Issue pullRequest=PullRequest reactionGroups=ReactionGroup
  reactions=Reaction* repository=~Repository userContentEdits=UserContentEdit*
Label: issues=Issue* pullRequests=PullRequest* repository=~Repository
Milestone: creator=~Actor issues=Issue* pullRequests=PullRequest* repository=~Repository
LinkedBranch: ref=~Ref
PinnedIssue: issue=Issue pinnedBy=~Actor repository=~Repository
AutoMergeRequest: enabledBy=~Actor pullRequest=PullRequest
Reaction: user=~User
ReactionGroup: users=~User* reactors=~Reactor*
UserContentEdit: deletedBy=~Actor editor=~Actor
ReviewRequest: pullRequest=PullRequest requestedReviewer=~RequestedReviewer
PullRequestCommit: commit=Commit pullRequest=PullRequest
PullRequestReview: author=~Actor comments=PullRequestReviewComment* commit=Commit editor=~Actor onBehalfOf=~Team*
  pullRequest=PullRequest reactionGroups=ReactionGroup reactions=Reaction* repository=~Repository
  userContentEdits=UserContentEdit*
PullRequestReviewComment: author=~Actor commit=Commit editor=~Actor originalCommit=Commit pullRequest=PullRequest
  pullRequestReview=PullRequestReview reactionGroups=ReactionGroup reactions=Reaction*
  replyTo=PullRequestReviewComment repository=~Repository userContentEdits=UserContentEdit*
PullRequestReviewThread: comments=PullRequestReviewComment* pullRequest=PullRequest repository=~Repository
  resolvedBy=~User
Discussion: answer=DiscussionComment answerChosenBy=~Actor author=~Actor category=DiscussionCategory
  comments=DiscussionComment* editor=~Actor labels=Label* reactionGroups=ReactionGroup reactions=Reaction*
  repository=~Repository userContentEdits=UserContentEdit*
DiscussionComment: author=~Actor discussion=Discussion editor=~Actor reactionGroups=ReactionGroup
  reactions=Reaction* replies=DiscussionComment* replyTo=DiscussionComment userContentEdits=UserContentEdit*
DiscussionCategory: repository=~Repository
Ref: branchProtectionRule=~BranchProtectionRule refUpdateRule=~RefUpdateRule repository=~Repository target=GitObject
GitObject:
Commit: associatedPullRequests=~PullRequest* author=~GitActor authors=~GitActor* checkSuites=CheckSuite*
  comments=CommitComment* committer=~GitActor
  file=TreeEntry history=Commit* onBehalfOf=~Organization parents=Commit* signature=~GitSignature status=Status
  statusCheckRollup=StatusCheckRollup tree=Tree
Tree: entries=TreeEntry
TreeEntry: language=~Language object=GitObject
Blob:
Tag: tagger=~GitActor target=GitObject
CommitComment: author=~Actor commit=Commit editor=~Actor reactionGroups=ReactionGroup reactions=Reaction*
  repository=~Repository userContentEdits=UserContentEdit*
Status: commit=Commit context=StatusContext contexts=StatusContext
StatusContext: commit=Commit creator=~Actor
StatusCheckRollup: commit=Commit contexts=StatusCheckRollupContext*
StatusCheckRollupContext:
CheckRun: annotations=~CheckAnnotation* checkSuite=CheckSuite repository=~Repository steps=~CheckStep*
CheckSuite: app=~App branch=~Ref checkRuns=CheckRun* commit=Commit creator=~User repository=~Repository
  workflowRun=WorkflowRun
WorkflowRun: checkSuite=CheckSuite workflow=~Workflow
Release: author=~User mentions=~User* reactionGroups=ReactionGroup reactions=Reaction* releaseAssets=~ReleaseAsset*
  repository=~Repository tag=Ref tagCommit=Commit
TimelineItem:
LabeledEvent: actor=~Actor label=Label
UnlabeledEvent: actor=~Actor label=Label
ClosedEvent: actor=~Actor
ReopenedEvent: actor=~Actor
MergedEvent: actor=~Actor commit=Commit pullRequest=PullRequest
AssignedEvent: actor=~Actor assignee=~Assignee user=~User
UnassignedEvent: actor=~Actor assignee=~Assignee user=~User
RenamedTitleEvent: actor=~Actor
CrossReferencedEvent: actor=~Actor
MilestonedEvent: actor=~Actor
DemilestonedEvent: actor=~Actor
LockedEvent: actor=~Actor
UnlockedEvent: actor=~Actor
ReviewRequestedEvent: actor=~Actor pullRequest=PullRequest requestedReviewer=~RequestedReviewer
ReadyForReviewEvent: actor=~Actor pullRequest=PullRequest
HeadRefForcePushedEvent: actor=~Actor pullRequest=PullRequest
Comment: author=~Actor editor=~Actor
Labelable: labels=Label*
Assignable: assignees=~User*
Reactable: reactionGroups=ReactionGroup reactions=Reaction*
RepositoryNode: repository=~Repository
Closable:
Lockable:
Subscribable:
Updatable:
UpdatableComment:
Deletable:
UniformResourceLocatable:
"""
_BESIDE = """
~Actor:
~User:
~Bot:
~Mannequin:
~EnterpriseUserAccount:
~Organization: team=~Team teams=~Team*
~Team: organization=~Organization
~App:
~RepositoryOwner:
~RequestedReviewer:
~Assignee:
~Reactor:
~GitActor: user=~User
~GitSignature: signer=~User
~SuggestedReviewer: reviewer=~User
~SuggestedReviewerActor: reviewer=~Actor
~Repository: defaultBranchRef=~Ref owner=~RepositoryOwner
~Ref: repository=~Repository
~Issue: repository=~Repository
~PullRequest: repository=~Repository
~RepositoryTopic: topic=~Topic
~Project:
~ProjectCard: column=~ProjectColumn project=~Project
~ProjectV2:
~ProjectV2Item: fieldValueByName=~ProjectV2ItemFieldValue project=~ProjectV2
~ProjectV2ItemFieldValue:
~ProjectV2ItemFieldSingleSelectValue:
"""
# The only plain values that may be read of issues and pull requests of any repository.
_ELSEWHERE = frozenset(["__typename", "id", "number", "url", "state", "isDraft", "merged", "closed"])
# A credential for the repository, and links that contain one.
_NEVER_READ = frozenset(["tempCloneToken", "zipballUrl", "tarballUrl"])
# Types of people and teams, whose ids a mutation accepts for the people it is about.
PEOPLE = frozenset(["~Actor", "~User", "~Bot", "~Mannequin", "~Team", "~Assignee", "~RequestedReviewer"])


@dataclass(frozen=True)
class Place:
    """The place of a selection: a type of the tables, or a connection of that type, or one of its edges."""

    kind: str
    connection: bool = False

    @property
    def is_inside(self) -> bool:
        """Whether the things at this place are part of the repository."""
        return not self.kind.startswith("~")

    def field(self, name: str) -> Place | None:
        """The place of a field's selection; None if the field leads out or is unknown."""
        if self.connection:
            if name in ("nodes", "node"):
                return Place(self.kind)
            return self if name == "edges" else Place("~") if name in _OF_CONNECTIONS else None
        return FIELDS.get(self.kind, {}).get(name)

    def may_read(self, name: str) -> bool:
        """Whether this plain value may be read."""
        elsewhere = self.kind in ("~Issue", "~PullRequest") and not self.connection
        return name in _ELSEWHERE if elsewhere else name not in _NEVER_READ

    def on(self, condition: str) -> Place | None:
        """The place of a fragment's selection on a type; None if the type is not known here."""
        if self.kind in (condition, f"~{condition}"):
            return self
        if self.connection:
            return None
        if not self.is_inside:
            return Place(f"~{condition}") if f"~{condition}" in FIELDS else None
        kinds = (kind for kind in (condition, f"~{condition}") if kind in FIELDS and kind not in _NEVER)
        return next((Place(kind) for kind in kinds), None)


# GitHub's StatusCheckRollupContextConnection also has the two counts.
_OF_CONNECTIONS = frozenset(["pageInfo", "checkRunCountsByState", "statusContextCountsByState"])
_NEVER = frozenset(["Query", "Payload", "Repository"])  # reached only by their fields


def _read(table: str) -> dict[str, dict[str, Place]]:
    places: dict[str, dict[str, Place]] = {}
    for line in table.replace("\n  ", " ").strip().splitlines():
        kind, _, fields = line.partition(":")
        pairs = (field.split("=") for field in fields.split())
        places[kind] = {name: Place(to.removesuffix("*"), to.endswith("*")) for name, to in pairs}
    return places


FIELDS = {**_read(_ROOTS), **_read(_PAYLOAD), **_read(_INSIDE), **_read(_BESIDE)}
PAYLOAD = Place("Payload")
