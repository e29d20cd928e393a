"""Small subnets for bottle networks, because Docker's own pools hold about thirty networks: ten bottles. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from claude_bottle.policy.errors import BottleError

# Reserved for benchmarks of network devices (RFC 2544): no internet host has one, and egress and pipelock refuse them.
POOL = ipaddress.IPv4Network("198.18.0.0/15")
_PREFIX = 28  # thirteen addresses besides the bridge's own; a bottle has five containers
_TRIES = 64


@dataclass(frozen=True)
class Taken:
    """A subnet in use on the engine. stack and role: of the bottle that owns it, or empty."""

    subnet: str
    stack: str = ""
    role: str = ""


@dataclass(frozen=True)
class Pool:
    """Where subnets are chosen from. avoided: routes of the engine's machine, which no new subnet overlaps."""

    network: ipaddress.IPv4Network = POOL
    avoided: Sequence[str] = ()


def choose(stack: str, role: str, shape: str, taken: Iterable[Taken], pool: Pool = Pool()) -> str:
    """The subnet for a network of a stack: its present one as long as its shape is unchanged, else a free one.

    shape: everything that makes the engine replace the network. A replacement is created while the old network still
    exists, so it needs another subnet. A present subnet stays even if the machine has a route there by now, because
    otherwise a VPN that comes and goes would rebuild every bottle. Raises BottleError after 64 taken candidates.
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
    """The bridge's own address, by Docker's convention."""
    return str(ipaddress.IPv4Network(subnet)[1])


def _sequence(key: str, pool: ipaddress.IPv4Network) -> Iterator[ipaddress.IPv4Network]:
    count = 1 << (_PREFIX - pool.prefixlen)
    for number in range(_TRIES):
        place = int.from_bytes(hashlib.sha256(f"{key}\n{number}".encode()).digest()[:8]) % count
        yield ipaddress.IPv4Network((int(pool.network_address) + place * (1 << (32 - _PREFIX)), _PREFIX))
