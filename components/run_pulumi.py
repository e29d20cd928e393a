"""Runs a verb of Pulumi's on one stack, with its own progress on this terminal. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from components.errors import BottleError


def run_pulumi(stack: str, *argv: str, env: Mapping[str, str] | None = None) -> None:
    """Raises BottleError when it fails.

    A Ctrl-C goes to Pulumi too, which comes to an end by itself; killed, as `subprocess.run` would, it leaves its lock.
    """
    if shutil.which("pulumi") is None:
        raise BottleError("pulumi is not there; make setup (or bottle up) gets it, bottle doctor says what is missing")
    process = subprocess.Popen(["pulumi", *argv, "--stack", stack], env={**os.environ, **(env or {})})
    code = None
    while code is None:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue
    if code != 0:
        raise BottleError(f"pulumi {argv[0]} of {stack} failed, see above")
