"""Host names and host patterns: one canonical form, one match, used by the manifest and by both proxies.

Everything here refuses what it does not understand: a name that two parsers could read differently is no name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

# RFC 1123 labels; the underscore is in use for the introspection hosts and for some real service names.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
# inet_aton(3) takes one to four parts, each decimal, octal or hexadecimal: 127.1, 0x7f000001, 2130706433, 0177.0.0.1.
_ATON_PART = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")

# Not reachable on the public internet, or pointing back inside. Documentation prefixes are left out: nothing routes
# them, and they let a test network play the internet. Sources: IANA IPv4/IPv6 Special-Purpose Address Registries.
INTERNAL_NETWORKS: tuple[str, ...] = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::1/128", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2002::/16", "fc00::/7",
    "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip


def is_ip_literal(host: str) -> bool:
    """True for an IP address in any notation that some resolver accepts: dotted, decimal, octal, hex, short, IPv6."""
    text = host.strip().rstrip(".").lower()
    if ":" in text or text.startswith("["):
        return True
    parts = text.split(".")
    # A host whose last label is numeric is an IPv4 address or nothing (WHATWG URL standard, "ends in a number").
    return bool(parts[-1]) and bool(_ATON_PART.match(parts[-1]))


def canonical_host(host: str) -> str:
    """Return the name in lower case; no port, no trailing dot.

    Raises ValueError for anything that is not a plain ASCII host name: IP literals in every notation, user info, ports,
    empty or over-long labels, non-ASCII text (write the punycode form), control characters, a trailing dot.
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
    return name


def canonical_pattern(pattern: str) -> str:
    """Return an exact name or `*.` and a name of at least two labels; raises ValueError otherwise.

    `*.example.com` stands for every name below example.com, not for example.com itself.
    """
    wildcard = pattern.startswith("*.")
    name = canonical_host(pattern[2:] if wildcard else pattern)
    if "." not in name:
        raise ValueError("a single label is not an outside host")
    return f"*.{name}" if wildcard else name


def host_matches(pattern: str, host: str) -> bool:
    """True if the canonical `host` is what the canonical `pattern` stands for."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def any_match(patterns: Iterable[str], host: str) -> bool:
    """True if one of the patterns stands for the host."""
    return any(host_matches(pattern, host) for pattern in patterns)


def split_authority(authority: str, default_port: int) -> tuple[str, int]:
    """Split `name[:port]` into a canonical host and a port; raises ValueError for user info or anything unclear."""
    host, colon, port = authority.partition(":")
    if "@" in authority or (colon and not re.fullmatch(r"[1-9][0-9]{0,4}", port)) or (colon and int(port) > 65535):
        raise ValueError("not a host with an optional port")
    return canonical_host(host), int(port) if colon else default_port


class AddressGuard:
    """Tells whether an address may be dialled; addresses inside `networks` (CIDR strings) may not."""

    def __init__(self, networks: Iterable[str] = INTERNAL_NETWORKS) -> None:
        parsed = [ipaddress.ip_network(network) for network in networks]
        self._networks = [n for n in parsed if n.version == 4], [n for n in parsed if n.version == 6]

    def allows(self, address: str) -> bool:
        """True for a public address; what does not parse, or carries an internal address inside, is refused."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return not any(ip in network for network in self._networks[0 if ip.version == 4 else 1])
