"""Routes of the engine's machine. A bottle's subnet that overlaps one would hide hosts of a VPN or an office."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from claude_bottle.engines.docker.context import is_far

_TABLE = Path("/proc/net/route")  # proc(5): hexadecimal, in the byte order of the machine, here little-endian
_SETTINGS = Path("/proc/sys/net/ipv4/conf")
_WIDE = 8  # shorter prefixes lead to everything else: a default route, or the halves of one that VPNs set


def parse_routes(table: str) -> list[str]:
    """The networks in such a table, each once. Skips networks wider than /8 and lines that are not routes. Pure."""
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
    """The networks that this machine's main table has routes to; empty for a remote engine or without such a table."""
    if is_far():
        return []
    try:
        return parse_routes(_TABLE.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return []


def hears_broadcasts(settings: Path = _SETTINGS) -> bool:
    """Whether services of this machine receive a bottle's broadcasts, because a new bridge gets no reverse-path filter.

    The kernel uses the higher value of `all` and the interface's, which starts as `default` (ip-sysctl.rst, rp_filter).
    """
    if is_far():
        return False
    try:
        return all((settings / name / "rp_filter").read_text().strip() == "0" for name in ("all", "default"))
    except OSError:
        return False


BROADCASTS = (
    "services of this machine that listen on all addresses hear a bottle's broadcasts, because the kernel's rp_filter"
    " is 0. Set it: sysctl -w net.ipv4.conf.default.rp_filter=2, and the same in /etc/sysctl.d"
)
