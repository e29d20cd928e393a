"""The `bottle` command as a message tells it: in the form that runs as it is printed, from where the person stands.

Standard library only: the set-up reads it too. What is printed is for a person at this moment: it belongs into no
resource and no file, where another folder to call it from would be a change.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

# How the person calls it. `bottle` sets it for all that it starts, and the function of `activate` for `bottle`.
CALLED = "CLAUDE_BOTTLE_COMMAND"
# Absent in a sidecar, which has some of these modules.
_CHECKOUT = next((folder for folder in Path(__file__).resolve().parents if (folder / "Pulumi.yaml").is_file()), None)


def own_command(words: str) -> str:
    """`bottle …`, `./bottle …` in a checkout, or what leads there from the folder that it was called from."""
    return f"{os.environ.get(CALLED) or called_from(Path.cwd())} {words}"


def called_from(folder: Path, checkout: Path | None = _CHECKOUT) -> str:
    """What a person in this folder types for the command of this checkout; of an installation, which is on PATH."""
    if checkout is None or not (checkout / "bottle").is_file():
        return "bottle"
    script = checkout / "bottle"
    if not folder.resolve().is_relative_to(checkout):
        return shlex.quote(str(script))
    way = os.path.relpath(script, folder.resolve())
    return shlex.quote(way if way.startswith("../") else f"./{way}")


# The same for what is kept, such as an output of a stack: typed in the checkout's folder.
KEPT = "bottle" if _CHECKOUT is None else called_from(_CHECKOUT)
