"""Subnets: small, stable, apart from one another."""

from __future__ import annotations

import ipaddress
import itertools

import pytest

from claude_bottle.engines.docker.subnets import POOL, Taken, choose


def test_hundreds_of_bottles_have_room() -> None:
    taken: list[Taken] = []
    for number in range(400):
        for role in ("agent-network", "chain-network", "outside-network"):
            taken.append(Taken(choose(f"s{number}", role, "", taken), f"s{number}", role))
    nets = sorted(ipaddress.ip_network(one.subnet) for one in taken)
    assert all(not a.overlaps(b) for a, b in itertools.pairwise(nets))
    assert all(net.subnet_of(POOL) and net.num_addresses == 16 for net in nets)  # type: ignore[arg-type]


def test_it_stays_when_others_come_and_go() -> None:
    first = choose("s", "agent-network", "", [])
    moved = choose("s", "agent-network", "", [Taken(first, "other", "agent-network")])
    assert moved != first
    assert choose("s", "agent-network", "", [Taken(moved, "s", "agent-network")]) == moved
    assert choose("s", "agent-network", "", [Taken(first, "s", "agent-network")]) == first


def test_a_replacement_has_another_one() -> None:
    old = choose("s", "agent-network", "one", [])
    assert choose("s", "agent-network", "two", [Taken(old, "s", "agent-network")]) != old


def test_larger_networks_and_ipv6_are_kept_clear_of() -> None:
    with pytest.raises(ValueError, match="no free subnet"):
        choose("s", "agent-network", "", [Taken(str(POOL))])
    assert choose("s", "agent-network", "", [Taken("2001:db8::/64"), Taken("172.17.0.0/16")])
