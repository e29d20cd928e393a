"""A stack file of one's own, from the examples: Pulumi writes into it, so the tracked ones are never used."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from toolchain.shell import SetupError, say

STACKS = Path(__file__).resolve().parents[1] / "stacks"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


def stack_names(folder: Path) -> set[str]:
    """The stacks that have a file in this folder."""
    return {path.name[len("Pulumi.") : -len(".yaml")] for path in folder.glob("Pulumi.*.yaml")}


def examples_of(stacks: Path) -> Path:
    """The folder of the examples: of this project where it has one, else of the installation."""
    own = stacks / "examples"
    return own if own.is_dir() else STACKS / "examples"


def is_stack_name(text: str) -> bool:
    """Whether a stack can have this name."""
    return bool(_NAME.match(text)) and text[0].isalnum()


def no_bottle(stack: str, known: Collection[str]) -> str:
    """What a person is told who names a bottle that is not there: the nearest one, else all, and how to make one."""
    near = difflib.get_close_matches(stack, sorted(known), n=1, cutoff=0.5)
    others = f" (there are: {', '.join(sorted(known)[:20])})" if known else ""
    hint = f"; did you mean `{near[0]}`? " if near else f"{others}; "
    return f"no bottle `{stack}`{hint}bottle init {stack} makes one"


def provide(stack: str, stacks: Path = STACKS) -> None:
    """Copy the example of this name to `stacks/`, where there is no file of that stack yet. Raises SetupError."""
    if not is_stack_name(stack):
        raise SetupError(f"{stack!r} is no name of a stack: letters, digits, `_`, `.`, `-`")
    file = stacks / f"Pulumi.{stack}.yaml"
    example = examples_of(stacks) / file.name
    if file.exists():
        return
    if not example.exists():
        examples = stack_names(example.parent)
        known = examples | stack_names(stacks)
        raise SetupError(f"{no_bottle(stack, known)}, or copy an example ({', '.join(sorted(examples))})")
    shutil.copyfile(example, file)
    say(f"stacks/{file.name} is yours to edit, a copy of the example {file.name}")
