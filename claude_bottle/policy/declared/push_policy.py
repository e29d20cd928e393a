"""What the agent may push to one upstream: the single declaration of its keys. Pure.

A new key is a field here plus the check in sidecar_images/git_gate that enforces it. The manifest's `git[]`, the gate's
file, the plan and its texts are generated from the declarations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claude_bottle.policy.declared.keys import Flag, Key, Listed, Number, Permission, declared, keys_of
from claude_bottle.policy.names.fsck_checks import checked_fsck

_REF_GLOB = re.compile(r"[A-Za-z0-9_*?\[\]][A-Za-z0-9._/*?\[\]-]{0,199}\Z")
# Printable ASCII. A star is allowed only as the whole value.
_PUSH_OPTION = re.compile(r"[!-)+-~][ -)+-~]{0,199}(?:=\*)?\Z")
_FINDING = re.compile(r"[0-9a-f]{32}\Z")


def _ref_glob(value: str) -> str:
    if not _REF_GLOB.match(value) or ".." in value:
        raise ValueError("write a glob of branch names (main, agent/*), or of whole refs (refs/tags/*)")
    return value


def _push_option(value: str) -> str:
    if not _PUSH_OPTION.match(value):
        raise ValueError("write an option as it is pushed (ci.skip, topic=main), or NAME=* for any value")
    return value


def _finding(value: str) -> str:
    if not _FINDING.match(value):
        raise ValueError("not a digest of a finding; write the 32 hex digits that a refused push reports")
    return value


@dataclass(frozen=True, kw_only=True)
class PushPolicy:
    """The fields have the names of the gate's file and of the plan. Sizes in MB."""

    branches: tuple[str, ...] = declared(Listed(
        doc="Refs that may be pushed: globs of branches, or of whole refs (refs/tags/v*).", example="[agent/*]",
        default=["*"], empty=("*",), bounds={"min_length": 1}, check=_ref_glob,
        right="push", says="push to {}".format,
    ))  # fmt: skip
    force: bool = declared(Permission(
        name="allow_force_push", doc="Whether a push may rewrite existing refs; moving a tag is a rewrite.",
        example="false", right="force", says="force pushes allowed".format,
    ))  # fmt: skip
    deletes: bool = declared(Permission(
        name="allow_deletions", doc="Whether a push may delete refs.", example="false",
        right="deletes", says="deletions allowed".format,
    ))  # fmt: skip
    max_push_mb: int = declared(Number(
        doc="Largest push.", example="100", default=100, empty=100, bounds={"ge": 1, "le": 4096},
        right="push", says="MB a push to {}".format,
    ))  # fmt: skip
    max_blob_mb: int = declared(Number(
        name="max_file_mb", doc="Largest single file.", example="20", default=20, empty=20,
        bounds={"ge": 1, "le": 1024}, right="blob", says="MB a file to {}".format,
    ))  # fmt: skip
    push_options: tuple[str, ...] = declared(Listed(
        doc="Push options (git push -o) that may be sent: exact ones, or NAME=* for any value.",
        example="[ci.skip, merge_request.title=*]", check=_push_option, right="option", says="push option {}".format,
    ))  # fmt: skip
    review: bool = declared(Flag(
        name="require_review", doc="Refuse every push until you have approved exactly that one.", example="false",
        right="review", says="each push waits for your review".format, limits=True,
    ))  # fmt: skip
    known_findings: tuple[str, ...] = declared(Listed(
        doc="Values that are not secrets here, by the digests that a refused push reports.",
        example="[9f86d081884c7d659a2feaa0c55ad015]", bounds={"max_length": 500}, check=_finding,
        right="finding", says="the value {} is not a secret there".format,
    ))  # fmt: skip
    allow_fsck: tuple[str, ...] = declared(Listed(
        doc="Checks of git-fsck(1) that new objects may fail here, for old histories. Checks against attacks"
        " cannot be named.", example="[zeroPaddedFilemode, missingEmail]", check=checked_fsck,
        right="fsck", says="objects that fail git's check {}".format,
    ))  # fmt: skip


# By their names in the gate's file and the plan, and in the manifest.
FIELDS: Mapping[str, Key] = keys_of(PushPolicy)
KEYS: Mapping[str, Key] = {key.name: key for key in FIELDS.values()}


def stored(words: Mapping[str, Any]) -> dict[str, Any]:
    """The policy of a manifest's entry as the gate's file and the plan have it."""
    return {column: key.planned(words[key.name]) for column, key in FIELDS.items()}


def read(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `PushPolicy` that an entry of the gate's file or of a plan has. Raises ValueError or TypeError."""
    return {column: key.read(entry[column]) for column, key in FIELDS.items() if column in entry}
