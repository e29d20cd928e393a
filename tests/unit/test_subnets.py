"""Subnets: small, stable, apart from one another."""

from __future__ import annotations

import ipaddress
import itertools
from pathlib import Path

import pytest

from claude_bottle.engines.docker.host_routes import hears_broadcasts, parse_routes
from claude_bottle.engines.docker.subnets import POOL, Pool, Taken, choose
from claude_bottle.policy.errors import BottleError


def test_a_hundred_bottles_have_room() -> None:
    taken: list[Taken] = []
    for number in range(120):
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
    with pytest.raises(BottleError, match=r"no free subnet of 198\.18\.0\.0/15 .*network: {pool: 10\.213\.0\.0/16}"):
        choose("s", "agent-network", "", [Taken(str(POOL))])
    assert choose("s", "agent-network", "", [Taken("2001:db8::/64"), Taken("172.17.0.0/16")])


def test_a_pool_of_the_owners() -> None:
    pool = Pool(ipaddress.IPv4Network("10.213.0.0/16"))
    subnet = ipaddress.ip_network(choose("s", "agent-network", "", [], pool))
    assert subnet.subnet_of(pool.network)  # type: ignore[arg-type]
    # Another pool is another subnet, though the old one is there.
    old = choose("s", "agent-network", "", [])
    assert choose("s", "agent-network", "", [Taken(old, "s", "agent-network")], pool) == str(subnet)


def test_a_new_subnet_is_where_the_machine_has_no_way_to() -> None:
    first = choose("s", "agent-network", "", [])
    assert choose("s", "agent-network", "", [], Pool(avoided=[first])) != first
    # One that is there stays: a VPN comes and goes.
    assert choose("s", "agent-network", "", [Taken(first, "s", "agent-network")], Pool(avoided=[first])) == first
    with pytest.raises(BottleError, match=r"this machine has a route to 198\.18\.0\.0/16, 198\.19\.0\.0/16"):
        choose("s", "agent-network", "", [], Pool(avoided=["198.18.0.0/16", "198.19.0.0/16"]))


# proc(5); as a machine prints it that has a default route, a bridge of Docker's, and a TUN device in fake-ip mode.
_TABLE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
utun\t000012C6\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
"""


def test_routes_are_read_as_the_kernel_writes_them() -> None:
    assert parse_routes(_TABLE) == ["172.18.0.0/16", "198.18.0.0/16"]
    assert parse_routes("") == parse_routes("x\ny z\n") == []


@pytest.mark.parametrize(
    ("every", "default", "heard"),
    [("0", "0", True), ("0", "2", False), ("1", "0", False), ("2", "2", False), ("0", None, False)],
)
def test_a_machine_without_a_reverse_path_filter_hears_broadcasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: str, default: str | None, heard: bool
) -> None:
    """docs.kernel.org/networking/ip-sysctl.html, rp_filter: the higher one of all and the interface's."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    for name, value in (("all", every), ("default", default)):
        (tmp_path / name).mkdir()
        if value is not None:
            (tmp_path / name / "rp_filter").write_text(f"{value}\n")
    assert hears_broadcasts(tmp_path) is heard
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@build.example.com")
    assert not hears_broadcasts(tmp_path)
