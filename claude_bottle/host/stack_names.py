"""Names of bottles, looked up before anything is made: one that nobody knows is an error with the nearest one.

Standard library only: the set-up reads it too.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from pathlib import Path

from claude_bottle import ROOT
from claude_bottle.host.pulumi_stack import PulumiError
from claude_bottle.host.pulumi_stack import names as names_in_pulumi
from claude_bottle.host.stale_lock import PROJECT, local_backend
from claude_bottle.host.state import state_folder
from claude_bottle.policy.errors import BottleError
from claude_bottle.policy.own_command import own_command

STACKS = Path("stacks")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


class UnknownBottleError(BottleError):
    """Wrong usage: nothing was looked at but names."""


def stack_names(folder: Path) -> set[str]:
    """The stacks that have a file in this folder."""
    return {path.name[len("Pulumi.") : -len(".yaml")] for path in folder.glob("Pulumi.*.yaml")}


def examples_of(stacks: Path) -> Path:
    """The folder of the examples: of this project where it has one, else of the installation."""
    own = stacks / "examples"
    return own if own.is_dir() else ROOT / "stacks/examples"


def is_stack_name(text: str) -> bool:
    """Whether a stack can have this name."""
    return bool(_NAME.match(text)) and text[0].isalnum()


def no_bottle(stack: str, known: Collection[str]) -> str:
    """What a person is told who names a bottle that is not there: the nearest one, else all, and how to make one."""
    near = difflib.get_close_matches(stack, sorted(known), n=1, cutoff=0.5)
    others = f" (there are: {', '.join(sorted(known)[:20])})" if known else ""
    hint = f"; did you mean `{near[0]}`? " if near else f"{others}; "
    return f"no bottle `{stack}`{hint}{own_command(f'init {stack}')} makes one"


def declared() -> set[str]:
    """Bottles that have a stack file here."""
    return stack_names(STACKS)


def examples() -> set[str]:
    """Bottles of which `up` makes a file of one's own."""
    return stack_names(examples_of(STACKS))


def in_state() -> set[str]:
    """Bottles that Pulumi knows, with or without a file here."""
    root = local_backend()
    if root is not None:
        return {file.stem for file in (root / "stacks" / PROJECT).glob("*.json")}
    try:
        return set(names_in_pulumi(PROJECT))
    except PulumiError:
        return set()


def with_a_past() -> set[str]:
    """Bottles of which something is kept although they may be gone: earlier states, an audit log."""
    root = local_backend()
    folders = [root / kind / PROJECT for kind in ("backups", "history")] if root is not None else []
    kept = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    logs = {path.name.partition(".jsonl")[0] for path in state_folder("audit").glob("*.jsonl*")}
    return kept | logs


def look_up(name: str, known: Collection[str], *more: Collection[str]) -> None:
    """Raises UnknownBottleError for a name that is none, or is not among these."""
    if not is_stack_name(name):
        raise UnknownBottleError(f"{name[:60]!r} is not a name of a bottle: letters, digits, `_`, `.`, `-`")
    if not any(name in names for names in (known, *more)):
        raise UnknownBottleError(no_bottle(name, {*known, *(each for names in more for each in names)}))


def must_be_known(name: str) -> str:
    """The name, of a bottle that has a stack file here, or that Pulumi knows. Raises UnknownBottleError."""
    if name not in declared():
        look_up(name, declared(), in_state())
    return name


def must_be_remembered(name: str) -> str:
    """The same, or of one of which something is kept. Raises UnknownBottleError."""
    if name not in declared():
        look_up(name, declared(), in_state(), with_a_past())
    return name
