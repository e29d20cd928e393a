"""The networks that this container is on: nothing that a name resolves to may lead there."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

ROUTES = Path("/proc/net/route")  # proc(5): destination, gateway and mask are hex, in the machine's byte order
# The bottle's networks that this container is not on (components/pipelock.py).
NAMED = "CLAUDE_BOTTLE_NETWORKS"


def own_networks() -> list[ipaddress.IPv4Network]:
    """Read anew at each call, because networks are attached to a container that runs. Raises OSError or ValueError."""
    named = filter(None, os.environ.get(NAMED, "").split(","))
    return [*on_link(ROUTES.read_text()), *map(ipaddress.IPv4Network, named)]


def on_link(table: str) -> list[ipaddress.IPv4Network]:
    """The networks that a routing table reaches without a gateway; a default route is none."""
    found = []
    for line in table.splitlines()[1:]:
        _, destination, gateway, _, _, _, _, mask, *_ = line.split()
        if int(gateway, 16) == 0 and int(mask, 16) != 0:
            found.append(ipaddress.IPv4Network((_address(destination), str(ipaddress.IPv4Address(_address(mask))))))
    return found


def _address(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text)[::-1])
