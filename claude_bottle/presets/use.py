"""Expands `use` of a manifest with answers of this machine's clients. Asks only those of the presets in use."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from claude_bottle.policy.errors import Finding
from claude_bottle.presets.answers import Told
from claude_bottle.presets.clients import Clients
from claude_bottle.presets.written_out import written_out

_FRESH = 60.0  # seconds for which answers are reused
_clients: dict[tuple[Path, ...], tuple[float, Clients]] = {}


def use_presets(raw: object, base: Path) -> tuple[object, list[Finding]]:
    """The manifest without `use`, and all problems. base: the folder of the stack file."""
    aside = tuple(_workspace(raw, base))
    now = time.monotonic()
    if aside not in _clients or now - _clients[aside][0] > _FRESH:
        _clients[aside] = now, Clients(aside)
    return written_out(raw, _clients[aside][1].ask)


def without_answers(raw: object) -> object:
    """The manifest with the presets' packages, but without answers of clients: none is asked."""
    return written_out(raw, lambda _: Told([]))[0]


def _workspace(raw: object, base: Path) -> list[Path]:
    workspace = raw.get("workspace") if isinstance(raw, Mapping) else None
    path = workspace.get("path") if isinstance(workspace, Mapping) else None
    return [(base / Path(path).expanduser()).resolve()] if isinstance(path, str) and path else []
