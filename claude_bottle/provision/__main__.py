"""Runs one step of provisioning on the owner's machine during `up`: python3 -m claude_bottle.provision NAME.

The input is a JSON object on stdin, with the agent's container name as `container`. Every step is idempotent. Each step
starts its own Python, so it imports only the standard library and the modules of this project that it needs.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

from claude_bottle.policy.errors import BottleError, printable

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
    step: Any = getattr(import_module(f"claude_bottle.provision.{_MODULES[name]}"), name)
    try:
        print(printable(step(json.load(sys.stdin))))
    except (BottleError, OSError) as error:
        print(f"{printable(str(error))}\nLater steps did not run; fix it and run up again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
