"""Whether a stack's config is small enough for Pulumi, which gives all of it to its program as one variable.

Linux takes 128 KB for one (execve(2), MAX_ARG_STRLEN), and says `argument list too long` for more, late and of nothing.

    python -m components.stack_size STACK
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

MOST = (128 << 10) - len("PULUMI_CONFIG=") - 1  # bytes


def config_size(config: dict[str, Any]) -> int:
    """Bytes of the variable: JSON, in which each value that is no text is JSON again."""
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    return len(json.dumps(values))


def too_large(text: str) -> str | None:
    """Why a stack file with this text cannot be brought up; None where it can, or is no stack file at all."""
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    config = told.get("config") if isinstance(told, dict) else None
    size = config_size(config) if isinstance(config, dict) else 0
    if size <= MOST:
        return None
    return (
        f"the stack's config takes {size >> 10} KB, and Pulumi can give its program {MOST >> 10} KB of it: write"
        " wildcards and path prefixes in place of single routes, leave descriptions out, or make two bottles of it"
    )


def main() -> int:
    """Entry point."""
    file = Path("stacks") / f"Pulumi.{sys.argv[1]}.yaml"
    wrong = too_large(file.read_text()) if file.is_file() else None
    if wrong:
        print(f"{file}: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
