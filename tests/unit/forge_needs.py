"""What a call to a forge needs, in words with blanks between them, for tables of cases; None for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from claude_bottle.policy.forge import api, body


def needed(method: str, path: str, host: str = "") -> str | None:
    return _words(api.needed(method, path, host))


def needed_by_body(host: str, path: str, content_type: str, sent: bytes, prefixes: Sequence[str] = ()) -> str | None:
    return _words(body.needed_by_body(host, path, content_type, sent, prefixes))


def _words(needs: frozenset[str]) -> str | None:
    return " ".join(sorted(needs)) or None
