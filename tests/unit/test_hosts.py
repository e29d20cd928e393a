from __future__ import annotations

import pytest

from claude_bottle.policy.names.hosts import (
    AddressGuard,
    canonical_host,
    canonical_pattern,
    host_matches,
    is_ip_literal,
    split_authority,
)


@pytest.mark.parametrize("host", ["api.example.com", "API.Example.COM", "a-b.example", "_egress.local", "x"])
def test_a_plain_name_is_lowered(host: str) -> None:
    assert canonical_host(host) == host.lower()


@pytest.mark.parametrize(
    "host",
    ["", ".", "a..b", "example.com.", "-a.com", "a-.com", "a b.com", "a/b", "a@b.com", "user:pw@a.com", "a.com:443",
     "a\x00.com", "a\n.com", "münchen.example", "ⅰ.example.com", "a%2e.com", "x" * 64 + ".com", "a." * 127 + "com",
     "127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0x7f.1", "[::1]", "::1", "1.2.3.4.",
     "example.0x1", "a\\b.com", "*.example.com"],
)  # fmt: skip
def test_what_two_parsers_could_read_differently_is_no_name(host: str) -> None:
    with pytest.raises(ValueError, match=r"host|IP|ASCII"):
        canonical_host(host)


def test_an_international_name_gets_its_ascii_form_as_a_hint() -> None:
    with pytest.raises(ValueError, match="xn--mnchen-3ya"):
        canonical_host("münchen.example")


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("example.com", "example.com", True),
        ("example.com", "api.example.com", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "evilexample.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "api.example.com.evil.org", False),
    ],
)
def test_patterns(pattern: str, host: str, matches: bool) -> None:
    assert host_matches(canonical_pattern(pattern), host) is matches


@pytest.mark.parametrize(
    "pattern", ["*", "*.", "*.com", "*.*.example.com", "a.*.com", "*example.com", "localhost", "*.1"]
)
def test_other_wildcards_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"host|label|IP"):
        canonical_pattern(pattern)


@pytest.mark.parametrize(
    "text", ["a.com:0", "a.com:", "a.com:65536", "a.com:44x", "u@a.com", "a.com:443:1", "[::1]:443"]
)
def test_an_unclear_authority_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host|IP"):
        split_authority(text, 443)


def test_an_authority_has_a_default_port() -> None:
    assert split_authority("A.com", 443) == ("a.com", 443)
    assert split_authority("a.com:8443", 443) == ("a.com", 8443)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("93.184.216.34", True), ("203.0.113.9", True), ("2606:4700::1", True), ("10.1.2.3", False), ("127.0.0.1", False),
     ("169.254.169.254", False), ("172.17.0.1", False), ("192.168.1.1", False), ("100.64.0.1", False), ("0.0.0.0", False),
     ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False), ("::ffff:10.0.0.1", False),
     ("::ffff:8.8.8.8", True), ("fe80::1%eth0", False), ("fd00::1", False), ("64:ff9b::a00:1", False),
     ("2002:a00:1::", False), ("not an address", False), ("", False)],
)  # fmt: skip
def test_internal_addresses_are_not_dialled(address: str, allowed: bool) -> None:
    assert AddressGuard().allows(address) is allowed


@pytest.mark.parametrize(
    "address",
    # The IANA IPv4 Special-Purpose Address Registry, but for the documentation prefixes: an address of each row.
    ["0.1.2.3", "10.255.255.255", "100.127.255.255", "127.255.255.254", "169.254.1.1", "172.31.255.255", "192.0.0.8",
     "192.0.0.9", "192.0.0.170", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.255.255", "192.175.48.1",
     "198.18.0.1", "198.19.255.255", "240.0.0.1", "255.255.255.255",
     "239.255.255.250",  # multicast
     # Services of a cloud for its machines: AWS, GCP and Azure; Alibaba; Oracle; Azure's host.
     "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254",
     # The IPv6 registry.
     "::1", "::", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::c612:1", "64:ff9b:1::7f00:1", "100::1", "100:0:0:1::1",
     "2001::1", "2001:1::1", "2001:1::3", "2001:2::1", "2001:3::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1",
     "2002:7f00:1::1", "2620:4f:8000::1", "3fff::1", "3fff:fff::1", "5f00::1", "fc00::1", "fdff::1", "fe80::1",
     # Forms that carry 127.0.0.1 or 10.0.0.1: compatible and mapped (RFC 4291, 2.5.5), translated (RFC 2765), Teredo
     # (RFC 4380: the client's address inverted), ISATAP (RFC 5214) in a network of its own.
     "::127.0.0.1", "::7f00:1", "::ffff:7f00:1", "::ffff:0:127.0.0.1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
     "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1", "fe80::5efe:10.0.0.1",
     # Reserved by RFC 4291 and RFC 3879, unassigned, multicast.
     "1::1", "4000::1", "8000::1", "e000::1", "fec0::1", "ff02::1", "::ffff:10.0.0.1%eth0"],
)  # fmt: skip
def test_no_special_purpose_address_is_dialled(address: str) -> None:
    assert not AddressGuard().allows(address)


@pytest.mark.parametrize(
    "address",
    # Public resolvers and sites; neighbours of special networks; the prefixes that the tests play the internet with.
    ["1.1.1.1", "8.8.8.8", "140.82.112.3", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.1", "192.0.1.1",
     "192.88.98.1", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "192.0.2.1", "198.51.100.7",
     "203.0.113.9", "2001:db8::1", "2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001::200e",
     "2620:4f:8001::1", "2003::1", "3ffe::1", "::ffff:8.8.8.8", "2606:4700::5efe:8.8.8.8",
     "64:ff9b::8.8.8.8"],  # NAT64 of a public address (RFC 6052)
)  # fmt: skip
def test_the_rest_of_the_internet_is_there(address: str) -> None:
    assert AddressGuard().allows(address)


def test_ip_literals_in_every_notation() -> None:
    assert all(map(is_ip_literal, ["1.2.3.4", "1", "0x7f000001", "127.1", "[::1]", "::", "1.2.3.4."]))
    assert not any(map(is_ip_literal, ["example.com", "1e100.net", "0xdeadbeef.example.com"]))
