"""Inner addresses that names may resolve to, and those that none ever may."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from addons.pipelock import own_networks as module
from addons.pipelock.core import Policy
from addons.pipelock.own_networks import on_link, own_networks
from addons.pipelock.policy import LoadedPolicy
from claude_bottle.engines.docker.resources.network import CLOSED_DNS
from claude_bottle.engines.docker.subnets import POOL, choose
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.policy.names.exempt import checked_exempt
from claude_bottle.policy.names.hosts import AddressGuard

# Of a container on two networks of Docker; proc(5) has the columns.
ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010012C6\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000012C6\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0
eth1\t400013C6\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
"""
# Of the same machine, with a network of Docker that has IPv6: loopback, that network, link-local, a default route.
ROUTES_6 = """00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
fc000000000000010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fc000000000000010000000000000001 00000400 00000001 00000000 00000003     eth0
"""
OWN = [ipaddress.ip_network(one) for one in ("198.18.0.0/28", "198.19.0.64/28")]


def config(*networks: str) -> bytes:
    section = {"allow": ["a.example.com"], "internal_exempt": list(networks)}
    return render(Manifest.model_validate({"pipelock": section})).encode()


def reason(policy: Policy, *addresses: str) -> str | None:
    refusal = policy.refuse_addresses("a.example.com", list(addresses))
    return refusal and refusal.reason


def test_a_fake_address_passes_where_the_owner_says_so() -> None:
    plain, exempt = Policy.parse(config()), Policy.parse(config("198.18.0.0/15"), lambda: OWN)
    for address in ("198.18.1.2", "198.19.255.9"):
        assert reason(plain, address) == "ssrf_private_ip"
        assert reason(exempt, address) is None
    assert reason(exempt, "10.0.0.1") == "ssrf_private_ip"
    assert reason(exempt, "198.18.1.2", "10.0.0.1") == "ssrf_private_ip"


def test_a_refusal_names_the_key() -> None:
    """The defaults of Clash (198.18.0.1/16), Surge and sing-box (198.18.0.0/15), by their documentation."""
    plain, exempt = Policy.parse(config()), Policy.parse(config("198.18.0.0/15"), lambda: OWN)
    for policy, address, named in (
        (plain, "198.18.1.2", True),
        (plain, "10.0.0.1", False),
        (exempt, "198.18.0.3", False),
    ):
        refusal = policy.refuse_addresses("a.example.com", [address])
        assert refusal is not None
        assert ("pipelock.internal_exempt: [198.18.0.0/15]" in refusal.message) is named


def test_the_bottles_own_networks_are_never_exempt() -> None:
    policy = Policy.parse(config("198.18.0.0/15"), lambda: OWN)
    for address in ("198.18.0.3", "198.19.0.66", "::ffff:198.18.0.3", "64:ff9b::c612:3"):
        assert reason(policy, address) == "ssrf_private_ip"
    for role in ("agent-network", "chain-network", "outside-network"):
        subnet = ipaddress.ip_network(choose("s", role, "x", []))
        assert isinstance(subnet, ipaddress.IPv4Network)
        assert subnet.subnet_of(POOL)
        assert (
            reason(Policy.parse(config("198.18.0.0/15"), lambda own=subnet: [own]), str(subnet[2])) == "ssrf_private_ip"
        )


def test_who_does_not_know_its_networks_exempts_nothing() -> None:
    def broken() -> list[ipaddress.IPv4Network]:
        raise OSError("no /proc")

    assert reason(Policy.parse(config("198.18.0.0/15"), broken), "198.18.1.2") == "ssrf_private_ip"


def test_own_networks_are_read_of_the_kernel_at_each_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_link(ROUTES) == OWN
    monkeypatch.setattr(module, "ROUTES", tmp_path / "route")
    monkeypatch.setattr(module, "ROUTES_6", tmp_path / "ipv6_route")
    monkeypatch.setenv("CLAUDE_BOTTLE_NETWORKS", "198.18.7.0/28")
    policy = LoadedPolicy(config("198.18.0.0/15")).policy
    assert reason(policy, "198.18.0.3") == "ssrf_private_ip"  # there is no file yet
    (tmp_path / "route").write_text(ROUTES.splitlines()[0])
    assert reason(policy, "198.18.0.3") is None
    (tmp_path / "route").write_text(ROUTES)
    assert reason(policy, "198.18.0.3") == reason(policy, "198.18.7.2") == "ssrf_private_ip"
    assert own_networks() == [*OWN, ipaddress.ip_network("198.18.7.0/28")]
    inner = LoadedPolicy(config("fc00::/18")).policy
    assert reason(inner, "fc00:0:0:1::2") is None
    (tmp_path / "ipv6_route").write_text(ROUTES_6)
    assert reason(inner, "fc00:0:0:1::2") == "ssrf_private_ip"
    assert reason(inner, "fc00:0:0:2::2") is None


@pytest.mark.parametrize(
    "network",
    ["127.0.0.0/8", "127.0.0.1/32", "0.0.0.0/0", "0.0.0.0/1", "169.254.0.0/16", "169.254.169.254/32", "168.63.129.16/32",
     "100.100.100.200/32", "224.0.0.0/4", "240.0.0.0/4", "::/0", "::1/128", "fe80::/10", "fd00:ec2::/32",
     "fd00:ec2::254/128", "fd20:ce::254/128", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0/96", "2002::/16",
     "198.18.0.1/15", "everything", ""],
)  # fmt: skip
def test_what_can_never_be_exempt(network: str) -> None:
    with pytest.raises(ValueError, match=r"write|never"):
        checked_exempt(network)
    with pytest.raises(ValueError, match="internal_exempt"):
        Manifest.model_validate({"pipelock": {"internal_exempt": [network]}})
    with pytest.raises(ValueError, match=r"write|never"):
        Policy.parse(config("198.18.0.0/16").replace(b"- 198.18.0.0/16", f"- '{network}'".encode()))


def test_within_a_wide_exemption_metadata_stays_refused() -> None:
    guard = AddressGuard(exempt=["100.64.0.0/10", "fc00::/7", "10.0.0.0/8"])
    assert all(map(guard.allows, ("100.64.0.1", "fc00::1", "10.1.2.3", "::ffff:10.1.2.3")))
    refused = ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "127.0.0.1", "169.254.169.254", CLOSED_DNS, "::1")
    assert not any(map(guard.allows, refused))


@pytest.mark.parametrize(
    ("address", "reason"),
    [("10.0.0.1", None), ("192.168.1.1", None), ("100.64.0.1", None), ("198.18.0.1", None), ("fd12::1", None),
     ("127.0.0.1", None), ("::1", None), ("0.0.0.0", "ssrf_private_ip"), ("169.254.169.254", "ssrf_private_ip"),
     ("168.63.129.16", "ssrf_private_ip"), ("100.100.100.200", "ssrf_private_ip"), ("fd00:ec2::254", "ssrf_private_ip"),
     ("::", "ssrf_private_ip"), ("fe80::1", "ssrf_private_ip"), ("ff02::1", "ssrf_private_ip"),
     ("::ffff:169.254.169.254", "ssrf_private_ip"), ("64:ff9b::a9fe:a9fe", "ssrf_private_ip"),
     ("64:ff9b::a00:1", None)],
)  # fmt: skip
def test_a_name_that_may_be_inner_is_never_link_local_or_metadata(address: str, reason: str | None) -> None:
    """docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html; RFC 6890."""
    manifest = Manifest.model_validate(
        {"pipelock": {"allow": ["git.corp.example"], "allow_private_addresses": ["git.corp.example"]}}
    )
    refusal = Policy.parse(render(manifest).encode()).refuse_addresses("git.corp.example", [address])
    assert (refusal.reason if refusal else None) == reason


@pytest.mark.parametrize(
    ("inside", "allowed"),
    [("203.0.113.9", True), ("8.8.8.8", True), ("10.0.0.1", False), ("127.0.0.1", False), ("169.254.169.254", False),
     ("192.168.1.1", False), ("198.18.0.1", False), ("168.63.129.16", False), ("0.0.0.0", False)],
)  # fmt: skip
def test_nat64_is_judged_by_the_address_inside(inside: str, allowed: bool) -> None:
    """RFC 6052, 2.1 and 3.1: the well-known prefix, which must not stand for what is not global."""
    number = int(ipaddress.IPv4Address(inside))
    assert AddressGuard().allows(str(ipaddress.IPv6Address((0x64FF9B << 96) | number))) is allowed
    assert not AddressGuard().allows(str(ipaddress.IPv6Address((0x64FF9B0001 << 80) | number)))  # RFC 8215: local use


def test_the_upstream_engine_has_no_such_key() -> None:
    image = "pipelock@sha256:" + "a" * 64
    with pytest.raises(ValueError, match="internal_exempt"):
        Manifest.model_validate(
            {"pipelock": {"engine": "upstream", "image": image, "internal_exempt": ["198.18.0.0/15"]}}
        )
