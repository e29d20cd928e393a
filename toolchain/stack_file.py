"""Copies an example to a stack file, because Pulumi writes to stack files and the examples are tracked."""

from __future__ import annotations

import shutil
from pathlib import Path

from claude_bottle.host.stack_names import examples_of, is_stack_name, no_bottle, stack_names, stack_path
from toolchain.shell import SetupError, say

STACKS = Path(__file__).resolve().parents[1] / "stacks"


def provide(stack: str, stacks: Path = STACKS) -> None:
    """Copy the example of this name to `stacks/`, unless that stack has a file already. Raises SetupError."""
    if not is_stack_name(stack):
        raise SetupError(f"{stack!r} is not a name of a stack: letters, digits, `_`, `.`, `-`")
    file, example = stack_path(stack, stacks), stack_path(stack, examples_of(stacks))
    if file.exists():
        return
    if not example.exists():
        examples = stack_names(example.parent)
        known = examples | stack_names(stacks)
        raise SetupError(f"{no_bottle(stack, known)}, or copy an example ({', '.join(sorted(examples))})")
    shutil.copyfile(example, file)
    say(f"stacks/{file.name} is yours to edit, a copy of the example {file.name}")
