"""Proves from inside a workload that it reaches its own bottle and nothing else. Runs there: `python3 -I -S - SPEC`.

SPEC is JSON. `peers`: the bottle's workloads on the same networks, by their addresses there. `leaving`: addresses that
may answer too. `reach`: pairs of a peer and a port that must answer. `servers`: addresses of name servers. No name is
looked up, and no file read but the kernel's: the agent writes the hosts and resolv.conf that a container in its network
has. Prints one line for each problem and ends with 1, or prints nothing and ends with 0. No packet leaves the networks
of the workload: the probe asks each address there for its hardware address (ARP, RFC 826), and each name server for a
name below `.invalid`, which none has (RFC 6761).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_MOST = 64  # addresses of all networks of a workload; each network of a bottle has 16
_FIRST = 1.5  # seconds until each address has answered: the kernel repeats an ARP request after one (arp(7))
# Seconds until the kernel notices that an address has left, such as that of a container that this `up` has replaced: at
# most 1.5 times base_reachable_time, then delay_first_probe_time and three probes (arp(7): 30, 5 and 1). The kernel
# probes an address only when something is sent to it.
_STALE, _AGAIN = 60.0, 1.0
_NAME_SERVER = 1.2  # seconds; a name server that forwards answers sooner
_CONNECT = 10.0  # seconds, enough on a busy machine
_ROUTES, _NEIGHBOURS = Path("/proc/net/route"), Path("/proc/net/arp")  # proc_pid_net(5)
_IPV6 = Path("/proc/net/if_inet6")
_ANSWERED = 2  # ATF_COM of if_arp.h: the address has answered
_CLOSED = (2, 5)  # SERVFAIL and REFUSED (RFC 1035, 4.1.1)


def networks(table: str) -> tuple[list[ipaddress.IPv4Network], set[str]]:
    """The networks that a workload is on, and the gateways of its routes, from the kernel's table of routes."""
    on, gateways = [], set()
    for line in table.splitlines()[1:]:
        words = line.split()
        destination, gateway, mask = (
            ipaddress.IPv4Address(struct.pack("<I", int(words[place], 16))) for place in (1, 2, 7)
        )
        if int(gateway):
            gateways.add(str(gateway))
        else:
            on.append(ipaddress.IPv4Network((destination, str(mask))))
    return on, gateways


def answered(table: str) -> set[str]:
    """The addresses that have answered, from the kernel's table of neighbours."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {words[0] for words in rows if int(words[2], 16) & _ANSWERED}


def neighbours(peers: Mapping[str, Sequence[str]], leaving: Iterable[str] = ()) -> Iterator[str]:
    """Problems with who answers on the networks: a stranger, the host, or a peer that does not."""
    on, gateways = networks(_ROUTES.read_text())
    if sum(network.num_addresses for network in on) > _MOST:
        yield f"is on networks with more than {_MOST} addresses: {', '.join(map(str, on))}"
        return
    yield from (f"is on no network with {name}" for name, addresses in peers.items() if not addresses)
    known = {address for addresses in peers.values() for address in addresses}
    allowed = known | {*leaving}
    asked = {*(str(address) for network in on for address in network), *gateways}
    before, started = answered(_NEIGHBOURS.read_text()), time.monotonic()  # some of these may have left since
    _ask(asked)
    again = started + _AGAIN
    while True:
        heard, now = answered(_NEIGHBOURS.read_text()), time.monotonic()
        sure = known <= heard <= allowed or heard - allowed - before
        if now - started > (_FIRST if sure else _STALE):
            break
        if now > again:
            _ask(asked)
            again = now + _AGAIN
        time.sleep(0.05)
    # Without an answer from its peers the probe would be blind, and silence would prove nothing.
    yield from (f"gets no answer from {address}, a workload of this bottle" for address in sorted(known - heard))
    for address in sorted(heard - allowed):
        whose = "its gateway, so it has a way out" if address in gateways else "the host or a stranger on its network"
        yield f"gets an answer from {address}, which is no workload of this bottle: {whose}"


def _ask(addresses: Iterable[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for address in addresses:
            with contextlib.suppress(PermissionError):  # a broadcast address; any other error fails the probe
                sender.sendto(b"", (address, 9))  # discard


def query(identity: int) -> bytes:
    """A question for an address below .invalid (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(label)]) + label for label in (b"claude-bottle-closure", b"invalid"))
    return struct.pack("!6H", identity, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!B2H", 0, 1, 1)


def resolves(server: str) -> str | None:
    """Why this name server is one of the outside; None if it refuses, fails or is silent."""
    until = time.monotonic() + _NAME_SERVER
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((server, 53))
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            asking.send(query(7))
            # Read all answers: the agent is on the same loopback, so the first answer may be forged by it.
            while (left := until - time.monotonic()) > 0:
                asking.settimeout(left)
                answer = asking.recv(512)
                if len(answer) < 4 or answer[3] & 15 not in _CLOSED:
                    return f"gets an answer about names of the outside from the name server {server}"
    return None


def ipv6(table: str) -> Iterator[str]:
    """Problems with IPv6, of which a bottle's networks have none: the host's own bridge would answer there."""
    for line in table.splitlines():
        if (device := line.split()[5]) != "lo":
            yield f"has an IPv6 address on {device}, where the host may have one too"


def reaches(name: str, addresses: Sequence[str], port: int) -> str | None:
    """Why a workload that must be reached is not. One that starts again refuses for a moment."""
    until, why = time.monotonic() + _CONNECT, "it has no address"
    for address in addresses:
        while True:
            try:
                with socket.create_connection((address, port), timeout=_CONNECT):
                    return None
            except OSError as error:
                why = error.strerror or str(error)
            if time.monotonic() > until:
                break
            time.sleep(0.2)
    return f"does not reach {name}:{port}: {why}"


def problems(spec: dict[str, Any]) -> Iterator[str]:
    """All of them. What cannot be read is an error, and proves nothing."""
    peers = spec["peers"]
    yield from filter(None, (reaches(name, peers[name], port) for name, port in spec["reach"]))
    yield from neighbours(peers, spec["leaving"])
    yield from filter(None, map(resolves, spec["servers"]))
    yield from ipv6(_IPV6.read_text() if _IPV6.exists() else "")


if __name__ == "__main__":
    lines = list(problems(json.loads(sys.argv[1])))
    print("\n".join(lines), end="")
    sys.exit(1 if lines else 0)
