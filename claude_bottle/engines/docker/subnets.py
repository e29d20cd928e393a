"""Small subnets for the networks of bottles. Docker's own pools have room for thirty networks: ten bottles. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# For benchmarks of network devices (RFC 2544): no host of the internet is there, and egress and pipelock refuse it.
POOL = ipaddress.IPv4Network("198.18.0.0/15")
_PREFIX = 28  # thirteen addresses beside the bridge's own; a bottle has five containers
_TRIES = 64


@dataclass(frozen=True)
class Taken:
    """A subnet that some network of the engine has; stack and role: of the bottle that it is of, or empty."""

    subnet: str
    stack: str = ""
    role: str = ""


def choose(stack: str, role: str, shape: str, taken: Iterable[Taken]) -> str:
    """The subnet for a network of a stack: the one it has, as long as its shape is the same, else one that is free.

    shape: all that makes the engine replace the network. A replacement is made while the old one is still there, so it
    gets another subnet. Raises ValueError if none of those that are tried is free.
    """
    own: list[Any] = []
    others: list[Any] = []
    for other in taken:
        (own if (other.stack, other.role) == (stack, role) else others).append(ipaddress.ip_network(other.subnet))
    wanted = list(_sequence(f"{stack}\n{role}\n{shape}"))
    for subnet in [*(subnet for subnet in wanted if subnet in own), *wanted]:
        if not any(subnet.overlaps(other) for other in others if isinstance(other, ipaddress.IPv4Network)):
            return str(subnet)
    raise ValueError(f"no free subnet of {POOL} was found for the {role} of {stack}")


def first_address(subnet: str) -> str:
    """The bridge's own, by Docker's custom."""
    return str(ipaddress.IPv4Network(subnet)[1])


def _sequence(key: str) -> Iterator[ipaddress.IPv4Network]:
    count = 1 << (_PREFIX - POOL.prefixlen)
    for number in range(_TRIES):
        place = int.from_bytes(hashlib.sha256(f"{key}\n{number}".encode()).digest()[:8]) % count
        yield ipaddress.IPv4Network((int(POOL.network_address) + place * (1 << (32 - _PREFIX)), _PREFIX))
