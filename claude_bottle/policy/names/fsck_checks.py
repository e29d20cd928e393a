"""git's checks of objects, by whether an owner may allow their failure for a remote. Pure.

The names are those of git-fsck(1), FSCK MESSAGES, of git 2.39.
"""

from __future__ import annotations

from claude_bottle.policy.names.nearest import did_you_mean

# Old programs wrote such objects, and they do not harm those who clone them.
ALLOWABLE = (
    "badDate", "badDateOverflow", "badEmail", "badName", "badTimezone", "missingAuthor", "missingCommitter",
    "missingEmail", "missingNameBeforeEmail", "missingSpaceBeforeDate", "missingSpaceBeforeEmail", "multipleAuthors",
    "zeroPaddedDate", "zeroPaddedFilemode",
)  # fmt: skip
# Ways to write to unexpected places, to run a program during a clone, or to show different content to different
# readers; and unreadable objects.
NEVER = (
    "badFilemode", "badObjectSha1", "badParentSha1", "badTagName", "badTagObject", "badTree", "badTreeSha1", "badType",
    "duplicateEntries", "emptyName", "extraHeaderEntry", "fullPathname", "gitattributesBlob", "gitattributesLarge",
    "gitattributesLineLength", "gitattributesMissing", "gitattributesSymlink", "gitignoreSymlink", "gitmodulesBlob",
    "gitmodulesLarge", "gitmodulesMissing", "gitmodulesName", "gitmodulesParse", "gitmodulesPath", "gitmodulesSymlink",
    "gitmodulesUpdate", "gitmodulesUrl", "hasDot", "hasDotdot", "hasDotgit", "mailmapSymlink", "missingObject",
    "missingTag", "missingTagEntry", "missingTaggerEntry", "missingTree", "missingType", "missingTypeEntry",
    "nulInCommit", "nulInHeader", "nullSha1", "treeNotSorted", "unknownType", "unterminatedHeader",
)  # fmt: skip
_NAMES = {name.lower(): name for name in (*ALLOWABLE, *NEVER)}


def checked_fsck(value: str) -> str:
    """The name of a check whose failure may be allowed. Raises ValueError."""
    name = _NAMES.get(value.lower(), "")
    if name in NEVER:
        raise ValueError(
            f"{name} protects against attacks and broken objects, so it cannot be allowed; these can:"
            f" {', '.join(ALLOWABLE)}"
        )
    if not name:
        near = did_you_mean(value, ALLOWABLE)
        raise ValueError(f"not a check of git-fsck(1) that can be allowed{near}; these can: {', '.join(ALLOWABLE)}")
    return name
