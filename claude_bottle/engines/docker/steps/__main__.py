"""Runs one step on the engine during `up`: python3 -m claude_bottle.engines.docker.steps NAME.

NAME is a module here, and its function. The input is a JSON object on stdin.
"""

from __future__ import annotations

import sys
from importlib import import_module

from claude_bottle.engines.run_step import run_step


def main() -> int:
    """Entry point."""
    name = sys.argv[1]
    return run_step(getattr(import_module(f"claude_bottle.engines.docker.steps.{name}"), name))


if __name__ == "__main__":
    sys.exit(main())
