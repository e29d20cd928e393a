"""Runs one step of provisioning on the owner's machine during `up`: python3 -m claude_bottle.provision NAME.

The input is a JSON object on stdin, with the agent's container name as `container`. Each step starts its own Python, so
it imports only the standard library and the modules of this project that it needs.
"""

from __future__ import annotations

import sys
from importlib import import_module

from claude_bottle.engines.run_step import run_step

_MODULES = {
    "ca": "trust",
    "prompt": "settings",
    "git": "settings",
    "supervise": "settings",
    "skills": "copies",
    "workspace": "copies",
}


def main() -> int:
    """Entry point."""
    name = sys.argv[1]
    step = getattr(import_module(f"claude_bottle.provision.{_MODULES[name]}"), name)
    return run_step(step, "Later steps did not run; fix it and run up again.")


if __name__ == "__main__":
    sys.exit(main())
