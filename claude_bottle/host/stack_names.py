"""Names of bottles, checked before anything is created. An unknown name is an error that suggests the nearest one.

Standard library only, because set-up imports it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from pathlib import Path

from claude_bottle import ROOT
from claude_bottle.host.local_backend import PROJECT, local_backend
from claude_bottle.host.pulumi_stack import PulumiError
from claude_bottle.host.pulumi_stack import names as names_in_pulumi
from claude_bottle.host.state_folder import state_folder
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.own_command import own_command

STACKS = Path("stacks")  # of a project
_PREFIX, _SUFFIX = "Pulumi.", ".yaml"  # as Pulumi names the file of a stack
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


class UnknownBottleError(BottleError):
    """Wrong usage: only names were checked so far."""


def stack_path(stack: str, folder: Path = STACKS) -> Path:
    """The path of a stack's file, which may not exist."""
    return folder / f"{_PREFIX}{stack}{_SUFFIX}"


def stack_names(folder: Path) -> set[str]:
    """The stacks with a file in this folder."""
    return {path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for path in folder.glob(f"{_PREFIX}*{_SUFFIX}")}


def examples_of(stacks: Path) -> Path:
    """The folder of the examples: the project's if it has one, else the installation's."""
    own = stacks / "examples"
    return own if own.is_dir() else ROOT / "stacks/examples"


def is_stack_name(text: str) -> bool:
    """Whether a stack can have this name."""
    return bool(_NAME.match(text)) and text[0].isalnum()


def no_bottle(stack: str, known: Collection[str]) -> str:
    """The message about an unknown bottle: the nearest name, else all names, and how to create one."""
    near = difflib.get_close_matches(stack, sorted(known), n=1, cutoff=0.5)
    others = f" (there are: {', '.join(sorted(known)[:20])})" if known else ""
    hint = f"; did you mean `{near[0]}`? " if near else f"{others}; "
    return f"no bottle `{stack}`{hint}{own_command(f'init {stack}')} makes one"


def declared() -> set[str]:
    """Bottles with a stack file here."""
    return stack_names(STACKS)


def examples() -> set[str]:
    """Bottles that `up` copies to a stack file of the owner's."""
    return stack_names(examples_of(STACKS))


def in_state() -> set[str]:
    """Bottles that Pulumi knows, with or without a file here; empty if Pulumi fails."""
    root = local_backend()
    if root is not None:
        return {file.stem for file in (root / "stacks" / PROJECT).glob("*.json")}
    try:
        return set(names_in_pulumi(PROJECT))
    except PulumiError:
        return set()


def with_a_past() -> set[str]:
    """Bottles with earlier states or an audit log, even if they no longer exist."""
    root = local_backend()
    folders = [root / kind / PROJECT for kind in ("backups", "history")] if root is not None else []
    kept = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    logs = {path.name.partition(".jsonl")[0] for path in state_folder("audit").glob("*.jsonl*")}
    return kept | logs


def look_up(name: str, known: Collection[str], *more: Collection[str]) -> None:
    """Raises UnknownBottleError for an invalid name, or one that is in none of these."""
    if not is_stack_name(name):
        raise UnknownBottleError(f"{name[:60]!r} is not a name of a bottle: letters, digits, `_`, `.`, `-`")
    if not any(name in names for names in (known, *more)):
        raise UnknownBottleError(no_bottle(name, {*known, *(each for names in more for each in names)}))


def must_be_known(name: str) -> str:
    """The name of a bottle with a stack file here, or that Pulumi knows. Raises UnknownBottleError."""
    if name not in declared():
        look_up(name, declared(), in_state())
    return name


def must_be_remembered(name: str) -> str:
    """The same, also for a bottle with earlier states or an audit log. Raises UnknownBottleError."""
    if name not in declared():
        look_up(name, declared(), in_state(), with_a_past())
    return name
