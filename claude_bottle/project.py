"""The folder that an installed `bottle` works in: a Pulumi project, whose program is that of the installation."""

from __future__ import annotations

import shutil
from pathlib import Path

from claude_bottle import INSTALLED, ROOT

_PROGRAM = '''"""The program of the bottles in stacks/ is that of the installed claude-bottle. From `bottle init`."""

import runpy

from claude_bottle import ROOT

runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
'''


def project_folder(start: Path) -> Path:
    """The checkout; of an installation, the nearest folder from `start` upwards that is a project, else `start`."""
    if not INSTALLED:
        return ROOT
    return next((folder for folder in (start, *start.parents) if _is_ours(folder)), start)


def _is_ours(folder: Path) -> bool:
    try:
        return "name: claude-bottle\n" in (folder / "Pulumi.yaml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def provide_project() -> None:
    """Make the current folder a project, where it is none yet and `bottle` is installed. Raises BottleError."""
    from components.errors import BottleError

    here = Path.cwd()
    if not INSTALLED or _is_ours(here):
        return
    taken = [name for name in ("Pulumi.yaml", "__main__.py") if (here / name).exists()]
    if taken:
        raise BottleError(f"{here} has a {taken[0]} of another project; use a folder of its own for your bottles")
    (here / "__main__.py").write_text(_PROGRAM, encoding="utf-8")
    (here / "stacks").mkdir(exist_ok=True)
    # Last: with it, the folder is a project.
    shutil.copyfile(ROOT / "Pulumi.yaml", here / "Pulumi.yaml")
