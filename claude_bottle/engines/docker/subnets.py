"""Small subnets for the networks of bottles. Docker's own pools have room for thirty networks: ten bottles. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from claude_bottle.policy.errors import BottleError

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


@dataclass(frozen=True)
class Pool:
    """Where subnets are taken from. avoided: where the engine's machine has a way to; no new subnet is there."""

    network: ipaddress.IPv4Network = POOL
    avoided: Sequence[str] = ()


def choose(stack: str, role: str, shape: str, taken: Iterable[Taken], pool: Pool = Pool()) -> str:
    """The subnet for a network of a stack: the one it has, as long as its shape is the same, else one that is free.

    shape: all that makes the engine replace the network. A replacement is made while the old one is still there, so it
    gets another subnet. One that it has stays, though the machine has a way there by now: a VPN that comes and goes
    would make every bottle anew. Raises BottleError if none of those that are tried is free.
    """
    own: list[Any] = []
    others: list[Any] = []
    for other in taken:
        (own if (other.stack, other.role) == (stack, role) else others).append(ipaddress.ip_network(other.subnet))
    wanted = list(_sequence(f"{stack}\n{role}\n{shape}", pool.network))
    avoided = [ipaddress.ip_network(other) for other in pool.avoided]
    for subnet in [*(subnet for subnet in wanted if subnet in own), *wanted]:
        in_the_way = others if subnet in own else [*others, *avoided]
        if not any(subnet.overlaps(other) for other in in_the_way if isinstance(other, ipaddress.IPv4Network)):
            return str(subnet)
    ways = [str(other) for other in avoided if other.overlaps(pool.network)]
    why = f" (this machine has a route to {', '.join(ways[:3])})" if ways else ""
    raise BottleError(
        f"no free subnet of {pool.network} was found for the {role} of {stack}{why}; name a pool that nothing else"
        " uses: network: {pool: 10.213.0.0/16}"
    )


def first_address(subnet: str) -> str:
    """The bridge's own, by Docker's custom."""
    return str(ipaddress.IPv4Network(subnet)[1])


def _sequence(key: str, pool: ipaddress.IPv4Network) -> Iterator[ipaddress.IPv4Network]:
    count = 1 << (_PREFIX - pool.prefixlen)
    for number in range(_TRIES):
        place = int.from_bytes(hashlib.sha256(f"{key}\n{number}".encode()).digest()[:8]) % count
        yield ipaddress.IPv4Network((int(pool.network_address) + place * (1 << (32 - _PREFIX)), _PREFIX))
