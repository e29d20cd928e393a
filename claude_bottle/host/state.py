"""Where this project keeps what outlives a checkout, on the owner's side. Only the standard library."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder(what: str) -> Path:
    """A folder of the user's own (mode 700), made when it is not there; XDG_STATE_HOME moves it."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "claude-bottle" / what
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return state
