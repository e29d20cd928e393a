"""Runs a step of an `up` on the owner's machine, in a process of its own. Standard library only.

A step is an idempotent function. It gets a JSON object from standard input, and returns what is printed, which Pulumi
keeps in the state. Its remarks go to standard error, which Pulumi shows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from claude_bottle.policy.errors import BottleError, printable


def run_step(step: Callable[[dict[str, Any]], str], hint: str = "") -> int:
    """Run it; the exit code. hint: the last line of an error."""
    try:
        print(printable(step(json.load(sys.stdin))))
    except (BottleError, OSError) as error:
        print(printable("\n".join(filter(None, (str(error), hint)))), file=sys.stderr)
        return 1
    return 0
