"""The `bottle` command for a message: in a form that runs as printed, from the person's current folder.

Standard library only, because the set-up uses it too. The text is for a person at this moment. It must not get into a
resource or a file, where calling from another folder would look like a change.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

# How the person calls it. `bottle` sets it for all its child processes, and the function of `activate` for `bottle`.
CALLED = "CLAUDE_BOTTLE_COMMAND"
# None in a sidecar, which has only some of these modules.
_CHECKOUT = next((folder for folder in Path(__file__).resolve().parents if (folder / "Pulumi.yaml").is_file()), None)


def own_command(words: str) -> str:
    """`bottle …`, `./bottle …` in a checkout, or the path to it from the current folder."""
    return f"{os.environ.get(CALLED) or called_from(Path.cwd())} {words}"


def called_from(folder: Path, checkout: Path | None = _CHECKOUT) -> str:
    """What a person in this folder types for this checkout's command; just `bottle` for an installation, which is on
    PATH."""
    if checkout is None or not (checkout / "bottle").is_file():
        return "bottle"
    script = checkout / "bottle"
    if not folder.resolve().is_relative_to(checkout):
        return shlex.quote(str(script))
    way = os.path.relpath(script, folder.resolve())
    return shlex.quote(way if way.startswith("../") else f"./{way}")


# The same for stored text, such as a stack's output: typed in the checkout's folder.
KEPT = "bottle" if _CHECKOUT is None else called_from(_CHECKOUT)
