"""A stack file of one's own, from the examples: Pulumi writes into it, so the tracked ones are never used."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from toolchain.shell import SetupError, say

STACKS = Path(__file__).resolve().parents[1] / "stacks"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


def provide(stack: str, stacks: Path = STACKS) -> None:
    """Copy the example of this name to `stacks/`, where there is no file of that stack yet. Raises SetupError."""
    if not _NAME.match(stack):
        raise SetupError(f"{stack!r} is no name of a stack: letters, digits, `_`, `.`, `-`")
    file = stacks / f"Pulumi.{stack}.yaml"
    example = stacks / "examples" / file.name
    if file.exists():
        return
    if not example.exists():
        names = ", ".join(sorted(path.name.split(".")[1] for path in example.parent.glob("Pulumi.*.yaml")))
        raise SetupError(f"there is no {file.relative_to(stacks.parent)}: write one, or copy an example ({names})")
    shutil.copyfile(example, file)
    say(f"stacks/{file.name} is yours to edit, a copy of stacks/examples/{file.name}")
