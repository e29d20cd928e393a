"""Whether a stack's config can be read, and is small enough for Pulumi to pass to its program in one variable.

Linux limits a variable to 128 KB (execve(2), MAX_ARG_STRLEN), and fails late with a bare `argument list too long`.
"""

from __future__ import annotations

import json
from typing import Any

from claude_bottle.host.stack_text import StackTextError, read_config

MOST = (128 << 10) - len("PULUMI_CONFIG=") - 1  # bytes


def config_size(config: dict[str, Any]) -> int:
    """Bytes of the variable: JSON, in which each value that is not text is encoded as JSON again."""
    values = {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in config.items()}
    return len(json.dumps(values))


def cannot_go_up(text: str) -> str | None:
    """Why Pulumi cannot start its program with a stack file of this text; None if it can."""
    try:
        read_config(text)
    except StackTextError as error:
        return str(error)
    return too_large(text)


def too_large(text: str) -> str | None:
    """Why a stack file of this text is too large; None if it is not, or cannot be read."""
    try:
        size = config_size(dict(read_config(text)))
    except StackTextError:
        return None
    if size <= MOST:
        return None
    return (
        f"the stack's config takes {size >> 10} KB, but Pulumi can pass at most {MOST >> 10} KB of it to its program:"
        " write wildcards and path prefixes in place of single routes, leave descriptions out, or make two bottles of"
        " it"
    )
