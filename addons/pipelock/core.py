"""The builtin engine's policy, parsed from the same pipelock.yaml as the upstream engine's. Pure."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from addons.frame.request import Request
from claude_bottle.dlp.rules.inbound import MODES
from claude_bottle.policy.forward_proxy import parse_proxy
from claude_bottle.policy.idle import IDLE_SECONDS, checked_idle
from claude_bottle.policy.names.exempt import (
    FAKE_IP,
    NEVER_OF_A_NAME,
    Network,
    checked_exempt,
    covers,
    holds,
    is_fake,
)
from claude_bottle.policy.names.hosts import (
    INTERNAL_NETWORKS,
    AddressGuard,
    any_match,
    canonical_host,
    canonical_pattern,
    host_matches,
)
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.expiry import ended, parse_until
from claude_bottle.policy.routes.route import Route
from claude_bottle.policy.routes.table import ALLOWED_PORTS, TABLE_VERSION, RouteTable
from claude_bottle.policy.routes.targets import is_git_push_request

# Sections and keys of the file (PIPELOCK.md's, checked with a build of the 2.3 line). `builtin` belongs to this engine,
# and is rendered for it alone.
KNOWN: dict[str, frozenset[str] | None] = {
    "version": None,
    "mode": None,
    "enforce": None,
    "explain_blocks": None,
    "api_allowlist": None,
    "fetch_proxy": frozenset({"listen", "timeout_seconds", "monitoring"}),
    "forward_proxy": frozenset({"enabled", "max_tunnel_seconds", "idle_timeout_seconds", "sni_verification"}),
    "tls_interception": frozenset({"enabled", "ca_cert", "ca_key", "passthrough_domains", "max_response_bytes"}),
    "request_body_scanning": frozenset(
        {"enabled", "action", "max_body_bytes", "scan_headers", "header_mode", "sensitive_headers"}
    ),
    "dlp": frozenset({"scan_env", "include_defaults", "patterns"}),
    "seed_phrase_detection": frozenset({"enabled"}),
    "response_scanning": frozenset({"enabled"}),
    "internal": None,
    "trusted_domains": None,
    "logging": frozenset({"format", "output", "include_allowed", "include_blocked"}),
    "builtin": frozenset(
        {
            "injected_headers",
            "disabled_rules",
            "packs",
            "hosts",
            "on_match",
            "inbound",
            "until",
            "internal_exempt",
            "upstream_proxy",
            "follow",
        }
    ),
}


REACTIONS = ("block", "ask", "redact")  # the strictest first
_OF_A_TRUSTED_NAME = AddressGuard(NEVER_OF_A_NAME)


class PolicyError(ValueError):
    """A pipelock.yaml that is not fully understood, or that would weaken the policy."""


@dataclass(frozen=True)
class Policy:
    """The policy that the builtin engine enforces.

    injected_headers: host pattern to the lower-case names of headers that egress fills in there; all other headers of a
    request are scanned. max_body_bytes: larger bodies are scanned as a stream. until: host pattern of the allowlist to
    its expiry, in seconds since the epoch. host_rules: host pattern to the ids of rules that do not count there.
    on_match: host pattern to the reaction to a finding in a request's URL or body, one of REACTIONS. inbound: the
    reaction to a response that instructs an agent, one of the MODES of claude_bottle/dlp/rules/inbound.py.
    idle_seconds: how long a connection may be silent; a new value applies to new connections. upstream_proxy: host and
    port of the forward proxy through which everything is dialled. follow: the routes whose responses may be followed to
    hosts outside the allowlist. outside: the guard for those hosts, from which no internal network is exempt but that
    of a fake-ip proxy.
    """

    allowlist: tuple[str, ...]
    passthrough: tuple[str, ...]
    trusted: tuple[str, ...]
    max_url_length: int
    max_body_bytes: int
    seed_phrases: bool
    patterns: tuple[tuple[str, str], ...]
    disabled_rules: tuple[str, ...]
    injected_headers: Mapping[str, frozenset[str]]
    until: Mapping[str, float]
    digest: str
    packs: tuple[str, ...] = ()
    host_rules: Mapping[str, frozenset[str]] = field(default_factory=dict)
    on_match: Mapping[str, str] = field(default_factory=dict)
    inbound: str = "off"
    idle_seconds: float = IDLE_SECONDS
    upstream_proxy: tuple[str, int] | None = None
    guard: AddressGuard = field(compare=False, default_factory=AddressGuard)
    follow: RouteTable = field(default_factory=lambda: RouteTable((), ""))
    outside: AddressGuard = field(compare=False, default_factory=AddressGuard)

    @classmethod
    def parse(cls, data: bytes, own: Callable[[], Iterable[Network]] = tuple) -> Policy:
        """Parse the file. Raises PolicyError unless every key is known and the policy enforces the allowlist.

        own: the networks of the bottle.
        """
        try:
            loaded = YAML(typ="safe", pure=True).load(io.BytesIO(data))
        except (YAMLError, ValueError, LookupError) as error:  # ruamel treats a bare `+_` as a number until it is read
            raise PolicyError(f"not YAML: {error}") from error
        if not isinstance(loaded, dict):
            raise PolicyError("not a mapping of sections")
        _check_keys(loaded)
        if (loaded.get("mode"), loaded.get("enforce")) != ("strict", True):
            raise PolicyError("mode must be strict and enforce true: nothing else enforces the allowlist")
        try:
            return cls._from(loaded, hashlib.sha256(data).hexdigest(), own)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise PolicyError(f"{type(error).__name__}: {error}") from error

    @classmethod
    def _from(cls, loaded: dict[str, Any], digest: str, own_networks: Callable[[], Iterable[Network]]) -> Policy:
        bodies, own = loaded["request_body_scanning"], loaded.get("builtin", {})
        internal = loaded.get("internal", INTERNAL_NETWORKS)
        exempt = [checked_exempt(str(network)) for network in own.get("internal_exempt", [])]
        follow = json.dumps({"version": TABLE_VERSION, "routes": own.get("follow", [])}).encode()
        if not (bodies["enabled"] and bodies["scan_headers"] and bodies["action"] == "block"):
            raise PolicyError("request_body_scanning must be enabled, scan headers and block")
        return cls(
            allowlist=tuple(_pattern(item) for item in loaded["api_allowlist"]),
            passthrough=tuple(canonical_pattern(i) for i in loaded["tls_interception"]["passthrough_domains"]),
            trusted=tuple(canonical_pattern(item) for item in loaded.get("trusted_domains", [])),
            max_url_length=int(loaded["fetch_proxy"]["monitoring"]["max_url_length"]),
            max_body_bytes=int(bodies["max_body_bytes"]),
            seed_phrases=bool(loaded["seed_phrase_detection"]["enabled"]),
            patterns=tuple((str(p["name"]), str(p["regex"])) for p in loaded["dlp"].get("patterns", [])),
            disabled_rules=tuple(str(rule) for rule in own.get("disabled_rules", [])),
            injected_headers={
                canonical_pattern(host): frozenset(str(name).lower() for name in names)
                for host, names in own.get("injected_headers", {}).items()
            },
            until={_pattern(host): parse_until(str(when)) for host, when in own.get("until", {}).items()},
            digest=digest,
            packs=tuple(str(pack) for pack in own.get("packs", [])),
            host_rules={
                canonical_pattern(host): frozenset(str(rule) for rule in rules)
                for host, rules in own.get("hosts", {}).items()
            },
            on_match={
                canonical_pattern(host): _one_of(REACTIONS, reaction)
                for host, reaction in own.get("on_match", {}).items()
            },
            idle_seconds=checked_idle(loaded.get("forward_proxy", {}).get("idle_timeout_seconds", IDLE_SECONDS)),
            upstream_proxy=parse_proxy(str(own["upstream_proxy"])) if "upstream_proxy" in own else None,
            inbound=_one_of(MODES, own.get("inbound", "off")),
            guard=AddressGuard(internal, exempt, own_networks),
            follow=RouteTable.parse(follow),
            outside=AddressGuard(internal, [n for n in exempt if covers([str(FAKE_IP)], n)], own_networks),
        )

    def refuse_target(self, scheme: str, host: str, port: int) -> Refusal | None:
        """Why nothing may be sent to this canonical host and port, or None."""
        if not any_match([pattern for pattern in self.allowlist if not ended(self.until.get(pattern))], host):
            return refuse("domain_not_allowed", f"{host} is not on the allowlist of this bottle.")
        if ALLOWED_PORTS.get(scheme) != port:
            return refuse("port_not_allowed", f"{scheme} is allowed on port {ALLOWED_PORTS.get(scheme, 443)} only.")
        return None

    def is_declared(self, host: str) -> bool:
        """Whether a host is on the allowlist, or was until its entry expired."""
        return any_match(self.allowlist, host)

    def followed_by(self, request: Request) -> Route | None:
        """The route whose responses to this request may be followed, or None."""
        asked = {"scheme": request.scheme, "host": request.host, "port": request.port}
        verdict = self.follow.decide(**asked, method=request.method, path=request.path)  # type: ignore[arg-type]
        return verdict if isinstance(verdict, Route) and not self.passes_through(request.host) else None

    def refuse_url(self, path: str) -> Refusal | None:
        """Why a URL is refused before it is scanned, or None."""
        if is_git_push_request(path):
            return refuse(
                "git_push", "git push over HTTP is refused on every host. Push to the git-gate remote instead."
            )
        if len(path) > self.max_url_length:
            return refuse("url_too_long", f"The URL is longer than {self.max_url_length} characters.")
        return None

    def refuse_addresses(self, host: str, addresses: list[str]) -> Refusal | None:
        """Why the addresses of a name may not be dialled, or None. One internal address suffices.

        With a forward proxy, a name that does not resolve here passes if it is on the allowlist itself, or trusted.
        Below any other wildcard the agent chooses the name, and the proxy may know internal ones.
        """
        named = host in self.allowlist or (self.is_declared(host) and any_match(self.trusted, host))
        if not addresses and self.upstream_proxy and named:
            return None  # the owner has declared this name, and the forward proxy may know it
        if not addresses:
            return refuse("unresolvable", f"{host} cannot be resolved.", 502)
        declared = self.is_declared(host)
        guard = self.guard if declared else self.outside
        if declared and any_match(self.trusted, host):
            guard = _OF_A_TRUSTED_NAME
        if all(guard.allows(address) for address in addresses):
            return None
        message = f"{host} resolves to an internal address."
        if any(is_fake(address) and not holds(self.guard.exempt, address) for address in addresses):
            message += (
                f" A proxy in fake-ip mode (Clash, Surge, sing-box) answers every name with addresses of {FAKE_IP}; the"
                f" bottle's owner can allow them with pipelock.internal_exempt: [{FAKE_IP}]."
            )
        return refuse("ssrf_private_ip", message)

    def passes_through(self, host: str) -> bool:
        """True for hosts whose TLS is spliced and not inspected."""
        return any_match(self.passthrough, host)

    def rules_off(self, host: str) -> frozenset[str]:
        """Ids of the rules that do not count for traffic to this host."""
        return frozenset().union(*(r for pattern, r in self.host_rules.items() if host_matches(pattern, host)))

    def reaction(self, host: str) -> str:
        """The reaction to a finding in a request to this host: the strictest of all patterns that match it."""
        reactions = [reaction for pattern, reaction in self.on_match.items() if host_matches(pattern, host)]
        return min(reactions, key=REACTIONS.index, default=REACTIONS[0])

    def unscanned_headers(self, host: str) -> frozenset[str]:
        """The headers that egress fills in for this host."""
        filled = [names for pattern, names in self.injected_headers.items() if host_matches(pattern, host)]
        return frozenset().union(*filled)


def refuse(reason: str, message: str, status: int = 403) -> Refusal:
    """A refusal of pipelock."""
    return Refusal("pipelock", reason, message, status)


def _pattern(item: str) -> str:
    return canonical_pattern(item) if "." in item else canonical_host(item)


def _one_of(words: tuple[str, ...], value: object) -> str:
    if value not in words:
        raise ValueError(f"{value}: one of {', '.join(words)}")
    return str(value)


def _check_keys(loaded: dict[str, Any]) -> None:
    unknown = [key for key in loaded if key not in KNOWN]
    for key, inner in loaded.items():
        known = KNOWN.get(key)
        if known is not None and isinstance(inner, dict):
            unknown += [f"{key}.{name}" for name in inner if name not in known]
        elif known is not None:
            raise PolicyError(f"{key} is not a section")
    if unknown:
        raise PolicyError(f"unknown keys: {', '.join(map(str, unknown))}")
