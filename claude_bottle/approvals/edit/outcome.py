"""The consequences of a change before it is made: remarks for the owner, and whether the request passes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_bottle.approvals.edit.route_edit import ROUTES, credential_note, edit_of, routes_of
from claude_bottle.manifest.change import Change
from claude_bottle.manifest.pipelock_fields import DEFAULT_PASSTHROUGH
from claude_bottle.manifest.route_check import Asked, decide, table
from claude_bottle.policy.names.hosts import any_match, canonical_host, host_matches
from claude_bottle.policy.no_approval import instead
from claude_bottle.policy.refusal import Refusal


def notes(bottle: Any, change: Change) -> list[str]:
    """Remarks about side effects and gaps of a change. bottle: without the change. Raises BottleError."""
    if change.path != ROUTES:
        return []
    said = [] if change.owner else [credential_note(bottle, change)]
    if "egress" not in (bottle or {}) and ((bottle or {}).get("pipelock") or {}).get("allow"):
        said.append("this adds egress to the bottle: hosts of pipelock.allow then also need a route")
    return [
        note for note in (*said, *edit_of(bottle, change).notes, _unread(bottle, str(change.value["host"]))) if note
    ]


def _unread(bottle: Any, host: str) -> str:
    """The remark that requests to a host are not scanned; "" if they are."""
    passthrough = (bottle.get("pipelock") or {}).get("passthrough")
    patterns = [str(one) for one in (DEFAULT_PASSTHROUGH if passthrough is None else passthrough)]
    if any(one == host or host_matches(one, host) or host_matches(host, one) for one in patterns):
        return f"requests to {host} are not scanned for secrets (pipelock.passthrough)"
    return ""


def why_refused(bottle: Any, change: Change, request: Mapping[str, Any]) -> str:
    """Why a request is refused despite the change, and what helps; "" if no reason is known.

    bottle: with the change. request: the agent's own description of the refused request, so it is not trusted.
    """
    if change.path not in (ROUTES, "pipelock.allow"):
        return ""
    if way := instead(str(request.get("reason", "")), str(request.get("content", ""))):
        return f"no approval changes that ({request['reason']}): {way}."
    allowed = change.value["host"] if isinstance(change.value, Mapping) else change.value
    try:
        host = canonical_host(str(request.get("host") or str(allowed).removeprefix("*.")))
    except ValueError:
        return "its host is not a host name."
    routes = routes_of(bottle)
    if "egress" not in (bottle or {}):
        missing = request.get("host") and not _allowed(bottle, host)
        return f"this does not put {host} on the allowlist." if missing else ""
    if change.path == "pipelock.allow":
        if not any_match([route.host for route in routes], host):
            return f"requests of this bottle need a route first, and {host} has none; ask with egress-block."
        return ""
    if not request.get("host") or not request.get("method"):
        return ""
    asked = Asked("https", host, str(request["method"]), str(request.get("path") or "/"))
    verdict = decide(table(routes), asked)
    return verdict.message if isinstance(verdict, Refusal) else ""


def _allowed(bottle: Any, host: str) -> bool:
    items = ((bottle or {}).get("pipelock") or {}).get("allow") or []
    return any_match([str(item.get("host") if isinstance(item, Mapping) else item) for item in items], host)
