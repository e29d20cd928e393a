"""The networks of this container, to which no name may resolve."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from claude_bottle.policy.names.exempt import Network

ROUTES = Path("/proc/net/route")  # proc(5): destination, gateway and mask are hex, in the machine's byte order
ROUTES_6 = Path("/proc/net/ipv6_route")  # missing if the kernel has no IPv6
# The bottle's other networks, which this container is not on (components/pipelock.py).
NAMED = "CLAUDE_BOTTLE_NETWORKS"


def own_networks() -> list[Network]:
    """Read on each call, because networks are attached to a running container. Raises OSError or ValueError."""
    named = filter(None, os.environ.get(NAMED, "").split(","))
    others = on_link_6(ROUTES_6.read_text()) if ROUTES_6.exists() else []
    return [*on_link(ROUTES.read_text()), *others, *map(ipaddress.IPv4Network, named)]


def on_link(table: str) -> list[ipaddress.IPv4Network]:
    """The networks that a routing table reaches without a gateway, without a default route."""
    networks = []
    for line in table.splitlines()[1:]:
        _, destination, gateway, _, _, _, _, mask, *_ = line.split()
        if int(gateway, 16) == 0 and int(mask, 16) != 0:
            networks.append(ipaddress.IPv4Network((_address(destination), str(ipaddress.IPv4Address(_address(mask))))))
    return networks


def on_link_6(table: str) -> list[ipaddress.IPv6Network]:
    """The same for an IPv6 table: destination, its length, source, its length, next hop, all in big-endian hex."""
    networks = []
    for line in table.splitlines():
        destination, length, _, _, gateway, *_ = line.split()
        if int(gateway, 16) == 0 and int(length, 16) != 0:
            networks.append(ipaddress.IPv6Network((int(destination, 16), int(length, 16))))
    return networks


def _address(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text)[::-1])
