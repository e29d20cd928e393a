"""The hook around pack-objects, whose stderr a fetching client sees: it warns if the mirror is old."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .mirror import stale
from .remotes import remote_of


def main() -> None:
    """Print the warning, then run the real command."""
    try:
        if warning := stale(remote_of(Path.cwd())):
            print(f"git-gate: {warning}", file=sys.stderr)
    except (OSError, ValueError, LookupError):
        pass  # a fetch only reads the mirror, and sends nothing out
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - git's own command


if __name__ == "__main__":
    main()
