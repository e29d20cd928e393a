from __future__ import annotations

import pytest

from addons.hosts import AddressGuard, canonical_host, canonical_pattern, host_matches, is_ip_literal, split_authority


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


def test_ip_literals_in_every_notation() -> None:
    assert all(map(is_ip_literal, ["1.2.3.4", "1", "0x7f000001", "127.1", "[::1]", "::", "1.2.3.4."]))
    assert not any(map(is_ip_literal, ["example.com", "1e100.net", "0xdeadbeef.example.com"]))
