"""The row of docs/plan.md about routes, generated from the declarations of their keys. Pure."""

from __future__ import annotations

import re

from claude_bottle.policy.declared.keys import Choice, Key
from claude_bottle.policy.routes.route import KEYS


def with_keys_of_routes(page: str) -> str:
    """The page with the row of the current keys."""
    always, given = (", ".join(_shown(k) for k in KEYS.values() if k.always is flag) for flag in (True, False))
    row = f"| `egress.routes[]` | {always}; where given {given} |"
    return re.sub(r"^\| `egress\.routes\[\]` \|.*", lambda _: row, page, flags=re.MULTILINE)


def _shown(key: Key) -> str:
    options = f" ({' or '.join(f'`{one}`' for one in key.options)})" if isinstance(key, Choice) else ""
    null = " (null without a token)" if key.always and key.default is None and not key.required else ""
    return f"`{key.name}`{options}{null}"
