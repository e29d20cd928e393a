"""The change that a tool call asks for, derived from the refusal that the agent passes on. Pure.

Requests that no approval would let through are rejected here, with a reason, before the owner is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_bottle.policy.forge import api as forge_api
from claude_bottle.policy.names.hosts import canonical_host, canonical_pattern, host_matches
from claude_bottle.policy.no_approval import instead
from claude_bottle.policy.refusal import Refusal
from claude_bottle.policy.routes.route import route_of, row_of
from claude_bottle.policy.routes.table import RouteTable

# The capabilities of capability-block, and the value of each.
CAPABILITIES = {
    "apt": "the name of a Debian package (jq)",
    "npm": "the name of an npm package (typescript)",
    "memory": "megabytes or gigabytes (8g)",
    "cpus": "a number of cores (4)",
    "push": "the digest from the refused push (sha256:…)",
}
_CUT = 300  # characters of a path in a refusal (claude_bottle/policy/refusal.py)


class WishError(ValueError):
    """No change would let the refused request through. The message says why, and what to do instead."""


def route_wish(
    request: Mapping[str, str],
    host: str,
    path: list[str] | None,
    methods: list[str] | None,
    forge: list[str] | None,
    **more: Any,
) -> dict[str, Any]:
    """A change of egress.routes. Raises WishError if the route would not let the refused request through.

    more: the keys that a refusal does not contain.
    """
    may_be_approved(request)
    _names_a_host(host, request)
    asked_with = request.get("method", "GET")
    if path is None:
        path = [_prefix(request["path"])] if request.get("path") and not host else []
    route: dict[str, Any] = {"host": host or request.get("host", ""), "path": path}
    # As few methods as suffice, because those of a declared route would conflict with it.
    route["methods"] = methods or (["GET", "HEAD"] if asked_with == "GET" else [asked_with])
    more["forge"] = forge or _capability(request)
    route |= {name: value for name, value in more.items() if value}
    _must_carry(route, request)
    return {"path": "egress.routes", "value": {**route, "description": "asked for by the agent"}}


def host_wish(request: Mapping[str, str], host: str, content: str, has_egress: bool) -> dict[str, Any]:
    """A change of pipelock.allow, or one content to allow once. Raises WishError if that would change nothing."""
    content = content or ("" if host else request.get("content", ""))
    if content:
        return {"path": "pipelock.once", "value": content}
    may_be_approved(request)
    _names_a_host(host, request)
    if has_egress:
        raise WishError("requests of this bottle need a route of egress first; ask for one with egress-block")
    return {"path": "pipelock.allow", "value": host or request.get("host", "")}


def capability_wish(capability: str, value: str) -> dict[str, Any]:
    """A package, a limit, or one reviewed push. Raises WishError if the name or the number is wrong."""
    if capability not in CAPABILITIES:
        raise WishError(
            f"capability: write one of {', '.join(CAPABILITIES)}; for a host or a path ask with egress-block"
        )
    if not value:
        raise WishError(f"value is required: {CAPABILITIES[capability]}")
    asked: object = value
    if capability == "cpus":
        try:
            asked = float(value)
        except ValueError:
            raise WishError(f"value: {CAPABILITIES['cpus']}") from None
    return {"path": "git.review" if capability == "push" else f"agent.{capability}", "value": asked}


def may_be_approved(request: Mapping[str, str]) -> None:
    """Raises WishError for a refusal that no approval changes."""
    way = instead(request.get("reason", ""), request.get("content", ""))
    if way:
        raise WishError(f"no approval allows this ({request['reason']}): {way}")


def _names_a_host(host: str, request: Mapping[str, str]) -> None:
    if not (host or request.get("host")):
        raise WishError("give refused (the JSON body of the refusal) or host (api.example.com)")


def _prefix(path: str) -> str:
    """The path of a refusal, without a last segment that may be incomplete."""
    return path.rpartition("/")[0] or "/" if len(path) >= _CUT else path


def _capability(request: Mapping[str, str]) -> list[str]:
    """The capability that a call to a forge needs, from its refusal or else from its method and path."""
    if request.get("reason") != "forge_write":
        return []
    if named := request.get("forge"):
        return named.split(", ")
    needs = forge_api.needed(request.get("method", ""), request.get("path", ""), request.get("host", ""))
    if not needs:
        raise WishError("name the capability that the refusal names: forge: [code], or another one")
    return sorted(needs)


def _must_carry(route: Mapping[str, Any], request: Mapping[str, str]) -> None:
    """Raises WishError unless the route by itself would let the refused request through."""
    try:
        pattern, host = canonical_pattern(route["host"]), canonical_host(request["host"])
    except (ValueError, KeyError):
        return  # the manifest's model reports a wrong pattern; without a host nothing was refused
    if not host_matches(pattern, host):
        raise WishError(f"the refused request went to {host}, and this route is for {pattern}; ask for one of them")
    if "method" not in request or "path" not in request:
        return
    canonical = {**route, "host": pattern, "methods": [method.upper() for method in route["methods"]]}
    verdict = RouteTable((route_of(row_of(canonical)),), "").decide(
        scheme="https", host=host, port=443, method=request["method"], path=request["path"]
    )
    if isinstance(verdict, Refusal):
        raise WishError(f"this route would not allow the refused request: {verdict.message}")
