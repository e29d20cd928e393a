"""The folder that an installed `bottle` works in: a Pulumi project, whose program is that of the installation.

A folder is one because the owner has made it one here, never because of the files in it: those of a workspace may be an
agent's, and what they name would run with the owner's secrets.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from claude_bottle import INSTALLED, ROOT
from claude_bottle.policy.own_command import own_command

CHOSEN = "CLAUDE_BOTTLE_PROJECT"  # a project that was made elsewhere, as one in a repository of the owner's
_PROGRAM = '''"""The program of the bottles in stacks/ is that of the installed claude-bottle. From `bottle init`."""

import runpy

from claude_bottle import ROOT

runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
'''


def project_folder(start: Path) -> Path:
    """The checkout; of an installation the project that CLAUDE_BOTTLE_PROJECT names, else the nearest one from `start`
    upwards that was made here, else `start`.
    """
    if not INSTALLED:
        return ROOT
    if chosen := os.environ.get(CHOSEN):
        _register(Path(chosen))
        return Path(chosen).resolve()
    known = _registered()
    return next((folder for folder in (start, *start.parents) if folder.resolve() in known), start)


def not_made_here(folder: Path) -> str:
    """Why an installed `bottle` does not work in this folder; "" where it does."""
    if not INSTALLED or folder.resolve() in _registered():
        return ""
    for name in ("Pulumi.yaml", "__main__.py", "stacks"):
        if os.path.lexists(folder / name):
            return (
                f"{folder} has {name}, which was not made here: use a folder of its own for your bottles. If it is a"
                f" project of yours from elsewhere, read it, then once: {CHOSEN}={folder} {own_command('fleet')}"
            )
    return ""


def provide_project() -> None:
    """Make the current folder a project, where it is none yet and `bottle` is installed. Raises BottleError."""
    from claude_bottle.policy.errors import BottleError

    here = Path.cwd()
    if not INSTALLED or here.resolve() in _registered():
        return
    if wrong := not_made_here(here):
        raise BottleError(wrong)
    (here / "__main__.py").write_text(_PROGRAM, encoding="utf-8")
    (here / "stacks").mkdir()
    shutil.copyfile(ROOT / "Pulumi.yaml", here / "Pulumi.yaml")
    _register(here)


def _list() -> Path:
    from claude_bottle.host.state_folder import state_folder

    return state_folder("projects") / "folders"


def _registered() -> set[Path]:
    try:
        return {Path(line) for line in _list().read_text(encoding="utf-8").split("\0") if line}
    except OSError:
        return set()


def _register(folder: Path) -> None:
    from claude_bottle.policy.whole_file import write_whole

    folders = sorted(str(one) for one in {*_registered(), folder.resolve()})
    write_whole(_list(), "\0".join(folders).encode())
