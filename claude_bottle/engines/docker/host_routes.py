"""Where the engine's machine has a way to: a bottle's subnet there would hide hosts of a VPN or an office."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

_TABLE = Path("/proc/net/route")  # proc(5): hexadecimal, in the byte order of the machine, here little-endian
_WIDE = 8  # shorter prefixes are the way to everything else: a default route, or halves of one as VPNs set them


def parse_routes(table: str) -> list[str]:
    """The networks of such a table, each once. Pure; what is no route is left out."""
    networks: dict[str, None] = {}
    for line in table.splitlines()[1:]:
        words = line.split()
        try:
            address, mask = (int.from_bytes(bytes.fromhex(words[place]), "little") for place in (1, 7))
            network = ipaddress.IPv4Network((address, mask.bit_count()), strict=False)
        except (IndexError, ValueError):
            continue
        if network.prefixlen >= _WIDE:
            networks[str(network)] = None
    return list(networks)


def ways_of_the_machine() -> list[str]:
    """Those of this machine's main table; none where the engine is on another one, or there is no such file."""
    if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:"):
        return []
    try:
        return parse_routes(_TABLE.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return []
