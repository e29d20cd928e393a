"""The checkout that a bottle belongs to: the folder and the machine that last brought it up.

Without this check, two checkouts that share a state would silently take each other's bottle over: the stack file of the
second would apply to it, and the `up` of the first would revert that.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from claude_bottle.policy.errors import Finding
from claude_bottle.policy.own_command import own_command

# Set for one `up`: from then on the bottle belongs to the checkout that it is run from.
TAKE_OVER = "CLAUDE_BOTTLE_TAKE_OVER"


def here(folder: Path) -> dict[str, str]:
    """This checkout: its folder and the machine's name."""
    return {"host": socket.gethostname(), "folder": str(folder.resolve())}


def other_checkout(last: Mapping[str, str], now: Mapping[str, str], stack: str, *, exists: bool) -> Iterator[Finding]:
    """A problem if another checkout brought the bottle up.

    last: the checkout in the state; empty for a bottle that is not up. exists: whether its folder exists on this
    machine. A checkout on this machine whose folder was moved or deleted no longer owns a bottle.
    """
    if not last or last == dict(now) or (last.get("host") == now["host"] and not exists):
        return
    whose = f"{last.get('folder')} on {last.get('host')}"
    message = (
        f"{whose} brought {stack} up last, and has its stack file. Work there, or choose another name for this bottle,"
        f" or take it over once: {TAKE_OVER}=1 {own_command(f'up {stack}')}"
    )
    yield Finding("checkout", now["folder"], message)
