"""Renders pipelock.yaml, the configuration file of either engine. Pure.

It has only keys that the upstream engine knows, because its 2.3 line refuses others; `builtin` is added only for the
builtin engine.
"""

from __future__ import annotations

import io
import math
from typing import Any

from ruamel.yaml import YAML

from claude_bottle.manifest.model import EgressConfig, Manifest
from claude_bottle.manifest.pipelock_fields import AllowedHost
from claude_bottle.manifest.route_model import EgressRoute
from claude_bottle.policy.held_budget import LARGE_POOL, SMALL_POOL
from claude_bottle.policy.idle import IDLE_SECONDS
from claude_bottle.policy.names.files import PIPELOCK_CA, PIPELOCK_CA_KEY
from claude_bottle.policy.names.hosts import INTERNAL_NETWORKS, any_match, host_matches
from claude_bottle.policy.names.roles import PORTS
from claude_bottle.policy.routes.injection import CREDENTIAL_HEADERS, auth_header
from claude_bottle.policy.routes.model_gateways import is_model_gateway

EGRESS_HOSTNAME = "egress"
ANTHROPIC = "api.anthropic.com"
_MANY = 1_000_000  # the upstream engine replaces 0 by its default, so "no limit" is a large number
_DAY = 86_400
_AT_REST, _STEP = 100, 50  # MB; _STEP: of one step's fields, as a list (claude_bottle/dlp/fields.py)
_UNPACKED = 64  # MB that a shorter body may unpack to (claude_bottle/dlp/packed/decoder.py, MAX_PLAIN)


def pipelock_memory(max_body_mb: int) -> int:
    """MB for the container: 1.2 times the memory at rest, the budget of policy/held_budget.py, and what scanning one
    body takes: a form or JSON of many short fields takes four times its size, text nothing.
    """
    held = max(LARGE_POOL >> 20, max_body_mb) + (SMALL_POOL >> 20)
    return math.ceil(1.2 * (_AT_REST + held + _STEP + 4 * max(max_body_mb, _UNPACKED)))


def pipelock_route_hosts(config: EgressConfig) -> list[str]:
    """The hosts of the routes, each once, in the order of the manifest."""
    return list(dict.fromkeys(route.host for route in config.routes))


def injected_headers(config: EgressConfig) -> dict[str, list[str]]:
    """Host to the lower-case names of the headers that egress sets there."""
    headers: dict[str, list[str]] = {}
    for route in config.routes:
        if route.scheme and auth_header(route.scheme) not in headers.setdefault(route.host, []):
            headers[route.host].append(auth_header(route.scheme))
    return headers


def allowlist(manifest: Manifest) -> list[str]:
    """The hosts that pipelock allows: those of routes and pipelock.allow, and egress itself if there is one."""
    hosts = [*pipelock_route_hosts(manifest.egress), *(item.host for item in manifest.pipelock.allow)]
    return list(dict.fromkeys([*hosts, *([EGRESS_HOSTNAME] if manifest.routed else [])]))


def endings(manifest: Manifest) -> dict[str, str]:
    """Allowed host to its latest end. Hosts with an entry that does not end are left out."""
    by_host: dict[str, list[str | None]] = {}
    items: list[EgressRoute | AllowedHost] = [*manifest.egress.routes, *manifest.pipelock.allow]
    for item in items:
        by_host.setdefault(item.host, []).append(item.until)
    # Times in this format sort as text.
    return {host: max(times) for host, ends in by_host.items() if len(times := [t for t in ends if t]) == len(ends)}


def policy(manifest: Manifest) -> dict[str, Any]:
    """The content of pipelock.yaml."""
    config, injected = manifest.pipelock, injected_headers(manifest.egress)
    filled = {name for names in injected.values() for name in names}
    sensitive = [h for h in (*CREDENTIAL_HEADERS, "x-token") if h not in filled]
    rendered: dict[str, Any] = {
        "version": 1,
        "mode": "strict",
        "enforce": True,
        "api_allowlist": allowlist(manifest),
        "fetch_proxy": {
            "listen": f"0.0.0.0:{PORTS['pipelock']}",
            "timeout_seconds": 30,
            "monitoring": {"max_url_length": 8192, "entropy_threshold": 0, "max_requests_per_minute": _MANY},
        },
        "forward_proxy": {
            "enabled": True,
            "max_tunnel_seconds": _DAY,
            "idle_timeout_seconds": IDLE_SECONDS,
            "sni_verification": True,
        },
        "tls_interception": {
            "enabled": True,
            "ca_cert": PIPELOCK_CA,
            "ca_key": PIPELOCK_CA_KEY,
            "passthrough_domains": list(config.passthrough),
            "max_response_bytes": 1 << 30,
        },
        "request_body_scanning": {
            "enabled": True,
            "action": "block",
            "max_body_bytes": config.dlp.max_body_mb << 20,
            "scan_headers": True,
            "header_mode": "sensitive",
            "sensitive_headers": sensitive,
        },
        "dlp": {
            "scan_env": False,
            "include_defaults": True,
            "patterns": [{"name": p.name, "regex": p.regex, "severity": "critical"} for p in config.dlp.patterns],
        },
        "seed_phrase_detection": {"enabled": looks_for_seed_phrases(manifest)},
        "response_scanning": {"enabled": False},
        "internal": list(INTERNAL_NETWORKS),
        "trusted_domains": list(config.allow_private_addresses),
        "logging": {"format": "json", "output": "stdout", "include_allowed": True, "include_blocked": True},
    }
    if config.engine == "builtin":
        rendered["builtin"] = {"injected_headers": injected, "disabled_rules": list(config.dlp.disabled_rules)}
        if config.dlp.packs:
            rendered["builtin"]["packs"] = sorted(set(config.dlp.packs))
        if hosts := {host: sorted(set(one.disabled_rules)) for host, one in config.dlp.hosts.items()}:
            rendered["builtin"]["hosts"] = hosts
        if reacting := reactions(manifest):
            rendered["builtin"]["on_match"] = reacting
        if config.internal_exempt:
            rendered["builtin"]["internal_exempt"] = sorted(set(config.internal_exempt))
        if config.upstream_proxy:
            rendered["builtin"]["upstream_proxy"] = config.upstream_proxy.removeprefix("http://")
        if config.inbound != "off":
            rendered["builtin"]["inbound"] = config.inbound
        if follow := [
            {"host": route.host, "paths": list(route.path), "methods": list(route.methods), "follow": route.follow}
            | ({"until": route.until} if route.until else {})
            for route in manifest.egress.routes
            if route.follow
        ]:
            rendered["builtin"]["follow"] = follow
        if until := endings(manifest):
            rendered["builtin"]["until"] = until
    return rendered


def reactions(manifest: Manifest) -> dict[str, str]:
    """Host to the reaction to a finding in a request body. Requests to other hosts are refused.

    Conversations with a model are redacted: an example token would end one, because its text is sent with every turn.
    """
    config, given = manifest.pipelock, manifest.pipelock.dlp.hosts
    by_host = {host: str(one.on_match) for host, one in given.items() if one.on_match}
    for host in allowlist(manifest):
        declared = any(one.on_match and host_matches(pattern, host) for pattern, one in given.items())
        if not declared and is_model_gateway(host, manifest.env) and not any_match(config.passthrough, host):
            by_host[host] = "redact"
    return by_host


def looks_for_seed_phrases(manifest: Manifest) -> bool:
    """Whether the seed-phrase detector is on; never if a route leads to the model.

    The model's traffic is full of word lists, and it is on passthrough, so the detector would only cost time.
    """
    return manifest.pipelock.dlp.seed_phrases and not any_match(pipelock_route_hosts(manifest.egress), ANTHROPIC)


def render(manifest: Manifest) -> str:
    """pipelock.yaml as text, keys in a fixed order."""
    yaml, out = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 1000
    yaml.dump(policy(manifest), out)
    return out.getvalue()
