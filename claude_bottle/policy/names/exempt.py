"""Internal addresses to which an owner may let names resolve, and those that are never allowed. Pure.

A proxy in fake-ip mode on the owner's machine (Clash, Surge, sing-box) answers every name with an address of its own,
by default from 198.18.0.0/15, and maps it back to the name when a connection is opened.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FAKE_IP = ipaddress.ip_network("198.18.0.0/15")
# This host, loopback, link-local with the metadata services of clouds, multicast, reserved (RFC 6890).
_NEVER = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
# Metadata services elsewhere: Azure, Alibaba, Oracle, AWS and Google by IPv6 (their pages on instance metadata).
_METADATA = ("168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::/32", "fd20:ce::254/128")
_IPV6 = ipaddress.IPv6Network("fc00::/7")  # other prefixes may lead anywhere
NEVER = tuple(map(ipaddress.ip_network, (*_NEVER, *_METADATA)))
# The same for a name that the owner lets resolve to internal addresses. Loopback is pipelock's own container, in which
# nothing listens on the ports that it dials.
NEVER_OF_A_NAME = (
    *(network for network in (*_NEVER, *_METADATA) if network != "127.0.0.0/8"),
    "::/128",
    "fe80::/10",
    "ff00::/8",
)


def checked_exempt(value: str) -> str:
    """The network in its canonical form. Raises ValueError with what to write instead."""
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("write a network (198.18.0.0/15) whose address has no bit beyond its length") from None
    if network.version == 6 and not _within(network, [_IPV6]):
        raise ValueError(f"write an IPv4 network, or one of unique local addresses ({_IPV6})")
    if any(network.overlaps(one) for one in map(ipaddress.ip_network, _NEVER)) or _within(network, NEVER):
        raise ValueError("holds loopback, link-local, metadata or other addresses that are never dialled")
    return str(network)


def is_exempt(address: Address, exempt: Iterable[Network], own: Iterable[Network]) -> bool:
    """Whether an internal address may be dialled. own: the bottle's networks, which are never exempt."""
    return _holds(exempt, address) and not _holds(NEVER, address) and not _holds(own, address)


def holds(networks: Iterable[Network], address: str) -> bool:
    """Whether an address is in one of the networks. False for text that is no address."""
    try:
        return _holds(networks, ipaddress.ip_address(address))
    except ValueError:
        return False


def is_fake(address: str) -> bool:
    """Whether a proxy in fake-ip mode answers with this address by default."""
    return holds([FAKE_IP], address)


def covers(others: Iterable[str], network: str) -> bool:
    """Whether a network lies within one of the others."""
    return _within(ipaddress.ip_network(network), map(ipaddress.ip_network, others))


def _within(network: Network, others: Iterable[Network]) -> bool:
    return any(network.version == one.version and network.subnet_of(one) for one in others)  # type: ignore[arg-type]


def _holds(networks: Iterable[Network], address: Address) -> bool:
    return any(address in one for one in networks)
