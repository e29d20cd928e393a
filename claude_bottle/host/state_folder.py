"""Where this project stores data of the owner's that outlives a checkout. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder(what: str) -> Path:
    """A private folder of the user's (mode 700), created if it does not exist. XDG_STATE_HOME moves it."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "claude-bottle" / what
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return state
