"""Host names and host patterns: one canonical form, one match, used by the manifest and by both proxies.

Everything here rejects unclear input: a name that two parsers could read differently is not a name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable

from claude_bottle.policy.names.a_labels import PREFIX, is_a_label
from claude_bottle.policy.names.exempt import Address, Network, is_exempt

# RFC 1123 labels; the underscore is used by the introspection hosts and by some real service names.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
# inet_aton(3) takes one to four parts, each decimal, octal or hexadecimal: 127.1, 0x7f000001, 2130706433, 0177.0.0.1.
_ATON_PART = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")

# Not reachable on the public internet, or pointing back inside: the IANA IPv4 and IPv6 Special-Purpose Address
# Registries (RFC 6890 and its updates), multicast, and for IPv6 everything but global unicast (2000::/3, RFC 4291,
# 2.4). The documentation prefixes 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 and 2001:db8::/32 are left out: nothing
# routes them, and a test network can play the internet with them.
INTERNAL_NETWORKS: tuple[str, ...] = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.31.196.0/24", "192.52.193.0/24",  # AS112 and AMT (RFC 7535, RFC 7450)
    "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
    "192.168.0.0/16", "192.175.48.0/24",  # AS112 (RFC 7534)
    "198.18.0.0/15",
    "168.63.129.16/32",  # the host of a machine in Azure ("What is IP address 168.63.129.16?", learn.microsoft.com)
    "224.0.0.0/4", "240.0.0.0/4",
    # Loopback, IPv4-compatible, -mapped and -translated addresses, NAT64, the discard and dummy prefixes; segment
    # routing (5f00::/16); unique local, link-local, site-local and multicast addresses.
    "::/3", "4000::/2", "8000::/1",
    "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, AMT, benchmarking, …
    "2002::/16",  # 6to4: an IPv4 address in the prefix
    "2620:4f:8000::/48",  # AS112 (RFC 7534)
    "3fff::/20",  # documentation (RFC 9637)
)  # fmt: skip
# In the last 64 bits of an address, before the IPv4 address to which a packet is forwarded (ISATAP, RFC 5214, 6.1).
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
# A translator's form of an IPv4 address, which is in the last 32 bits (RFC 6052, 2.1 and 2.2); DNS64 answers with it.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_ip_literal(host: str) -> bool:
    """True for an IP address in any notation that some resolver accepts: dotted, decimal, octal, hex, short, IPv6."""
    text = host.strip().rstrip(".").lower()
    if ":" in text or text.startswith("["):
        return True
    parts = text.split(".")
    # A host whose last label is numeric is an IPv4 address or nothing (WHATWG URL standard, "ends in a number").
    return bool(parts[-1]) and bool(_ATON_PART.match(parts[-1]))


def canonical_host(host: str) -> str:
    """The name in lower case, without port or trailing dot.

    Raises ValueError for anything that is not a plain ASCII host name: IP literals in every notation, user info, ports,
    empty or over-long labels, non-ASCII text (write the punycode form), labels that only look like punycode, control
    characters, a trailing dot.
    """
    if not host.isascii():
        try:
            hint = f"; its ASCII form is {host.encode('idna').decode()}"
        except UnicodeError:
            hint = ""
        raise ValueError(f"not an ASCII host name{hint}")
    name = host.lower()
    if not name or len(name) > 253:
        raise ValueError("a host name has 1 to 253 characters")
    if is_ip_literal(name):
        raise ValueError("an IP address is not a host name")
    for label in name.split("."):
        if not _LABEL.match(label):
            raise ValueError("not a host name")
        if label.startswith(PREFIX) and not is_a_label(label):
            raise ValueError("a label that begins with xn-- and stands for no name in other letters (RFC 5891)")
    return name


def canonical_pattern(pattern: str) -> str:
    """An exact name, or `*.` and a name of at least two labels. Raises ValueError otherwise.

    `*.example.com` matches every name below example.com, but not example.com itself.
    """
    wildcard = pattern.startswith("*.")
    name = canonical_host(pattern[2:] if wildcard else pattern)
    if "." not in name:
        raise ValueError("a single label is not an outside host")
    return f"*.{name}" if wildcard else name


def host_matches(pattern: str, host: str) -> bool:
    """Whether the canonical `pattern` matches the canonical `host`."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def any_match(patterns: Iterable[str], host: str) -> bool:
    """Whether one of the patterns matches the host."""
    return any(host_matches(pattern, host) for pattern in patterns)


def split_authority(authority: str, default_port: int) -> tuple[str, int]:
    """Split `name[:port]` into a canonical host and a port. Raises ValueError for user info or anything unclear."""
    host, colon, port = authority.partition(":")
    if "@" in authority or (colon and not re.fullmatch(r"[1-9][0-9]{0,4}", port)) or (colon and int(port) > 65535):
        raise ValueError("not a host with an optional port")
    return canonical_host(host), int(port) if colon else default_port


class AddressGuard:
    """Decides whether an address may be dialled; addresses in `networks` (CIDR strings) may not.

    exempt: networks among these that may be dialled after all. own: the bottle's own networks, which are never exempt;
    if it raises, nothing is exempt.
    """

    def __init__(
        self,
        networks: Iterable[str] = INTERNAL_NETWORKS,
        exempt: Iterable[str] = (),
        own: Callable[[], Iterable[Network]] = tuple,
    ) -> None:
        self.exempt, self._own = [ipaddress.ip_network(network) for network in exempt], own
        parsed = [ipaddress.ip_network(network) for network in networks]
        self._networks = [n for n in parsed if n.version == 4], [n for n in parsed if n.version == 6]

    def allows(self, address: str) -> bool:
        """True for a public address. Refused: text that is no address, and an address that embeds an internal one."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address):
            if ip.ipv4_mapped:  # the same socket address as the IPv4 one (RFC 4291, 2.5.5.2)
                ip = ip.ipv4_mapped
            elif ip in _NAT64:
                ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
            elif (int(ip) >> 32) & 0xFFFF_FFFF in _ISATAP and not self._is_outside(int(ip) & 0xFFFF_FFFF):
                return False
        return self._is_outside(ip)

    def _is_outside(self, ip: Address | int) -> bool:
        address = ipaddress.IPv4Address(ip) if isinstance(ip, int) else ip
        inside = any(address in network for network in self._networks[0 if address.version == 4 else 1])
        return not inside or self._is_exempt(address)

    def _is_exempt(self, address: Address) -> bool:
        if not self.exempt:
            return False
        try:
            return is_exempt(address, self.exempt, self._own())
        except (OSError, ValueError):
            return False
