"""Which checkout a bottle belongs to: the folder of this project and the machine that brought it up last.

Two checkouts that share a state would otherwise take one another's bottle over without a word: the second one's stack
file would be the bottle's, and the first one's `up` would take it back.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from claude_bottle.policy.errors import Finding
from claude_bottle.policy.own_command import own_command

# Set for one `up`: the checkout that it is run from has the bottle from then on.
TAKE_OVER = "CLAUDE_BOTTLE_TAKE_OVER"


def here(folder: Path) -> dict[str, str]:
    """This checkout: its folder and the machine's name."""
    return {"host": socket.gethostname(), "folder": str(folder.resolve())}


def other_checkout(last: Mapping[str, str], now: Mapping[str, str], stack: str, *, exists: bool) -> Iterator[Finding]:
    """What stands in the way where another checkout brought the bottle up.

    last: what the state has, empty for a bottle that is not up. exists: whether its folder still is, seen from here.
    One that was moved or deleted on this machine has no bottle any more.
    """
    if not last or last == dict(now) or (last.get("host") == now["host"] and not exists):
        return
    whose = f"{last.get('folder')} on {last.get('host')}"
    message = (
        f"{whose} brought {stack} up last, and has its stack file. Work there, or choose another name for this bottle,"
        f" or take it over once: {TAKE_OVER}=1 {own_command(f'up {stack}')}"
    )
    yield Finding("checkout", now["folder"], message)
